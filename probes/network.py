"""What bpf/network.c counts: how long packets waited until their device sent them, and behind whose."""

import contextlib
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from probes import charged_maps

TRACEPOINTS = {
    "on_enqueue": "qdisc_enqueue",
    "on_dequeue": "qdisc_dequeue",
    "on_retransmit": "tcp_retransmit_skb",
    "on_drop": "kfree_skb",
}
MAPS = (
    "net_buckets",
    "net_queued",
    "net_slices",
    "net_heads",
    "net_ticks",
    "net_stats",
    "net_pairs",
    "net_names",
)
TCP = "tcp"
"""In the place of a device, for what TCP sent again."""

_KEY = struct.Struct("<QII")
_STATS = struct.Struct("<7Q")
_DEVICE = struct.Struct("<Q")
_NAME = struct.Struct("<16s")
_NO_DEVICE = 0


class QueueFigures(NamedTuple):
    """What one cgroup had of one device's queue: cumulative, or grown between two readings.

    `queue_ns` is the time of its packets until they were sent, summed over packets, and the sum of `self_ns` (its own
    were sent), `unattributed_ns` and the waits. All but the last two are estimates where many packets are sent.
    """

    packets: int
    bytes: int
    queue_ns: int
    self_ns: int
    unattributed_ns: int
    dropped: int
    retransmits: int
    waits_ns: Mapping[int, int]


Queues = Mapping[str, Mapping[int, QueueFigures]]
"""By device, or TCP, and a cgroup's key. Devices of other network namespaces have that behind their name."""


class NetworkReader:
    """Reads the maps; a reading costs nothing to speak of while nothing was queued."""

    def __init__(self, descriptors: Mapping[str, int]) -> None:
        """`descriptors`: of the maps, by name."""
        self._stats, self._pairs, self._names_fd = (
            descriptors[name] for name in ("net_stats", "net_pairs", "net_names")
        )
        self._names: dict[int, str] = {_NO_DEVICE: TCP}
        self._host = _host_namespace()

    def read(self, key_of: Callable[[int], int]) -> Queues:
        """All there is, by the keys of its slots."""
        waits = charged_maps.waits(self._pairs, _KEY, key_of)
        found: dict[str, dict[int, QueueFigures]] = {}
        for (device, slot, _), numbers in charged_maps.rows(self._stats, _KEY, _STATS):
            figures = QueueFigures._make((*numbers, waits.get((device, slot), {})))
            found.setdefault(self._name(device), {})[key_of(slot)] = figures
        return found

    def _name(self, device: int) -> str:
        if device not in self._names:
            for (number,), (name,) in charged_maps.rows(self._names_fd, _DEVICE, _NAME):
                text = name.split(b"\0")[0].decode("ascii", "backslashreplace")
                namespace = number >> 32
                self._names[number] = text if namespace == self._host else f"{text} (net:{namespace})"
        return self._names.setdefault(device, f"{device & 0xFFFFFFFF} (net:{device >> 32})")

    def forget(self, slots: Iterable[int]) -> None:
        """Of cgroups that are gone: their slots are given again."""
        gone = set(slots)
        charged_maps.forget(self._stats, _KEY, _STATS, gone)
        charged_maps.forget(self._pairs, _KEY, charged_maps.PAIR, gone)


def _host_namespace() -> int | None:
    """The inode of the first process's network namespace; of this one's own where that is not to be seen."""
    for process in ("1", "self"):
        with contextlib.suppress(OSError):
            return os.stat(f"/proc/{process}/ns/net").st_ino  # noqa: PTH116  one call
    return None
