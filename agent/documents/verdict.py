"""The verdict document, schema `jostle.verdict/1`, as frozen records.

An unavailable figure is None here and `null` in the document, and `unavailable` maps its dotted key (such as
`effect.ci95_pct`) to the reason. A record that breaks the contract cannot be made: `ValueError`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Literal

import msgspec

from agent.documents.codec import Document, Record, null_keys
from agent.documents.metric import Better
from agent.documents.verdict_parts import (
    AppliedTreatment,
    Blame,
    Blocked,
    Capacity,
    Confirmation,
    DataFile,
    Efficiency,
    Experiment,
    Host,
    Interval,
    Pair,
    RemedyEffect,
    SecondaryMetric,
    SweepPoint,
    Trial,
    WaitHistograms,
    WaitMatrix,
    Witness,
)

SUM_TOLERANCE_PCT = 0.5
# Of the loss; of less nobody asks who it was.
LEAST_UNSEEN_PCT = 5.0
MOST_NAMED = 3

Estimand = Literal["typical", "mean"]


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
    NETWORK = "network"
    MEMORY_PRESSURE = "memory-pressure"
    SELF = "self"
    UNEXPLAINED = "unexplained"


class MeanEffect(Record, frozen=True):
    """The slowdown of the mean: mean time with the neighbours over mean time without them.

    The interval allows for slow trials that are too rare to be seen, as `slow_trials_pct` of none, three times as long.
    """

    slowdown_pct: float
    ci95_pct: Interval | None
    seen_most_pct: float | None = None  # its upper end, were all trials like those that were seen

    def __post_init__(self) -> None:
        _check_interval(self.ci95_pct)


class FailureCount(Record, frozen=True):
    """One kind of failure in both arms: trials, or what they counted. The p-value is exact and one-sided."""

    what: str
    without: float
    with_: float
    p_value: float


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
    estimand: Estimand | None = None  # what the slowdown is of: the typical trial, or the mean of all
    alpha: float | None = (
        None  # two-sided error of this interval, its part of the 5 % of all that may be claimed
    )
    mean: MeanEffect | None = None  # beside the typical trial: the ratio of mean times
    slow_trials_pct: float | None = None  # upper bound of the share slowed by more than threshold and noise
    slower_pairs: int | None = None  # in how many pairs the victim was slower
    step_pct: float | None = None  # what the figure is printed or counted in, in per cent of it
    # What bystanders took of the time of either arm, which the slowdown leaves out; left out: it leaves out nothing.
    taken_pct: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check_interval(self.ci95_pct)


class Cause(Record, frozen=True):
    """One term's share of the additional time; negative where the term shrank.

    The interval allows for a kind of pair that is too rare to be seen, and loses three times as much.
    """

    cause: CauseKind
    share_pct: float
    ci95_pct: Interval | None = None

    def __post_init__(self) -> None:
        _check_interval(self.ci95_pct)


class Aggressor(Record, frozen=True):
    """A cgroup that the victim lost time to by one cause, and its share of the whole loss; by two it stands twice."""

    cgroup: str
    name: str
    share_pct: float
    cause: CauseKind
    ci95_pct: Interval | None = None  # left out: a single pair, or two
    witness: Witness | None = None

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
    # What the probe holds; left out: the kernel does not say.
    kernel_memory_bytes: int | None = None


def why_no_cost(tier: str) -> str:
    """Why a tier has no SelfCost, where it has none."""
    if tier == "ebpf":
        return "no context switch was timed"
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
    failures: tuple[FailureCount, ...] | None = None  # left out: nothing failed
    pairs: tuple[Pair, ...] | None = None
    trials: tuple[Trial, ...] | None = None
    efficiency: Efficiency | None = None
    capacity: Capacity | None = None  # left out: no slowdown was found
    blame: tuple[Blame, ...] | None = None
    blocked: tuple[Blocked, ...] | None = None  # left out: nothing of it changed, or nobody looked
    matrix: WaitMatrix | None = None
    histograms: WaitHistograms | None = None
    sweep: tuple[SweepPoint, ...] | None = None
    confirmed: tuple[Confirmation, ...] | None = None
    treatment: AppliedTreatment | None = None  # left out: none of running cgroups in slots
    remedies: tuple[RemedyEffect, ...] | None = None  # the best first; left out: none but stopping was tried
    files: tuple[DataFile, ...] | None = None
    title: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        _check_causes(self.causes)
        _check_aggressors(self)
        _check_reasons(self)


def _check_interval(interval: Interval | None) -> None:
    if interval is not None and interval[0] > interval[1]:
        raise ValueError("ci95_pct must be (low, high)")


def _check_causes(causes: tuple[Cause, ...]) -> None:
    total = sum(cause.share_pct for cause in causes)
    if causes and abs(total - 100) > SUM_TOLERANCE_PCT:
        raise ValueError(f"causes must sum to 100 ± {SUM_TOLERANCE_PCT} per cent, not {total:.2f}")


def first_together(aggressors: Sequence[Aggressor]) -> tuple[Aggressor, ...]:
    """The first, with those of its cause whose shares cannot be told from its own: their intervals meet."""
    first = aggressors[0]
    low = first.share_pct if first.ci95_pct is None else first.ci95_pct[0]
    alike = (
        other
        for other in aggressors[1:]
        if other.cause is first.cause and other.ci95_pct is not None and other.ci95_pct[1] >= low
    )
    return (first, *alike)


def enumerated(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, and beyond three `a, b, c and 2 others`: a sentence is no table."""
    told, more = list(names[:MOST_NAMED]), len(names) - MOST_NAMED
    if more > 0:
        told.append(f"{more} other{'s' if more > 1 else ''}")
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def own_effects(confirmed: Iterable[Confirmation]) -> dict[str, float]:
    """By cgroup what its absence alone gave back, in per cent, of those where that is beyond doubt."""
    return {
        each.cgroup: each.slowdown_pct
        for each in confirmed
        if each.ci95_pct is not None and each.ci95_pct[0] > 0
    }


def unseen(verdict: "Verdict") -> tuple[Cause, ...]:
    """The causes with an effect behind which nobody is known, though somebody may be."""
    if verdict.verdict is not Conclusion.INTERFERENCE:
        return ()
    known = {entry.cause for entry in verdict.aggressors} | {CauseKind.SELF, CauseKind.THROTTLED}
    return tuple(
        cause for cause in verdict.causes if cause.cause not in known and cause.share_pct >= LEAST_UNSEEN_PCT
    )


def _check_aggressors(verdict: "Verdict") -> None:
    aggressors, victim_cgroup = verdict.aggressors, verdict.victim_cgroup
    effects = own_effects(verdict.confirmed or ())
    ranks = [(effects.get(entry.cgroup, 0.0), entry.share_pct) for entry in aggressors]
    if any(first < second for first, second in pairwise(ranks)):
        raise ValueError(
            "aggressors must be sorted: those confirmed by effect, then by share_pct, largest first"
        )
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
