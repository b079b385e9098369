"""What a victim did in one stretch of time: a trial of an experiment, or windows of a recording.

Whatever is said of a slowdown (causes, aggressors, residual) is said of pairs of these, without the neighbours and
with them. Experiments and comparisons differ in how they pair them, and in nothing else.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.documents.metric import STRETCH, Sample
from agent.documents.verdict_parts import Arm
from collectors.host.hierarchy import is_within, lineage
from collectors.host.readings import Missing
from collectors.sources.asleep import Asleep
from collectors.windows import counters
from collectors.windows.disks import DiskUse, disk_use
from collectors.windows.figures import CounterFigures, total
from collectors.windows.network import QueueUse, queue_use
from collectors.windows.reclaims import MemoryContest, contest
from collectors.windows.sched import (
    KERNEL,
    NS_PER_S,
    OTHER,
    REST,
    CgroupWindow,
    SchedWindow,
    add,
    renamed,
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
        quotas_ns: The same by ancestor; None where it is not known of each, or there is but the root.
        io_stalled_ns: Time in which a task of it waited for I/O.
        memory_stalled_ns: Time in which a task of it waited for memory to be reclaimed.
        steal_ns: What the hypervisor took from all CPUs.
        refaulted_pages: Pages of files and of swap that it had, lost to a reclaim and had to read again.
        frequency_khz: Mean over the CPUs while not idle, where it is counted and not just what cpufreq says.
        io_bytes: Block I/O of each neighbour.
    """

    throttled_own_ns: int | None = None
    throttled_ancestors_ns: int | None = None
    quotas_ns: Mapping[str, int] | None = None
    io_stalled_ns: int | None = None
    memory_stalled_ns: int | None = None
    refaulted_pages: int | None = None
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
        stalled_tasks: Mean number of its tasks in a sleep that no signal ends, as for a disk; 0 where nobody looked.
        disk: What the victim had of all disks; a part of a neighbour is that neighbour, as above.
        network: What the victim had of the queues of network devices; a part of a neighbour is that neighbour.
        memory: Whose allocations had memory reclaimed within limits that hold for the victim.
        displaced_ratio: See `displaced_ratio`.
        went_on_s: How long its work went on after its command had returned.
        counted: What the victim's events counted, by name; empty where none is counted.
        bystanders_ns: What the victim waited for others than the neighbours and itself; None: not known.
    """

    duration_s: float
    samples: tuple[Sample, ...]
    victim: CgroupWindow
    others_run_ns: Mapping[str, int]
    busiest_cpu: float | None = None
    signals: VictimSignals = field(default_factory=VictimSignals)
    counted: Mapping[str, Reading] = field(default_factory=dict)
    asleep_s: Mapping[Asleep, float] = field(default_factory=dict)
    stalled_tasks: float = 0.0
    went_on_s: float = 0.0
    disk: DiskUse = field(default_factory=DiskUse)
    network: QueueUse = field(default_factory=QueueUse)
    memory: MemoryContest = field(default_factory=MemoryContest)
    displaced_ratio: float = 0.0
    bystanders_ns: int | None = None

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
    def taken_ratio(self) -> float | None:
        """Which part of its time those took who are no neighbours, 0 to 1: by waits, and by steal. None: not known."""
        if self.bystanders_ns is None:
            return None
        steal_ns = min(self.victim.stolen_ns, self.signals.steal_ns or 0)
        # Several tasks wait at once: their time passes faster than the clock.
        tasks_ns = max(self.spent_s * NS_PER_S, self.victim.run_ns + self.victim.wait_ns)
        return min(1.0, (self.bystanders_ns + steal_ns) / tasks_ns) if tasks_ns else None

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
        disk=disk_of(windows, victim, paths),
        network=network_of(windows, victim, paths),
        memory=memory_of(windows, victim, paths),
    )


def displaced_ratio(window: SchedWindow, victim_run_ns: int, allowed: Collection[int]) -> float:
    """Of what the CPUs that all of a victim's tasks may use gave to others or to nobody, how much others had; 0 to 1.

    A task that waits behind its own kind would have run on an idle one of these. 0 where there are not two of them.
    """
    cpus = [window.cpus[cpu].running for cpu in allowed if cpu < len(window.cpus)]
    others = max(0.0, sum(cpus) - victim_run_ns / window.duration_ns)
    idle = sum(max(0.0, 1 - running) for running in cpus)
    return others / (others + idle) if len(cpus) > 1 and others > 0 else 0.0


def stretch(victim: CgroupWindow) -> float:
    """Seconds that it ran or waited for a CPU, its quota included, per second that it ran."""
    return (victim.run_ns + victim.wait_ns) / max(1, victim.run_ns)


def is_idle(victim: CgroupWindow, duration_s: float) -> bool:
    """Whether it ran too little to say anything about how it ran."""
    return victim.run_ns <= LEAST_RUN_RATIO * duration_s * NS_PER_S


def fold_subtrees(victim: CgroupWindow, neighbours: Iterable[str]) -> CgroupWindow:
    """The same window, with the waits for cgroups below a neighbour charged to that neighbour."""
    paths = list(neighbours)
    return renamed(victim, {name: owner_of(name, paths) for name in victim.waited_for})


def disk_of(windows: Iterable[SchedWindow], victim: str, neighbours: Sequence[str]) -> DiskUse:
    """What the victim with everything below it had of all disks, its waits for a part of a neighbour charged to it."""
    use = disk_use((window.disks for window in windows), victim)
    return use.renamed({path: owner_of(path, neighbours) for path in use.waited_for})


def bystanders_ns(victim: CgroupWindow, neighbours: Iterable[str]) -> int:
    """What a victim, its waits folded by `fold_subtrees`, waited for all but these neighbours and itself.

    Kernel threads work for neighbours too, and those without a name of their own may be parts of one: they are none.
    """
    known = {*neighbours, KERNEL, OTHER, REST}
    return sum(wait.wait_ns for name, wait in victim.waited_for.items() if name not in known)


def network_of(windows: Iterable[SchedWindow], victim: str, neighbours: Sequence[str]) -> QueueUse:
    """What the victim with everything below it had of all network queues; a part of a neighbour is that neighbour."""
    use = queue_use((window.network for window in windows), victim)
    return use.renamed({path: owner_of(path, neighbours) for path in use.waited_for})


def memory_of(windows: Iterable[SchedWindow], victim: str, neighbours: Sequence[str]) -> MemoryContest:
    """What made memory short for the victim with everything below it; a part of a neighbour is that neighbour."""
    found = contest((window.reclaims for window in windows), victim)
    return found.renamed({path: owner_of(path, neighbours) for path in found.others_pages})


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
        quotas_ns=_quotas_ns([signals], victim),
        io_stalled_ns=own.io_some_ns if own else None,
        memory_stalled_ns=own.memory_some_ns if own else None,
        refaulted_pages=total((own.file_refaults, own.anon_refaults)) if own else None,
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
    return VictimSignals(
        throttled_own_ns=_known_sum(own),
        throttled_ancestors_ns=_known_sum(ancestors),
        quotas_ns=_quotas_ns(windows, victim),
    )


def _quotas_ns(windows: Sequence[SignalWindow | None], victim: str) -> dict[str, int] | None:
    """How long each ancestor but the root, which has no quota, was throttled by its own."""
    found: dict[str, int] = {}
    for ancestor in lineage(victim)[1:-1]:
        rows = [window.cgroups.get(ancestor) if window else None for window in windows]
        throttled_ns = _known_sum([row.throttled_own_ns if row else None for row in rows])
        if throttled_ns is None:
            return None
        found[ancestor] = throttled_ns
    return found or None


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
