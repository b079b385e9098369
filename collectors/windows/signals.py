"""What else, beside the scheduler, may have slowed each cgroup in a window: the records.

A figure is None where there is none in that window, and `missing` says why: a file was unreadable, had vanished or
held nonsense, or its counter went back. None is never 0, and no figure is negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from collectors.host.workloads import Workload
from collectors.windows.corun import Corun
from probes.perf_event import Reading


class CgroupSignals(NamedTuple):
    """One cgroup in one window: how much each of `CgroupFigures` grew; the limit as it was at the end.

    `limit_cpus` is `inf` where there is no limit. Times are in ns, `throttled_*` summed over CPUs.
    """

    limit_cpus: float | None
    nr_periods: int | None
    nr_throttled: int | None
    throttled_own_ns: int | None
    throttled_ancestors_ns: int | None
    throttled_any_ns: int | None
    cpu_some_ns: int | None
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


class CpuSignals(NamedTuple):
    """One CPU in one window: what the hypervisor and interrupts took, and its mean frequency while not idle.

    Where APERF and MPERF cannot be counted, `frequency_khz` is what cpufreq said at the end of the window.
    """

    steal_ns: int | None
    irq_ns: int | None
    softirq_ns: int | None
    frequency_khz: int | None


class CacheSignals(NamedTuple):
    """One resctrl group in one cache domain: bytes held at the end, and moved to and from memory in the window."""

    occupancy_bytes: int | None
    total_bytes: int | None
    local_bytes: int | None


@dataclass(frozen=True, slots=True)
class HostSignals:
    """The host in one window: each CPU by number, stalled time of all tasks, and each resctrl group's domains."""

    cpus: Mapping[int, CpuSignals]
    pressure: Mapping[str, int | None]  # by name, as in `CgroupSignals`: cpu_some_ns … io_full_ns
    caches: Mapping[str, Mapping[int, CacheSignals]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absence:
    """Why figures of one name are None, and how many: the first reason of perhaps several."""

    reason: str
    figures: int
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class SignalWindow:
    """All signals but the scheduler's in one window.

    Attributes:
        cgroups: By path.
        host: Of the host.
        names: Which workload each of these cgroups is.
        counters: Growth of each event that is counted, by path and the event's name; see `windows.counters`.
        coruns: Who ran at the same time on CPUs that share something, by victim and aggressor; see `corun`.
        missing: Why figures are None, by their name; of a CPU's as `cpu.steal_ns`, of the host's as
            `host.io_some_ns`, of resctrl's as `cache.total_bytes`, of an event's as `counters.cycles`.
    """

    cgroups: Mapping[str, CgroupSignals]
    host: HostSignals
    names: Mapping[str, Workload] = field(default_factory=dict)
    counters: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)
    missing: Mapping[str, Absence] = field(default_factory=dict)
    coruns: Mapping[str, Mapping[str, Corun]] = field(default_factory=dict)
