"""Windows that follow one another as one, which holds what they do."""

from collections.abc import Sequence

from collectors.windows import charged, disks, network, reclaims
from collectors.windows.sched import CpuWindow, SchedWindow, totals
from collectors.windows.signals import add_signals


def add_windows(parts: Sequence[SchedWindow]) -> SchedWindow:
    """Windows that follow one another as one. At least one."""
    if len(parts) == 1:
        return parts[0]
    return SchedWindow(
        end_ns=parts[-1].end_ns,
        duration_ns=sum(part.duration_ns for part in parts),
        cgroups=totals(parts),
        cpus=tuple(_mean_cpu(cpu, parts) for cpu in range(min(len(part.cpus) for part in parts))),
        untracked=max(part.untracked for part in parts),
        shed=tuple(dict.fromkeys(name for part in parts for name in part.shed)),
        signals=add_signals(read) if (read := [part.signals for part in parts if part.signals]) else None,
        impossible=sum(part.impossible for part in parts),
        disks=charged.over_time([part.disks for part in parts], disks.add),
        reclaims=charged.over_time([part.reclaims for part in parts], reclaims.add),
        network=charged.over_time([part.network for part in parts], network.add),
    )


def _mean_cpu(cpu: int, parts: Sequence[SchedWindow]) -> CpuWindow:
    """Means over time are weighted by it: windows are not all of one length."""
    duration_ns = sum(part.duration_ns for part in parts)
    return CpuWindow(
        running=sum(part.cpus[cpu].running * part.duration_ns for part in parts) / duration_ns,
        waiting=sum(part.cpus[cpu].waiting * part.duration_ns for part in parts) / duration_ns,
        switches=sum(part.cpus[cpu].switches for part in parts),
    )
