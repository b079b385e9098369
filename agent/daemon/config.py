"""What the daemon is told: `/etc/jostle/jostle.toml`, one record per section. docs/operating.md explains each key."""

import errno
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from agent.daemon.settings import Section, between, matching, one_of, read
from agent.detection.incidents import DEFAULT_COOLDOWN_S
from agent.detection.indicators import INDICATORS
from agent.detection.rules import DEFAULT_BUDGET, METHODS
from agent.recording.budget import DEFAULT_BUDGET_PCT
from collectors.sources.tiers import TIERS, Tier
from probes.errors import UsageError

DEFAULT_PATH = Path("/etc/jostle/jostle.toml")
# A configuration is a page or two; what is longer is another file.
_LONGEST_BYTES = 64 * 1024

Glob = Annotated[str, Meta(min_length=1, description="a pattern such as /kubepods*")]


class AgentConfig(Section, frozen=True):
    """`[agent]`: what is read, how often, and what that may cost."""

    FIXED = ("tier", "signals", "counters", "io", "network", "flight_recorder_mib")

    window_s: Annotated[float, between(0.2, 3600, "seconds")] = 10.0
    cgroups: tuple[Glob, ...] = ()  # all, when there is none
    budget_pct: Annotated[float, between(0.01, 100, "per cent of the host's CPU time")] = DEFAULT_BUDGET_PCT
    tier: Annotated[Tier, Meta(description=" or ".join(f'"{tier}"' for tier in TIERS))] = "ebpf"
    signals: bool = True  # of kernel files: throttling, pressure, memory, I/O
    counters: bool = True  # of the PMU, where there is one
    io: bool = True  # whose requests each disk serves
    network: bool = True  # whose packets wait in the queue of each network device
    flight_recorder_mib: Annotated[int, between(0, 1024, "MiB")] = (
        0  # of memory, for 15 minutes by the second
    )

    def __post_init__(self) -> None:
        if self.flight_recorder_mib and self.tier != "ebpf":
            raise ValueError('a flight_recorder_mib needs tier = "ebpf"')


class HistoryConfig(Section, frozen=True):
    """`[history]`: where windows are kept, and for how long."""

    FIXED = ("enabled", "path")

    enabled: bool = True
    path: Annotated[str, matching(r"/[^\0]*", "an absolute path")] = "/var/lib/jostle/history.db"
    max_age_days: Annotated[float, between(0.01, 3650, "days")] = 14.0
    max_size_mib: Annotated[int, between(4, 1024 * 1024, "MiB")] = 512


class RuleConfig(Section, frozen=True):
    """One `[[detection.rules]]`: an indicator, a method and its limit."""

    indicator: Annotated[str, one_of(*INDICATORS)] = "wait_per_run"
    method: Annotated[str, one_of(*METHODS)] = "sigma"
    limit: Annotated[float, between(0, 1e12)] = 4.0


class DetectionConfig(Section, frozen=True):
    """`[detection]`: how many false events are allowed, or which indicators are watched by which limits."""

    FIXED = ("enabled", "baseline")

    enabled: bool = True
    budget_per_week: Annotated[float, between(0.001, 1000, "false events")] = DEFAULT_BUDGET
    fast: bool = False  # seconds instead of minutes; wants windows of a second
    windows: Annotated[int, between(1, 60, "windows")] = 3
    exceeded: Annotated[int, between(1, 60, "of them")] = 2
    cooldown_s: Annotated[float, between(0, 86_400, "seconds")] = DEFAULT_COOLDOWN_S
    baseline: Annotated[str, matching(r"|/[^\0]*", "the absolute path of a recording, or empty")] = ""
    rules: tuple[RuleConfig, ...] = ()  # those of `detection.rules.default_rules`, when there is none

    def __post_init__(self) -> None:
        if not self.baseline and any(rule.method == "baseline" for rule in self.rules):
            raise ValueError('a rule with method = "baseline" needs a baseline = "RECORDING"')
        if self.exceeded > self.windows:
            raise ValueError(f"exceeded = {self.exceeded} cannot happen in windows = {self.windows}")


Detail = Literal["essential", "all"]


class MetricsConfig(Section, frozen=True):
    """`[metrics]`: where a scraper finds them."""

    FIXED = ("enabled", "listen")

    enabled: bool = True
    listen: Annotated[str, matching(r"(?s:.*:.*)", "HOST:PORT or unix:/PATH")] = "127.0.0.1:9756"
    # As many as give 400 series at most, essential ones alone: millions on a fleet are somebody's bill.
    detail: Annotated[Detail, Meta(description='"essential" or "all"')] = "essential"
    max_cgroups: Annotated[int, between(1, 10_000, "cgroups")] = 40
    max_pairs: Annotated[int, between(0, 10_000, "pairs")] = 20


class AlertsConfig(Section, frozen=True):
    """`[alerts]`: where incidents are sent, if anywhere."""

    FIXED = ("url", "kind")

    url: Annotated[str, matching(r"|https?://[^\s/]+\S*", "http://HOST:PORT/PATH, or empty")] = ""
    kind: Annotated[str, one_of("alertmanager", "webhook")] = "alertmanager"
    timeout_s: Annotated[float, between(0.1, 60, "seconds")] = 5.0
    max_waiting: Annotated[int, between(1, 10_000, "messages")] = 100


class Config(Section, frozen=True):
    """The whole file. A key that is left out has its default, and so does a file that is not there."""

    agent: AgentConfig = AgentConfig()
    history: HistoryConfig = HistoryConfig()
    detection: DetectionConfig = DetectionConfig()
    metrics: MetricsConfig = MetricsConfig()
    alerts: AlertsConfig = AlertsConfig()


def load(path: Path | None) -> Config:
    """Read a file; without one the default file, and without that the defaults.

    Raises:
        UsageError: It cannot be read, or something in it is not allowed: says in which line, and what is.
    """
    wanted = path or DEFAULT_PATH
    try:
        with wanted.open("rb") as file:
            text = file.read(_LONGEST_BYTES + 1)
    except OSError as error:
        if path is None and error.errno == errno.ENOENT:
            return Config()
        raise UsageError(
            f"cannot read the configuration {wanted} ({error.strerror})", "give another --config"
        ) from error
    if len(text) > _LONGEST_BYTES:
        raise UsageError(f"{wanted} is longer than {_LONGEST_BYTES} bytes", "give a configuration")
    try:
        return read(Config, text.decode(), str(wanted))
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{wanted}:{line}: not UTF-8", "fix the file") from error
