"""The parts of a verdict document that say how the verdict came about: all optional, all typed."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise

from agent.documents.codec import Record
from agent.documents.metric import Better

Interval = tuple[float, float]


class Witness(StrEnum):
    """How it is known that an aggressor is behind a cause."""

    SEEN = "seen"  # its time and the victim's wait overlap
    STOPPED = "stopped"  # its absence alone gave time back
    CORRELATED = "correlated"  # it did more of the kind in the trials or windows that were slower


class Arm(StrEnum):
    """One trial ran with the neighbours, or without them."""

    WITHOUT = "without"
    WITH = "with"


class Experiment(Record, frozen=True):
    """What was run, so that it can be run again."""

    command: tuple[str, ...]  # the argument vector of jostle itself
    seed: int
    order: tuple[Arm, ...]  # one per trial, in the order they ran
    victim: (
        str  # its command line, or its cgroup: by the name of its container, whose path is `victim_cgroup`
    )
    neighbours: tuple[str, ...]
    metrics: tuple[str, ...]  # metric specifications as given, the primary first
    cpus: str | None  # the CPU list both were pinned to; null when not pinned
    started: str  # ISO 8601, UTC
    duration_s: float
    jostle_version: str
    plan_sha256: str | None = None  # of `plan.json`, written before the first trial that counts
    earlier_runs: int | None = None  # experiments beside this one that asked the same; left out: none


class AppliedTreatment(Record, frozen=True):
    """What was done to cgroups that ran already, in the slots of a switchback."""

    kind: str  # as given to --remedy
    slots: int  # in which it was in force
    longest_stop_ms: float  # the longest that it was in force at a time
    stopped_pct: float  # of the time of the experiment's slots
    guard_ms: float  # left out after each change
    restored: bool  # every changed file says again what was found in it


class RemedyEffect(Record, frozen=True):
    """What one remedy gives back to the victim, and what it takes from the neighbours, while it is in force."""

    remedy: str  # as given to --remedy
    slowdown_pct: float  # how much slower the victim is without it
    ci95_pct: Interval | None  # all of them hold together with 95 %
    pairs: int
    neighbour_cpus_without: float  # that the neighbours keep busy without it
    neighbour_cpus_with: float  # likewise, while it is in force
    apply: tuple[str, ...]  # lines that would keep it


class Host(Record, frozen=True):
    """The machine on which an experiment or a recording ran."""

    hostname: str  # or a hash of it, as configured
    kernel: str
    cpus: int
    topology: str  # one line: sockets, cores, threads, NUMA nodes
    cgroup_mode: str
    config_hash: str


class Trial(Record, frozen=True):
    """One run of the victim in one arm. The times are the victim cgroup's, summed over its tasks."""

    index: int
    block: int
    arm: Arm
    duration_s: float
    metrics: Mapping[str, float]
    void: str | None  # why the trial does not count; null when it counts
    wait_ns: int | None
    run_ns: int | None
    throttled_ns: int | None
    preempted: int | None  # involuntary switches away from the victim
    instructions: int | None = None  # left out, as the cycles: not counted
    cycles: int | None = None


class Pair(Record, frozen=True):
    """The primary metric in both trials of one block, and what the neighbours cost there."""

    block: int
    without: float
    with_: float
    slowdown_pct: float


class Efficiency(Record, frozen=True):
    """What the victim got out of its time on the CPUs in both arms, all trials of an arm together.

    Without a PMU nothing is said of its instructions, and the CPU time per unit of its work stands in for the cycles
    per instruction. A figure is left out where it was not measured.
    """

    measure: str  # which of the two tells a slower CPU from a longer wait
    cpu_s_without: float | None = None  # on the CPUs, per unit of work; per trial, where the metric is a time
    cpu_s_with: float | None = None
    ipc_without: float | None = None  # instructions per cycle
    ipc_with: float | None = None
    llc_misses_without: float | None = None  # of the last-level cache, per 1,000 instructions
    llc_misses_with: float | None = None


class Capacity(Record, frozen=True):
    """The CPUs that the victim's work needs: those it used without the neighbours, and as many times the mean slowdown.

    Money is in the currency of `cpu_cost`, a year, for all instances.
    """

    cpus_without: float  # that one victim used
    cpus_with: float  # that the same work in the same time needs beside the neighbours
    ci95_cpus_with: Interval | None  # its interval of 95 %; null: a single pair
    instances: int  # how many victims there are
    cpu_cost: float | None = None  # of one CPU for a year; left out, as what follows: not given
    extra_cost: float | None = None  # of the CPUs that are needed more
    ci95_extra_cost: Interval | None = None  # its interval of 95 %


class SecondaryMetric(Record, frozen=True):
    """A further metric's effect; `p_value` is corrected for the number of metrics."""

    name: str
    unit: str
    better: Better
    without: float
    with_: float
    slowdown_pct: float
    ci95_pct: Interval | None
    p_value: float | None
    requests: float | None = None
    closed_loop: bool | None = None  # true: of a tool that waits for each answer; left out: not known to be


class Blame(Record, frozen=True):
    """How long the victim waited for one cgroup in a mean trial with the neighbours."""

    cgroup: str
    name: str
    wait_ms_per_trial: float
    share_pct: float


class Blocked(Record, frozen=True):
    """What the victim slept on in a mean trial, while none of its tasks ran or wanted to.

    `on` is a word such as "file lock", `what` the file or the kernel function, left out where there is no more to say;
    the holder is left out where it is not known.
    """

    on: str
    without_s: float
    with_s: float
    what: str | None = None
    holder: str | None = None
    holder_cgroup: str | None = None


class WaitMatrix(Record, frozen=True):
    """Who waited for whom in a mean trial with the neighbours: a row for each that waited, by display name.

    What a cgroup waited for its own threads stands where its row meets its column.
    """

    waiting: tuple[str, ...]
    waited_for: tuple[str, ...]
    wait_ms_per_trial: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        lengths = {len(row) for row in self.wait_ms_per_trial}
        if len(self.wait_ms_per_trial) != len(self.waiting) or lengths - {len(self.waited_for)}:
            raise ValueError(
                "wait_ms_per_trial must have a row for each that waited, and a cell for each cause"
            )


class WaitHistograms(Record, frozen=True):
    """The victim's run-queue waits in both arms, on the same buckets.

    `edges_ns` are upper edges, ascending; null marks the open last bucket.
    """

    edges_ns: tuple[float | None, ...]
    without: tuple[int, ...]
    with_: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.edges_ns) == len(self.without) == len(self.with_):
            raise ValueError("edges_ns, without and with must be of one length")
        closed = [edge for edge in self.edges_ns if edge is not None]
        if len(closed) < len(self.edges_ns) - 1 or None in self.edges_ns[:-1]:
            raise ValueError("only the last of edges_ns may be null")
        if any(low >= high for low, high in pairwise(closed)):
            raise ValueError("edges_ns must ascend")


class SweepPoint(Record, frozen=True):
    """The victim's slowdown with the neighbours at one level of intensity."""

    level_pct: float
    slowdown_pct: float
    ci95_pct: Interval | None
    fitted_pct: float | None = None  # on the rising curve nearest to all levels
    used_cpus: float | None = None  # what the neighbours kept busy at this level


class Confirmation(Record, frozen=True):
    """What stopping this suspect alone gave back to the victim."""

    cgroup: str
    name: str
    slowdown_pct: float
    ci95_pct: Interval | None
    pairs: int


class DataFile(Record, frozen=True):
    """A file beside the report: its name relative to the report, and what it holds."""

    path: str
    content: str
