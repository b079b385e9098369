"""What kernel files can tell on this host, and what would fix what they cannot.

Each check tries the very reader that collects the capability: of the host, or of the first cgroup below a mount.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.readings import Missing, missing_in, names_in
from collectors.host.runtimes import runtimes_found
from collectors.host.topology import CpuGroups, read_topology
from collectors.sources.cgroup_files import CgroupReader, CgroupReading
from collectors.sources.cpu_time import HostCpuTime, read_cpu_time
from collectors.sources.frequency import FrequencyReader, read_frequencies
from collectors.sources.psi import REMEDY, host_pressure
from collectors.sources.resctrl import read_resctrl
from collectors.sources.schedstat import NONE, read_task
from collectors.sources.throttling import NO_CONTROLLER
from probes.errors import HostError
from probes.kernel import require_all_tasks

_NO_CLOCKS = "no APERF and MPERF"
CapabilityState = Literal["available", "degraded", "missing"]


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that might be measured here.

    `reason` says why, also when it is available; `remedy` what would fix it, if anything is known to.
    """

    name: str
    state: CapabilityState
    reason: str
    remedy: str | None = None


def file_capabilities(root: Path = Path("/")) -> list[Capability]:
    """The state of every capability that comes from files alone, in a fixed order."""
    return [*_cgroup_capabilities(root), *_host_signals(root)]


def _cgroup_capabilities(root: Path) -> list[Capability]:
    try:
        layout = detect_layout(root)
    except HostError as error:
        absent = Missing(error.message, error.remedy)
        return [_missing(name, absent) for name in _CGROUP_CHECKS]
    return [check(name, layout, root) for name, check in _CGROUP_CHECKS.items()]


def _throttling(name: str, layout: CgroupLayout, _root: Path) -> Capability:
    mount = layout.cpu_mount
    if mount is None:
        return _missing(name, NO_CONTROLLER)
    if layout.cpu_on == "v2" and not (_first_cgroup(mount) / "cpu.max").exists():
        return Capability(
            name,
            "degraded",
            f"the cpu controller is not enabled for the cgroups in {mount}, which can have no limits then",
            f"write +cpu to {mount}/cgroup.subtree_control",
        )
    return Capability(name, "available", f"the cpu controller is in the {layout.cpu_on} hierarchy at {mount}")


def _psi(name: str, layout: CgroupLayout, root: Path) -> Capability:
    figure = f"{name.removeprefix('psi-')}_some_ns"
    host = host_pressure(root)[figure]
    if isinstance(host, Missing):
        return Capability(name, "missing", host.reason, host.remedy or REMEDY)
    cgroup = getattr(_figures_below(layout.v2_mount, layout), figure)
    if isinstance(cgroup, Missing):
        return Capability(name, "degraded", f"only for the whole host: {cgroup.reason}", cgroup.remedy)
    return Capability(name, "available", "for the host and its cgroups")


def _memory(name: str, layout: CgroupLayout, _root: Path) -> Capability:
    mount = layout.v1_mounts.get("memory", layout.v2_mount)
    found = _figures_below(mount, layout)
    wanted = (found.file_refaults, found.major_faults, found.scanned_pages, found.reclaimed_pages)
    absent = list(missing_in(wanted))
    if len(absent) == len(wanted):
        return _missing(name, absent[0])
    if absent:
        return Capability(
            name, "degraded", f"memory.stat below {mount} has no counters of reclaim", "use cgroup v2"
        )
    return Capability(name, "available", f"memory.stat below {mount}")


def _block_io(name: str, layout: CgroupLayout, _root: Path) -> Capability:
    v1 = layout.v1_mounts.get("blkio")
    # The top of v1 sums up everything, and tells whether anything is counted at all.
    reads = (_figures(layout, "/") if v1 else _figures_below(layout.v2_mount, layout)).reads
    return (
        _missing(name, reads)
        if isinstance(reads, Missing)
        else Capability(name, "available", f"cgroups in {v1 or layout.v2_mount}")
    )


def _figures_below(mount: Path | None, layout: CgroupLayout) -> CgroupReading:
    """The figures of the first cgroup below a mount, which has files that the top lacks."""
    name = "" if mount is None else _first_cgroup(mount).relative_to(mount)
    return _figures(layout, f"/{name}" if name != Path() else "/")


