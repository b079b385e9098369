"""What the daemon is told: `/etc/jostle/jostle.toml`, one record per section. docs/operating.md explains each key."""

import errno
from dataclasses import astuple, dataclass
from pathlib import Path

from agent.daemon.settings import between, matching, one_of, read, setting
from agent.detection.indicators import INDICATORS
from agent.detection.rules import DEFAULT_RULES, METHODS
from agent.recording.budget import DEFAULT_BUDGET_PCT
from collectors.sources.tiers import TIERS
from probes.errors import UsageError

DEFAULT_PATH = Path("/etc/jostle/jostle.toml")
# A configuration is a page or two; what is longer is another file.
_LONGEST_BYTES = 64 * 1024

_GLOB = matching("a pattern such as /kubepods*", bool)
_RECORDING = matching("the absolute path of a recording, or empty", lambda path: path[:1] in {"", "/"})
_ABSOLUTE = matching("an absolute path", lambda path: path.startswith("/") and "\0" not in path)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """`[agent]`: what is read, how often, and what that may cost."""

    window_s: float = setting(10.0, between(0.2, 3600, "seconds"))
    cgroups: tuple[str, ...] = setting((), _GLOB)  # all, when there is none
    budget_pct: float = setting(DEFAULT_BUDGET_PCT, between(0.01, 100, "per cent of the host's CPU time"))
    tier: str = setting("ebpf", one_of(*TIERS), fixed=True)
    signals: bool = setting(default=True, fixed=True)  # of kernel files: throttling, pressure, memory, I/O
    counters: bool = setting(default=True, fixed=True)  # of the PMU, where there is one


@dataclass(frozen=True, slots=True)
class HistoryConfig:
    """`[history]`: where windows are kept, and for how long."""

    enabled: bool = setting(default=True, fixed=True)
    path: str = setting("/var/lib/jostle/history.db", _ABSOLUTE, fixed=True)
    max_age_days: float = setting(14.0, between(0.01, 3650, "days"))
    max_size_mib: int = setting(512, between(4, 1024 * 1024, "MiB"))


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """One `[[detection.rules]]`: a signal, a method and its limit."""

    signal: str = setting("wait_per_run", one_of(*INDICATORS))
    method: str = setting("sigma", one_of(*METHODS))
    limit: float = setting(4.0, between(0, 1e12))


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """`[detection]`: which signals are watched, and how long they must be off before an event is raised."""

    enabled: bool = setting(default=True, fixed=True)
    windows: int = setting(3, between(1, 60, "windows"))
    exceeded: int = setting(2, between(1, 60, "of them"))
    baseline: str = setting("", _RECORDING, fixed=True)
    rules: tuple[RuleConfig, ...] = setting(tuple(RuleConfig(*astuple(rule)) for rule in DEFAULT_RULES))

    def __post_init__(self) -> None:
        if not self.baseline and any(rule.method == "baseline" for rule in self.rules):
            raise ValueError('a rule with method = "baseline" needs a baseline = "RECORDING"')
        if self.exceeded > self.windows:
            raise ValueError(f"exceeded = {self.exceeded} cannot happen in windows = {self.windows}")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """`[metrics]`: where a scraper finds them."""

    enabled: bool = setting(default=True, fixed=True)
    listen: str = setting(
        "127.0.0.1:9756", matching("HOST:PORT or unix:/PATH", lambda text: ":" in text), fixed=True
    )
    max_cgroups: int = setting(100, between(1, 10_000, "cgroups"))
    max_pairs: int = setting(50, between(0, 10_000, "pairs"))


@dataclass(frozen=True, slots=True)
class Config:
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
        raise UsageError(f"{wanted}:{line}: not UTF-8", "mend the file") from error
