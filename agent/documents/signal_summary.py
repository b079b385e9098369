"""What the signals beside the scheduler's add up to, per cgroup and for the host: records of `jostle.summary/1`.

A figure is the sum over those windows that have it, None where none has.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignalSummary:
    """One cgroup over the whole recording, as its kernel files and the counters have it.

    What each figure means: `collectors.sources.cgroup_files` and `memory`, `collectors.windows.counters`.
    Misses are per 1,000 instructions.
    """

    nr_periods: int | None  # of its own limit
    nr_throttled: int | None
    throttled_own_ns: int | None  # by its own limit, summed over CPUs
    throttled_ancestors_ns: int | None  # its ancestors, by theirs
    throttled_any_ns: int | None  # its tasks, by any of them
    cpu_some_ns: int | None  # at least one task stalled; full: all of them
    cpu_full_ns: int | None
    memory_some_ns: int | None
    memory_full_ns: int | None
    io_some_ns: int | None
    io_full_ns: int | None
    file_refaults: int | None
    anon_refaults: int | None
    scanned_pages: int | None
    reclaimed_pages: int | None
    major_faults: int | None
    memory_high_events: int | None
    memory_max_events: int | None
    oom_kills: int | None
    read_bytes: int | None
    written_bytes: int | None
    reads: int | None
    writes: int | None
    instructions: int | None
    cycles: int | None
    ipc: float | None
    llc_misses: float | None
    dtlb_misses: float | None
    itlb_misses: float | None
    branch_misses: float | None
    running_ratio: float | None  # how much of the time the events had a register, the worst of them


@dataclass(frozen=True, slots=True)
class CorunWith:
    """How long a cgroup ran while this one did, on a sibling thread or on a CPU of the same last-level cache."""

    name: str
    smt_ns: int
    llc_ns: int


@dataclass(frozen=True, slots=True)
class WorkloadSummary:
    """Who runs in a cgroup, as far as its path and the runtimes' files tell. Every name is hostile text."""

    kind: str
    unit: str | None = None
    runtime: str | None = None
    container_id: str | None = None
    container: str | None = None
    pod: str | None = None
    pod_uid: str | None = None
    namespace: str | None = None
    qos_class: str | None = None


@dataclass(frozen=True, slots=True)
class CpuSummary:
    """One CPU; `frequency_mhz` is the mean over the windows."""

    cpu: int
    steal_ns: int | None
    irq_ns: int | None
    softirq_ns: int | None
    frequency_mhz: float | None


@dataclass(frozen=True, slots=True)
class CacheSummary:
    """One resctrl group in one cache domain; `occupancy_bytes` is the mean over the windows."""

    group: str
    domain: int
    occupancy_bytes: float | None
    total_bytes: int | None
    local_bytes: int | None


@dataclass(frozen=True, slots=True)
class HostSummary:
    """The host; `pressure` by name, as in a cgroup (`io_some_ns`)."""

    cpus: tuple[CpuSummary, ...]
    pressure: Mapping[str, int | None]
    caches: tuple[CacheSummary, ...]