def _figures(layout: CgroupLayout, path: str) -> CgroupReading:
    return CgroupReader(layout).read([path])[path]


def _host_signals(root: Path) -> list[Capability]:
    topology = read_topology(root)
    return [
        _frequency(root),
        *_cpu_time(root),
        _groups("smt-topology", topology.cores, "cores"),
        _groups("llc-topology", topology.llc, "last-level caches"),
        _resctrl(root),
        _names(root),
        _schedstat(root),
    ]


def _frequency(root: Path) -> Capability:
    with contextlib.closing(FrequencyReader(root)) as reader:
        if reader.counts:
            return Capability("frequency", "available", "APERF and MPERF through the msr PMU")
        frequencies = read_frequencies(root)
        if isinstance(frequencies, Missing):
            return _missing("frequency", frequencies)
        why, remedy = (reader.refusal.reason, reader.refusal.remedy) if reader.refusal else (_NO_CLOCKS, None)
        return Capability(
            "frequency", "degraded", f"only cpufreq's figure at the moment of reading: {why}", remedy
        )


def _cpu_time(root: Path) -> list[Capability]:
    times = read_cpu_time(root)
    if isinstance(times, Missing):
        return [_missing("steal", times), _missing("interrupts", times)]
    return [_steal(times), _interrupts(times)]


def _steal(times: HostCpuTime) -> Capability:
    steal_ns = times.total.steal_ns
    if isinstance(steal_ns, Missing):
        return _missing("steal", steal_ns)
    return Capability("steal", "available", "the hypervisor reports stolen time; without one it is 0")


def _interrupts(times: HostCpuTime) -> Capability:
    absent = next(missing_in((times.total.irq_ns, times.total.softirq_ns)), None)
    if absent is not None:
        return _missing("interrupts", absent)
    if times.total.irq_ns == 0:
        return Capability(
            "interrupts",
            "degraded",
            "no hardware interrupt time since boot: it is sampled at the timer tick, if at all",
            "a kernel with CONFIG_IRQ_TIME_ACCOUNTING",
        )
    return Capability("interrupts", "available", "time in hardware and software interrupts per CPU")


def _groups(name: str, groups: CpuGroups | Missing, what: str) -> Capability:
    if isinstance(groups, Missing):
        return _missing(name, groups)
    return Capability(name, "available", f"{what}: {len(groups)}, CPUs: {sum(map(len, groups))}")


def _resctrl(root: Path) -> Capability:
    groups = read_resctrl(root)
    if isinstance(groups, Missing):
        return _missing("resctrl", groups)
    return Capability("resctrl", "available", f"{len(groups)} monitored groups")


def _names(root: Path) -> Capability:
    found = runtimes_found(root)
    source = f"containers by the files of {', '.join(found)}" if found else "no container's state was found"
    return Capability("names", "available", f"units and ids by path; {source}")


def _schedstat(root: Path) -> Capability:
    try:
        require_all_tasks(root)
    except HostError as error:
        return _missing("schedstat", Missing(error.message, error.remedy))
    task = read_task(root / "proc/self")
    if isinstance(task, Missing):
        return _missing("schedstat", task)
    if (task.run_ns, task.slices) == (NONE.run_ns, NONE.slices):
        return _missing(
            "schedstat",
            Missing("the kernel does not account for waiting per task", "sysctl kernel.task_delayacct=1"),
        )
    return Capability(
        "schedstat", "available", "waits per cgroup without eBPF, and without who was waited for"
    )


def _first_cgroup(mount: Path) -> Path:
    """The first cgroup below a mount, which has files that the top lacks; the top if it has none."""
    return next((mount / name for name in names_in(mount) if (mount / name).is_dir()), mount)


def _missing(name: str, why: Missing) -> Capability:
    return Capability(name, "missing", why.reason, why.remedy)


_CGROUP_CHECKS: dict[str, Callable[[str, CgroupLayout, Path], Capability]] = {
    "throttling": _throttling,
    "psi-cpu": _psi,
    "psi-memory": _psi,
    "psi-io": _psi,
    "memory-reclaim": _memory,
    "block-io": _block_io,
}
