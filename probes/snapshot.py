"""What the scheduler probe hands out: cumulative figures since it was attached, summed over CPUs.

Waits for one another alone count since the reading before: all that ever were would be 40,000 on a host where 200
cgroups wait for one another, to be looked through every second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from probes.block_io import Disks
from probes.network import Queues
from probes.perf_event import Reading, Refusal
from probes.reclaim import Reclaims

# Keys that stand for no cgroup; a cgroup's key is its kernfs id, with layout.KEY_V1 added for v1.
KEY_IDLE, KEY_KERNEL, KEY_OTHER = -3, -1, -2


class SchedFigures(NamedTuple):
    """One cgroup's cumulative figures, in the order of `layout.FIELDS`; their meaning is in bpf/layout.h.

    `histogram` counts finished waits per bucket (layout.bucket_edges_ns); `wait_ns` also holds waits in progress.
    A named tuple, which is made in a fifth of a frozen data class's time: of 300 cgroups at each reading.
    """

    run_ns: int
    wait_ns: int
    self_ns: int
    wakeup_ns: int
    preempt_wait_ns: int
    stolen_ns: int
    switches_in: int
    preempted_own: int
    preempted_foreign: int
    preempted_throttled: int
    throttled_ns: int
    unattributed_ns: int
    rest_ns: int
    sampled_ns: int
    newcomers: int
    histogram: tuple[int, ...]


Wait = tuple[int, int, int]
"""How long a victim waited in ns while an aggressor ran, how often that one preempted it, and the aggressor's key.

In this order the heaviest sorts last. A plain tuple: where 200 cgroups wait for one another there are 10,000 a second.
"""


class Ring(NamedTuple):
    """One CPU: (start in ns, cgroup's key) of slices in order, each until the next one, the last until `until_ns`."""

    until_ns: int
    slices: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CpuFigures:
    """One CPU: busy time without idle, waiting time without throttled (summed over tasks), context switches."""

    run_ns: int
    wait_ns: int
    switches: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All cumulative figures at one moment.

    Attributes:
        monotonic_ns: When, by CLOCK_MONOTONIC.
        cgroups: By key. A removed cgroup stays for two snapshots after its removal, then goes.
        waits: By victim key, of those who waited for others since the reading before.
        cpus: By CPU number; a CPU that has not switched yet has zeros.
        paths: Path of each key within its hierarchy.
        untracked: Cgroups that got no slot, or lately no cell, so that their figures, or some, are in KEY_OTHER.
        waits_since_ns: The `monotonic_ns` of the reading before.
        shed: What the probe was told to leave out, of `sched_probe.SHEDDING_ORDER`.
        counters: By key and event name, for the events that are counted.
        rings: Who ran on each CPU lately.
        removed: Keys of those of `cgroups` that had been removed when they were read.
        tasks: By key, at most how many tasks it had since the reading before; none where that is not known.
        reach_ns: How far back the figures of one task may reach, to the reading before; 0: not known.
        disks: What each cgroup had of each disk; empty where block I/O is not looked at.
        network: What each cgroup had of each network device's queue; empty where that is not looked at.
        reclaims: Whose allocations had memory reclaimed, by limit.
        uncounted: Why other events that were asked for are not, by name.
    """

    monotonic_ns: int
    cgroups: Mapping[int, SchedFigures]
    waits: Mapping[int, Sequence[Wait]]
    cpus: tuple[CpuFigures, ...]
    paths: Mapping[int, str]
    untracked: int
    waits_since_ns: int = 0
    shed: tuple[str, ...] = ()
    counters: Mapping[int, Mapping[str, Reading]] = field(default_factory=dict)
    uncounted: Mapping[str, Refusal] = field(default_factory=dict)
    rings: tuple[Ring, ...] = ()
    removed: frozenset[int] = frozenset()
    tasks: Mapping[int, int] = field(default_factory=dict)
    reach_ns: int = 0
    disks: Disks = field(default_factory=dict)
    network: Queues = field(default_factory=dict)
    reclaims: Reclaims = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CountingCost:
    """What the hook's readings of the events took since it was attached, all CPUs together.

    Attributes:
        changes: How often it read them: once per switch to another slot.
        timed: How many of these readings it timed.
        timed_ns: How long those took, without the clock's own part.
    """

    changes: int
    timed: int
    timed_ns: int

    @property
    def ns_per_change(self) -> float | None:
        """What a switch to another slot costs more than one within a slot; None until a reading was timed."""
        return self.timed_ns / self.timed if self.timed else None

    def ns_per_switch(self, before: "CountingCost", switches: int) -> float | None:
        """What counting added to each of the `switches` since an earlier moment, those within a slot among them."""
        if self.ns_per_change is None or not switches:
            return None
        return self.ns_per_change * (self.changes - before.changes) / switches


@dataclass(frozen=True, slots=True)
class ProbeCost:
    """What the programs of the probe took since they were attached, all CPUs together.

    Attributes:
        switches: How often the switch hook ran.
        timed: How many of these runs it timed; see bpf/timing.h.
        timed_ns: How long those took, without the clock's own part.
        other_ns: What hooks on moves and block I/O took, by runs that were timed, and the programs that readings run.
        counting: The part in which events are read; None where none is counted.
        memory_bytes: Of the kernel's, that maps and programs hold.
    """

    switches: int
    timed: int
    timed_ns: int
    other_ns: int
    counting: CountingCost | None = None
    memory_bytes: int | None = None
