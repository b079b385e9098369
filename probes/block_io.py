"""What bpf/block.c counts: whose requests each disk served, how long they waited, and behind whose."""

import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from probes import charged_maps

NR_BUCKETS = 24
"""Of the histogram: the first ends at 1,024 ns, each other at twice the one before; the last is open."""

TRACEPOINTS = {
    "on_rq_insert": "block_rq_insert",
    "on_rq_issue": "block_rq_issue",
    "on_rq_complete": "block_rq_complete",
}
MAPS = ("io_requests", "io_slices", "io_heads", "io_stats", "io_pairs")
_KEY = struct.Struct("<IHH")
_STATS = struct.Struct(f"<9Q{NR_BUCKETS}I")
DEFINES = {"SIZE_IO_STATS": _STATS.size}
_MINOR_BITS = 20


class DiskFigures(NamedTuple):
    """What one cgroup had of one disk: cumulative, or grown between two readings. Times are summed over requests.

    `queue_ns` and `service_ns` are the whole time of its requests; `self_ns`, `unattributed_ns` and the waits are its
    parts: while the disk served this cgroup's own requests, nobody's that is known, and others'.
    """

    reads: int
    writes: int
    other_requests: int
    read_bytes: int
    written_bytes: int
    queue_ns: int
    service_ns: int
    self_ns: int
    unattributed_ns: int
    histogram: tuple[int, ...]
    waits_ns: Mapping[int, int]


Disks = Mapping[str, Mapping[int, DiskFigures]]
"""By the kernel's name of a disk (`vda`), and a cgroup's key."""


def disk_name(major: int, minor: int, root: Path = Path("/")) -> str | None:
    """The kernel's name of a disk, its numbers where it is gone; None where it lies on other disks, whose it has."""
    where = root / f"sys/dev/block/{major}:{minor}"
    try:
        if any((where / "slaves").iterdir()):
            return None
        return where.resolve(strict=True).name
    except OSError:
        return f"{major}:{minor}"


class DiskReader:
    """Reads the maps; a reading costs nothing to speak of while there was no I/O."""

    def __init__(self, descriptors: Mapping[str, int]) -> None:
        """`descriptors`: of the maps, by name."""
        self._stats, self._pairs = (descriptors[name] for name in ("io_stats", "io_pairs"))
        self._names: dict[int, str | None] = {}

    def read(self, key_of: Callable[[int], int]) -> Disks:
        """All there is, by the keys of its slots."""
        waits = charged_maps.waits(self._pairs, _KEY, key_of)
        disks: dict[str, dict[int, DiskFigures]] = {}
        for (device, slot, _), figures in charged_maps.rows(self._stats, _KEY, _STATS):
            if name := self._name(device):
                found = DiskFigures._make((*figures[:9], figures[9:], waits.get((device, slot), {})))
                disks.setdefault(name, {})[key_of(slot)] = found
        return disks

    def _name(self, device: int) -> str | None:
        if device not in self._names:
            self._names[device] = disk_name(device >> _MINOR_BITS, device & (1 << _MINOR_BITS) - 1)
        return self._names[device]

    def forget(self, slots: Iterable[int]) -> None:
        """Of cgroups that are gone: their slots are given again."""
        gone = set(slots)
        charged_maps.forget(self._stats, _KEY, _STATS, gone)
        charged_maps.forget(self._pairs, _KEY, charged_maps.PAIR, gone)
