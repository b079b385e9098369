"""What the scheduler probe hands out: cumulative figures since it was attached, summed over CPUs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from probes.perf_event import Reading, Refusal
from probes.rings import Ring

# Keys that stand for no cgroup; a cgroup's key is its kernfs id, with layout.KEY_V1 added for v1.
KEY_IDLE, KEY_KERNEL, KEY_OTHER, KEY_GONE = -3, -1, -2, -4


@dataclass(frozen=True, slots=True)
class Figures:
    """One cgroup's cumulative figures; see `struct slot_stats` in bpf/layout.h for each one's meaning.

    `histogram` counts finished waits per bucket (layout.bucket_edges_ns); `wait_ns` also holds waits in progress.
    """

    run_ns: int
    wait_ns: int
    self_ns: int
    idle_ns: int
    throttled_ns: int
    migrated_ns: int
    overrun_ns: int
    preempt_wait_ns: int
    stolen_ns: int
    rest_ns: int
    switches_in: int
    preempted_own: int
    preempted_foreign: int
    preempted_throttled: int
    histogram: tuple[int, ...]


class Waits(NamedTuple):
    """How long a victim waited while each of its aggressors ran, and how often each preempted it.

    What was waited for cgroups that are gone from the snapshot stands under KEY_GONE, so that the sum never falls.
    Columns of one length, because 200 cgroups that all wait for one another make 40,000 pairs: as objects they take
    25 MB, as columns 1 MB a snapshot.
    """

    aggressors: Sequence[int]
    wait_ns: Sequence[int]
    preemptions: Sequence[int]


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
        waits: By victim key, with the keys of aggressors in it; the same object while nothing in it grows.
        cpus: By CPU number; a CPU that has not switched yet has zeros.
        paths: Path of each key within its hierarchy.
        homeless: Cgroups that got no slot, so that their figures are in KEY_OTHER.
        shed: What the probe was told to leave out, of `sched.SHEDDING_ORDER`.
        counters: By key and event name, for the events that are counted.
        rings: Who ran on each CPU lately.
        uncounted: Why other events that were asked for are not, by name.
    """

    monotonic_ns: int
    cgroups: Mapping[int, Figures]
    waits: Mapping[int, Waits]
    cpus: tuple[CpuFigures, ...]
    paths: Mapping[int, str]
    homeless: int
    shed: tuple[str, ...] = ()
    counters: Mapping[int, Mapping[str, Reading]] = field(default_factory=dict)
    uncounted: Mapping[str, Refusal] = field(default_factory=dict)
    rings: tuple[Ring, ...] = ()
