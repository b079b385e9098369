"""What each cgroup had of all devices in windows, as figures."""

from collections import defaultdict
from collections.abc import Iterable

from collectors.windows.disks import DiskUse
from collectors.windows.figures import DeviceFigures
from collectors.windows.network import QueueUse
from collectors.windows.sched import SchedWindow


def device_figures(windows: Iterable[SchedWindow]) -> dict[str, DeviceFigures]:
    """By path, of the cgroups that had anything; each without what is below it."""
    found: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(DeviceFigures._fields))

    def count(path: str, **amounts: int) -> None:
        for name, amount in amounts.items():
            found[path][DeviceFigures._fields.index(name)] += amount

    for window in windows:
        for disk in window.disks.values():
            for path, use in disk.items():
                count(path, disk_ns=use.time_ns, disk_behind_ns=_behind_ns(use))
        for device in window.network.values():
            for path, queue in device.items():
                count(path, network_ns=queue.queue_ns, network_behind_ns=_behind_ns(queue))
                count(path, network_dropped=queue.dropped, tcp_retransmits=queue.retransmits)
        for limit in window.reclaims.values():
            for path, reclaim in limit.items():
                count(path, reclaimed_for_pages=reclaim.pages)
    return {path: DeviceFigures._make(amounts) for path, amounts in found.items()}


def _behind_ns(use: DiskUse | QueueUse) -> int:
    return sum(use.waited_for.values())
