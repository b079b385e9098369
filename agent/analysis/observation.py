"""What a victim did in one stretch of time: a trial of an experiment, or windows of a recording.

Whatever is said of a slowdown (causes, aggressors, residual) is said of pairs of these, without the neighbours and
with them. Experiments and comparisons differ in how they pair them, and in nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.documents.metric import STRETCH, Sample
from agent.documents.verdict_parts import Arm
from collectors.host.hierarchy import is_within
from collectors.host.readings import Missing
from collectors.sources.asleep import Asleep
from collectors.windows import counters
from collectors.windows.figures import CounterFigures
from collectors.windows.sched import (
    NS_PER_S,
    CgroupWindow,
    SchedWindow,
    WaitFor,
    add,
    subtree,
    totals,
)
from collectors.windows.signals import SignalWindow
from probes.perf_event import Reading

# A cgroup that ran less than this share of a trial or of a window says nothing about how it ran.
LEAST_RUN_RATIO = 0.01


@dataclass(frozen=True, slots=True)
class VictimSignals:
    """What else than waiting for a CPU held the victim up; None where the kernel does not tell.

    Attributes:
        throttled_own_ns: Throttled by its own quota, summed over CPUs.
        throttled_ancestors_ns: Its ancestors by theirs, summed over CPUs.
        io_stalled_ns: Time in which a task of it waited for I/O.
        memory_stalled_ns: Time in which a task of it waited for memory to be reclaimed.
        steal_ns: What the hypervisor took from all CPUs.
        frequency_khz: Mean over the CPUs while not idle, where it is counted and not just what cpufreq says.
        io_bytes: Block I/O of each neighbour.
    """

    throttled_own_ns: int | None = None
    throttled_ancestors_ns: int | None = None
    io_stalled_ns: int | None = None
    memory_stalled_ns: int | None = None
    steal_ns: int | None = None
    frequency_khz: float | None = None
    io_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VictimObservation:
    """One stretch of time.

    Attributes:
        duration_s: How long it was, on the clock.
        samples: The victim's metrics, the primary first.
        victim: The victim's cgroup with everything below it; what it waited for a part of a neighbour is charged to
            that neighbour.
        others_run_ns: On-CPU time of every other cgroup, a neighbour's with everything below it.
        busiest_cpu: How much of the time the busiest CPU ran a task, 0 to 1; None where that is not known.
        signals: What else held the victim up.
        asleep_s: On what it slept, on the clock, while none of its tasks ran or wanted to; empty: nobody looked.
        went_on_s: How long its work went on after its command had returned.
        counted: What the victim's events counted, by name; empty where none is counted.
    """

    duration_s: float
    samples: tuple[Sample, ...]
    victim: CgroupWindow
    others_run_ns: Mapping[str, int]
    busiest_cpu: float | None = None
    signals: VictimSignals = field(default_factory=VictimSignals)
    counted: Mapping[str, Reading] = field(default_factory=dict)
    asleep_s: Mapping[Asleep, float] = field(default_factory=dict)
    went_on_s: float = 0.0

    @property
    def sample(self) -> Sample:
        """The primary metric, which is compared."""
        return self.samples[0]

    @property
    def work(self) -> float:
        """Units of work done: rate × time for a rate, the time on a CPU for the stretch, else 1.

        The victim does the same in each trial where its metric is a duration or a latency.
        """
        if self.sample.metric == STRETCH:
            return max(1, self.victim.run_ns) / NS_PER_S
        return self.sample.value * self.duration_s if self.sample.metric.better == "higher" else 1.0

    @property
    def spent_s(self) -> float:
        """What the work took: the clock's time, or the tasks' time, running and waiting, where that is the metric."""
        if self.sample.metric == STRETCH:
            return (self.victim.run_ns + self.victim.wait_ns) / NS_PER_S
        return self.duration_s

    @property
    def counters(self) -> CounterFigures:
        """What the victim's counters amount to."""
        return counters.figures(self.counted)

    @property
    def ipc(self) -> float | None:
        """Instructions per cycle; None where they were not counted."""
        ipc = self.counters.ipc
        return None if isinstance(ipc, Missing) else ipc


Pairs = Sequence[tuple[VictimObservation, VictimObservation]]
"""Of observations without the neighbours, and with them."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What one trial gave.

    Attributes:
        index: Number of the trial in the order they ran, from 0.
        block: Number of its block, from 0; void trials are repeated in the same block.
        arm: With or without the neighbours.
        seen: What is compared; without samples where the trial is void.
        window: The whole host's window.
        void: Why the trial does not count, or None.
    """

    index: int
    block: int
    arm: Arm
    seen: VictimObservation
    window: SchedWindow
    void: str | None


Blocks = Sequence[tuple[TrialResult, TrialResult]]
"""The trial without the neighbours and the one with them, of each block in which both count."""


