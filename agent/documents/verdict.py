"""The verdict document, schema `jostle.verdict/1`, as frozen records.

An unavailable figure is None here and `null` in the document, and `unavailable` maps its dotted key (such as
`effect.ci95_pct`) to the reason. A record that breaks the contract cannot be made: `ValueError`.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import pairwise

import msgspec

from agent.documents.codec import Document, Record, null_keys
from agent.documents.metric import Better
from agent.documents.verdict_parts import (
    Blame,
    Blocked,
    Confirmation,
    DataFile,
    Efficiency,
    Experiment,
    Host,
    Interval,
    Pair,
    SecondaryMetric,
    SweepPoint,
    Trial,
    WaitHistograms,
    WaitMatrix,
)

SUM_TOLERANCE_PCT = 0.5


class Conclusion(StrEnum):
    """The conclusion of an experiment or a comparison about its victim."""

    INTERFERENCE = "interference"
    NO_INTERFERENCE = "no-interference"
    SELF_INFLICTED = "self-inflicted"
    INCONCLUSIVE = "inconclusive"


class Compared(StrEnum):
    """What `without` and `with` stand for, where it is not trials without and with the neighbours."""

    RECORDINGS = "recordings"  # the first and the second
    WINDOWS = "windows"  # of one recording, in which a tenant was quiet and busy


class CauseKind(StrEnum):
    """Where the victim's additional time went."""

    CPU_WAIT = "cpu-wait"
    PREEMPTION = "preemption"
    MICROARCHITECTURE = "microarchitecture"
    CACHE = "cache"
    MEMORY_BANDWIDTH = "memory-bandwidth"
    SMT = "smt"
    FREQUENCY = "frequency"
    THROTTLED = "throttled"
    STEAL = "steal"
    INTERRUPTS = "interrupts"
    IO = "io"
    MEMORY_PRESSURE = "memory-pressure"
    SELF = "self"
    UNEXPLAINED = "unexplained"


class Effect(Record, frozen=True):
    """The primary metric without and with the neighbours, or as `compared` says.

    A positive slowdown is worse, whichever way is better.
    """

    metric: str
    unit: str
    better: Better
    without: float | None
    with_: float | None
    slowdown_pct: float | None
    ci95_pct: Interval | None
    p_value: float | None
    noise_floor_pct: float | None
    threshold_pct: float
    pairs: int
    compared: Compared | None = None  # left out: trials

    def __post_init__(self) -> None:
        _check_interval(self.ci95_pct)


class Cause(Record, frozen=True):
    """One term's share of the additional time; negative where the term shrank."""

    cause: CauseKind
    share_pct: float
    ci95_pct: Interval | None = None

    def __post_init__(self) -> None:
        _check_interval(self.ci95_pct)


class Aggressor(Record, frozen=True):
    """A cgroup that the victim lost time to, and its share of what is charged to anyone."""

    cgroup: str
    name: str
    share_pct: float
    cause: CauseKind

    def __post_init__(self) -> None:
        if not 0 <= self.share_pct <= 100 + SUM_TOLERANCE_PCT:
            raise ValueError(f"share_pct of {self.share_pct} is not within 0 to 100")


class Quality(Record, frozen=True):
    """How far the figures can be trusted."""

    ok: bool
    tier: str
    warnings: tuple[str, ...]
    blame_residual_pct: float | None
    discarded: int
    pmu: str
    # Of the victim's waiting, shared out by sample; left out: it never waited.
    blame_sampled_pct: float | None = None


class SelfCost(Record, frozen=True):
    """What measuring cost this host."""

    ns_per_switch: float | None
    switches_per_s: float | None
    cpu_pct: float | None
    # The part that counting events has in it; left out: none was counted.
    counters_ns_per_switch: float | None = None


def why_no_cost(tier: str) -> str:
    """Why a tier has no SelfCost, where it has none."""
    if tier == "ebpf":
        return "the kernel keeps no run-time statistics of BPF programs"
    return "no BPF program was attached"


class Verdict(Document, frozen=True):
    """The whole document. `advice` holds sentences of `agent.analysis.advice.Advice`."""

    SCHEMA = "jostle.verdict/1"

    verdict: Conclusion
    reason: str
    effect: Effect | None
    causes: tuple[Cause, ...]
    aggressors: tuple[Aggressor, ...]
    quality: Quality
    self_cost: SelfCost | None
    advice: tuple[str, ...]
    unavailable: Mapping[str, str] = msgspec.field(default_factory=dict)
    partial: bool = False
    victim_cgroup: str | None = None
    experiment: Experiment | None = None
    host: Host | None = None
    metrics: tuple[SecondaryMetric, ...] | None = None
    pairs: tuple[Pair, ...] | None = None
    trials: tuple[Trial, ...] | None = None
    efficiency: Efficiency | None = None
    blame: tuple[Blame, ...] | None = None
    blocked: tuple[Blocked, ...] | None = None  # left out: nothing of it changed, or nobody looked
    matrix: WaitMatrix | None = None
    histograms: WaitHistograms | None = None
    sweep: tuple[SweepPoint, ...] | None = None
    confirmed: tuple[Confirmation, ...] | None = None
    files: tuple[DataFile, ...] | None = None
    title: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        _check_causes(self.causes)
        _check_aggressors(self.aggressors, self.victim_cgroup)
        _check_reasons(self)


def _check_interval(interval: Interval | None) -> None:
    if interval is not None and interval[0] > interval[1]:
        raise ValueError("ci95_pct must be (low, high)")


def _check_causes(causes: tuple[Cause, ...]) -> None:
    total = sum(cause.share_pct for cause in causes)
    if causes and abs(total - 100) > SUM_TOLERANCE_PCT:
        raise ValueError(f"causes must sum to 100 ± {SUM_TOLERANCE_PCT} per cent, not {total:.2f}")


def _check_aggressors(aggressors: tuple[Aggressor, ...], victim_cgroup: str | None) -> None:
    if any(first.share_pct < second.share_pct for first, second in pairwise(aggressors)):
        raise ValueError("aggressors must be sorted by share_pct, the largest first")
    if victim_cgroup is not None and any(entry.cgroup == victim_cgroup for entry in aggressors):
        raise ValueError("aggressors must not contain the victim")


def _check_reasons(verdict: Verdict) -> None:
    missing = set(_nulls(verdict))
    if silent := sorted(missing - verdict.unavailable.keys()):
        raise ValueError(f"{silent[0]} is null and unavailable gives no reason")
    if wrong := sorted(verdict.unavailable.keys() - missing):
        raise ValueError(f"unavailable gives a reason for {wrong[0]}, which is not null")


def _nulls(verdict: Verdict) -> Iterator[str]:
    """Dotted keys of the figures the contract promises that are null."""
    for section in ("effect", "quality", "self_cost"):
        record = getattr(verdict, section)
        if record is None:
            yield section
        else:
            yield from (f"{section}.{key}" for key in null_keys(record))
