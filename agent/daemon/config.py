"""What the daemon is told: `/etc/jostle/jostle.toml`, one record per section. docs/operating.md explains each key."""

import errno
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from agent.daemon.settings import Section, between, matching, one_of, read
from agent.detection.cooldown import DEFAULT_COOLDOWN_S
from agent.detection.indicators import INDICATORS
from agent.detection.rules import DEFAULT_RULES, METHODS
from agent.recording.budget import DEFAULT_BUDGET_PCT
from collectors.sources.tiers import TIERS, Tier
from probes.errors import UsageError

DEFAULT_PATH = Path("/etc/jostle/jostle.toml")
# A configuration is a page or two; what is longer is another file.
_LONGEST_BYTES = 64 * 1024

Glob = Annotated[str, Meta(min_length=1, description="a pattern such as /kubepods*")]


class AgentConfig(Section, frozen=True):
    """`[agent]`: what is read, how often, and what that may cost."""

    FIXED = ("tier", "signals", "counters")

    window_s: Annotated[float, between(0.2, 3600, "seconds")] = 10.0
    cgroups: tuple[Glob, ...] = ()  # all, when there is none
    budget_pct: Annotated[float, between(0.01, 100, "per cent of the host's CPU time")] = DEFAULT_BUDGET_PCT
    tier: Annotated[Tier, Meta(description=" or ".join(f'"{tier}"' for tier in TIERS))] = "ebpf"
    signals: bool = True  # of kernel files: throttling, pressure, memory, I/O
    counters: bool = True  # of the PMU, where there is one


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
    """`[detection]`: which indicators are watched, and how long they must be off before an event is raised."""

    FIXED = ("enabled", "baseline")

    enabled: bool = True
    windows: Annotated[int, between(1, 60, "windows")] = 3
    exceeded: Annotated[int, between(1, 60, "of them")] = 2
    cooldown_s: Annotated[float, between(0, 86_400, "seconds")] = DEFAULT_COOLDOWN_S
    baseline: Annotated[str, matching(r"|/[^\0]*", "the absolute path of a recording, or empty")] = ""
    rules: tuple[RuleConfig, ...] = tuple(
        RuleConfig(rule.indicator, rule.method, rule.limit) for rule in DEFAULT_RULES
    )

    def __post_init__(self) -> None:
        if not self.baseline and any(rule.method == "baseline" for rule in self.rules):
            raise ValueError('a rule with method = "baseline" needs a baseline = "RECORDING"')
        if self.exceeded > self.windows:
            raise ValueError(f"exceeded = {self.exceeded} cannot happen in windows = {self.windows}")


class MetricsConfig(Section, frozen=True):
    """`[metrics]`: where a scraper finds them."""

    FIXED = ("enabled", "listen")

    enabled: bool = True
    listen: Annotated[str, matching(r"(?s:.*:.*)", "HOST:PORT or unix:/PATH")] = "127.0.0.1:9756"
    max_cgroups: Annotated[int, between(1, 10_000, "cgroups")] = 100
    max_pairs: Annotated[int, between(0, 10_000, "pairs")] = 50


class Config(Section, frozen=True):
    """The whole file. A key that is left out has its default, and so does a file that is not there."""

    agent: AgentConfig = AgentConfig()
    history: HistoryConfig = HistoryConfig()
    detection: DetectionConfig = DetectionConfig()
    metrics: MetricsConfig = MetricsConfig()


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
