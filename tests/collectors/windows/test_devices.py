"""What each cgroup had of all devices, as figures."""

from dataclasses import replace

from collectors.windows.devices import device_figures
from collectors.windows.disks import DiskUse
from collectors.windows.figures import DeviceFigures
from collectors.windows.network import QueueUse
from collectors.windows.reclaims import ReclaimUse
from tests.agent.analysis.trials import window


def test_devices_and_limits_add_up_by_cgroup() -> None:
    busy = replace(
        window(),
        disks={
            "vda": {"/a": DiskUse(queue_ns=10, service_ns=5, waited_for={"/b": 4, "kernel": 1})},
            "vdb": {"/a": DiskUse(service_ns=7), "/b": DiskUse(service_ns=1)},
        },
        network={
            "eth0": {"/a": QueueUse(queue_ns=9, dropped=2, waited_for={"/b": 8})},
            "tcp": {"/a": QueueUse(retransmits=3)},
        },
        reclaims={"/": {"/a": ReclaimUse(1, 60, 1)}, "/a": {"/a": ReclaimUse(1, 4, 1)}},
    )
    assert device_figures([busy]) == {
        "/a": DeviceFigures(22, 5, 9, 8, 2, 3, 64),
        "/b": DeviceFigures(1, 0, 0, 0, 0, 0, 0),
    }
    assert device_figures([busy, window(), busy])["/a"] == DeviceFigures(44, 10, 18, 16, 4, 6, 128)
    assert device_figures([window()]) == {}