def pairs_of(blocks: Blocks) -> Pairs:
    """What is compared of the blocks of an experiment."""
    return [(without.seen, with_.seen) for without, with_ in blocks]


def observe(windows: Sequence[SchedWindow], victim: str, neighbours: Iterable[str] = ()) -> VictimObservation:
    """Windows of a recording as one observation; its figure is the stretch, as nothing else is in a recording."""
    paths = tuple(neighbours)
    whole = fold_subtrees(add(victim, (subtree(window.cgroups, victim) for window in windows)), paths)
    return VictimObservation(
        duration_s=sum(window.duration_ns for window in windows) / NS_PER_S,
        samples=(Sample(STRETCH, stretch(whole)),),
        victim=whole,
        others_run_ns=others_run_ns(totals(windows), victim, paths),
        busiest_cpu=busiest_cpu(windows),
        signals=_throttled([window.signals for window in windows], victim),
    )


def stretch(victim: CgroupWindow) -> float:
    """Seconds that it ran or waited for a CPU, its quota included, per second that it ran."""
    return (victim.run_ns + victim.wait_ns) / max(1, victim.run_ns)


def is_idle(victim: CgroupWindow, duration_s: float) -> bool:
    """Whether it ran too little to say anything about how it ran."""
    return victim.run_ns <= LEAST_RUN_RATIO * duration_s * NS_PER_S


def fold_subtrees(victim: CgroupWindow, neighbours: Iterable[str]) -> CgroupWindow:
    """The same window, with the waits for cgroups below a neighbour charged to that neighbour."""
    waits: dict[str, WaitFor] = {}
    paths = list(neighbours)
    for path, wait in victim.waited_for.items():
        whole = owner_of(path, paths)
        before = waits.get(whole, WaitFor(0, 0))
        waits[whole] = WaitFor(before.wait_ns + wait.wait_ns, before.preemptions + wait.preemptions)
    return replace(victim, waited_for=waits)


def owner_of(path: str, neighbours: Iterable[str]) -> str:
    """The neighbour that a cgroup is part of, or the cgroup itself."""
    return next((neighbour for neighbour in neighbours if is_within(path, neighbour)), path)


def others_run_ns(
    cgroups: Mapping[str, CgroupWindow], victim: str, neighbours: Sequence[str]
) -> dict[str, int]:
    """On-CPU time of every cgroup but the victim and what is below it, a neighbour's with everything below it."""
    found: dict[str, int] = {}
    for path, cgroup in cgroups.items():
        if not is_within(path, victim):
            whole = owner_of(path, neighbours)
            found[whole] = found.get(whole, 0) + cgroup.run_ns
    return found


def victim_signals(
    signals: SignalWindow, victim: str, neighbours: Iterable[str], *, frequency: bool
) -> VictimSignals:
    """The part of a window's signals that the decomposition needs; `frequency`: they are counted ones."""
    own, cpus = signals.cgroups.get(victim), signals.host.cpus.values()
    steals = [cpu.steal_ns for cpu in cpus if cpu.steal_ns is not None]
    clocks = [cpu.frequency_khz for cpu in cpus if cpu.frequency_khz is not None]
    found = {path: signals.cgroups.get(path) for path in neighbours}
    return VictimSignals(
        throttled_own_ns=own.throttled_own_ns if own else None,
        throttled_ancestors_ns=own.throttled_ancestors_ns if own else None,
        io_stalled_ns=own.io_some_ns if own else None,
        memory_stalled_ns=own.memory_some_ns if own else None,
        steal_ns=sum(steals) if steals else None,
        frequency_khz=sum(clocks) / len(clocks) if clocks and frequency else None,
        io_bytes={
            path: (each.read_bytes or 0) + (each.written_bytes or 0) for path, each in found.items() if each
        },
    )


def _throttled(windows: Sequence[SignalWindow | None], victim: str) -> VictimSignals:
    """Whose quota it was, over all windows: all that the stretch needs. None where one of them does not tell."""
    cgroups = [window.cgroups.get(victim) if window else None for window in windows]
    own = [each.throttled_own_ns if each else None for each in cgroups]
    ancestors = [each.throttled_ancestors_ns if each else None for each in cgroups]
    return VictimSignals(throttled_own_ns=_known_sum(own), throttled_ancestors_ns=_known_sum(ancestors))


def _known_sum(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known and len(known) == len(amounts) else None


def busiest_cpu(windows: Sequence[SchedWindow]) -> float | None:
    """How much of the time the busiest CPU ran a task; None where windows do not say, or the CPUs changed."""
    if not windows or len({len(window.cpus) for window in windows}) > 1 or not windows[0].cpus:
        return None
    duration_ns = sum(window.duration_ns for window in windows)

    def mean_running(cpu: int) -> float:
        return sum(window.cpus[cpu].running * window.duration_ns for window in windows) / duration_ns

    return max(map(mean_running, range(len(windows[0].cpus))))
