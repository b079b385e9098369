"""What this host can measure: each capability's state, why, and what would fix it."""

from collections.abc import Iterator
from pathlib import Path

from agent.documents.capabilities import Counting, Examination
from agent.recording.counting_cost import events_to_try, measure_counting, uncounted
from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.readings import Missing
from collectors.host.topology import Topology, read_topology
from collectors.sources.capabilities import Capability, file_capabilities
from collectors.sources.counting import capabilities as counter_capabilities
from collectors.sources.ebpf import open_probe
from probes import loader
from probes.compiled import CompileRequest
from probes.errors import JostleError
from probes.kernel import Kernel
from probes.sched_probe import SchedProbe

_OF_THE_PROBE = (
    "compiled probes",
    "kernel memory",
    "scheduler latency",
    "preemption",
    "run-queue length",
    "throttled waits",
    "stolen time",
    "disk waits",
    "network queues",
    "reclaim by whom",
    "co-run",
)


def examine(root: Path = Path("/")) -> Examination:
    """All capabilities. Attaches the probe for a moment to see whether it can, and what its counters cost."""
    try:
        layout = detect_layout(root)
    except JostleError as error:
        return Examination(
            (Capability("cgroups", "missing", error.message, error.remedy),), uncounted(error.message)
        )
    scheduler, counting = _probed(layout, read_topology(root))
    return Examination(
        (*scheduler, _cgroups(layout), *counter_capabilities(), *file_capabilities(root)), counting
    )


def _probed(layout: CgroupLayout, topology: Topology) -> tuple[list[Capability], Counting]:
    """The capabilities of the probe, and what its counters cost."""
    events, why_stand_ins = events_to_try()
    try:
        with open_probe(layout, events) as probe:
            counting = measure_counting(probe, events, why_stand_ins)
            compiled = _compiled(probe.request(0 if why_stand_ins else len(events)), probe.not_kept)
            scheduler = [compiled, _memory(probe), *_scheduler(probe.kernel)]
            return [*scheduler, *_devices(probe.kernel, layout), _corun(topology)], counting
    except JostleError as error:
        missing = [Capability(name, "missing", error.message, error.remedy) for name in _OF_THE_PROBE]
        return missing, uncounted(error.message)


def _compiled(request: CompileRequest, not_kept: str | None) -> Capability:
    """Whether a recording's start needs the compiler."""
    name = "compiled probes"
    for found in loader.look_up(request):
        if found.probes:
            return Capability(name, "available", f"kept in {found.path}: a start needs no compiler")
        if found.why_not:
            remedy = f"remove it, or make {found.path} yours alone to write to"
            return Capability(name, "degraded", f"{found.path} is not taken: {found.why_not}", remedy)
    if not_kept:
        return Capability(name, "degraded", f"compiled at each start: {not_kept}", "jostle prepare --help")
    return Capability(name, "available", "compiled by bcc at the first start, and kept")


def _memory(probe: SchedProbe) -> Capability:
    """What the maps hold, for how much; it is not swapped, and counts to the cgroup that starts the probe."""
    held, sizes = probe.cost().memory_bytes, probe.dimensions
    how_much = "not told by the kernel" if held is None else f"{held / (1 << 20):.0f} MiB"
    return Capability(
        "kernel memory", "available", f"{how_much}: for {sizes.cpus} CPUs and {sizes.slots} cgroups"
    )


def _scheduler(known: Kernel) -> Iterator[Capability]:
    how = (
        "eBPF, typed pointers"
        if known.typed
        else "eBPF, untyped raw tracepoint: some 5 times the cost per switch"
    )
    yield Capability("scheduler latency", "available", how)
    yield Capability("preemption", "available", f"{how}; by whom, own and foreign apart")
    yield Capability("run-queue length", "available", f"{how}; by Little's law, exact")
    yield from _kernel_options(known)


def _kernel_options(known: Kernel) -> Iterator[Capability]:
    if known.throttling:
        yield Capability("throttled waits", "available", "told apart from waits behind someone")
    else:
        yield Capability(
            "throttled waits", "missing", "the kernel has no CPU bandwidth control", "CONFIG_CFS_BANDWIDTH=y"
        )
    if known.stolen:
        yield Capability(
            "stolen time", "available", "interrupts or the hypervisor, as far as the kernel accounts for it"
        )
    else:
        remedy = "CONFIG_IRQ_TIME_ACCOUNTING=y or CONFIG_PARAVIRT_TIME_ACCOUNTING=y"
        yield Capability("stolen time", "missing", "the run queue's clock does not tell it", remedy)


def _devices(known: Kernel, layout: CgroupLayout) -> Iterator[Capability]:
    """What the kernel shows of who is served while others wait; each by the presence of what it takes."""
    if known.block_argument is None:
        yield Capability(
            "disk waits", "missing", "the kernel has no block layer's tracepoints", "CONFIG_BLOCK=y"
        )
    elif layout.mode == "v1":
        yield Capability(
            "disk waits", "degraded", "what is written back later is the kernel's: v1 does not tell"
        )
    else:
        yield Capability(
            "disk waits", "available", "by the block layer's tracepoints, also where io.stat is not"
        )
    if not known.network:
        yield Capability(
            "network queues",
            "missing",
            "the kernel tells no queue's packets and their cgroups",
            "run Linux 5.17",
        )
    elif layout.v2_mount is None:
        yield Capability(
            "network queues", "missing", "sockets tell their cgroup in v2 alone", "mount cgroup2"
        )
    else:
        yield Capability(
            "network queues", "available", "of devices that have a queue (tc qdisc); busy ones by sample"
        )
    if known.reclaim:
        yield Capability(
            "reclaim by whom", "available", "by the reclaim tracepoints, by the limit that was reached"
        )
    else:
        yield Capability(
            "reclaim by whom",
            "missing",
            "the kernel has no memory controller that shows it",
            "CONFIG_MEMCG=y",
        )


def _corun(topology: Topology) -> Capability:
    """Who ran beside whom: of the probe's rings, on CPUs that the topology says to share something."""
    told = {"cores": topology.cores, "caches": topology.llc}
    shared = [what for what, groups in told.items() if not isinstance(groups, Missing)]
    untold = next((groups for groups in told.values() if isinstance(groups, Missing)), None)
    if not shared and untold:
        return Capability("co-run", "missing", untold.reason, untold.remedy)
    how = f"the latest stretch of each window, on CPUs with {' and '.join(shared)} in common"
    return Capability(
        "co-run", "degraded" if untold else "available", f"{how}{'; ' + untold.reason if untold else ''}"
    )


def _cgroups(layout: CgroupLayout) -> Capability:
    identity = {
        "v2": "cgroups are told apart by the v2 hierarchy",
        "v1": "cgroups are told apart by the v1 cpu hierarchy",
        "hybrid": "cgroups are told apart by the v2 hierarchy, those that only the v1 cpu hierarchy has by that",
    }[layout.mode]
    if layout.cpu_on is None:
        remedy = "mount the cpu controller"
        return Capability(
            "cgroups", "degraded", f"{identity}; no cpu controller, so no limits and weights", remedy
        )
    return Capability("cgroups", "available", f"{identity}; the cpu controller is on {layout.cpu_on}")
