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
from probes.errors import JostleError
from probes.kernel import Kernel

_OF_THE_PROBE = (
    "scheduler latency",
    "preemption",
    "run-queue length",
    "throttled waits",
    "stolen time",
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
            return [*_scheduler(probe.kernel), _corun(topology)], counting
    except JostleError as error:
        missing = [Capability(name, "missing", error.message, error.remedy) for name in _OF_THE_PROBE]
        return missing, uncounted(error.message)


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
