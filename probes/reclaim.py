"""What bpf/reclaim.c counts: whose allocations had memory taken away, and within which limit."""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from probes import charged_maps

TRACEPOINTS = {
    "on_memcg_reclaim_begin": "mm_vmscan_memcg_reclaim_begin",
    "on_memcg_reclaim_end": "mm_vmscan_memcg_reclaim_end",
    "on_direct_reclaim_begin": "mm_vmscan_direct_reclaim_begin",
    "on_direct_reclaim_end": "mm_vmscan_direct_reclaim_end",
}
MAPS = ("reclaim_begun", "reclaim_stats")
HOST, UNKNOWN = "/", "unknown"
"""Names of limits that are no cgroup's: of the host's memory, and none that was reached."""

_NO_CGROUPS = {0: HOST, 1: UNKNOWN}
_KEY = struct.Struct("<QQ")
_STATS = struct.Struct("<3Q")


class ReclaimFigures(NamedTuple):
    """Reclaims in one cgroup's name within one limit: cumulative, or grown between two readings."""

    reclaims: int
    pages: int
    time_ns: int


Reclaims = Mapping[str, Mapping[int, ReclaimFigures]]
"""By the path of the limit's cgroup in the memory controller's hierarchy (or HOST, UNKNOWN), and a cgroup's key."""


class ReclaimReader:
    """Reads the maps; a reading costs nothing to speak of while memory suffices."""

    def __init__(
        self, descriptors: Mapping[str, int], list_limits: Callable[[], Iterable[tuple[int, str]]]
    ) -> None:
        """`descriptors`: of the maps, by name; `list_limits` lists (id, path) of the memory controller's cgroups."""
        self._stats = descriptors["reclaim_stats"]
        self._list_limits = list_limits
        self._paths: dict[int, str] = dict(_NO_CGROUPS)

    def read(self, key_of: Callable[[int], int]) -> Reclaims:
        """All there is, by the keys of its slots."""
        found: dict[str, dict[int, ReclaimFigures]] = {}
        for (limit, slot), figures in charged_maps.rows(self._stats, _KEY, _STATS):
            by_key = found.setdefault(self._path(limit), {})
            known = by_key.get(key_of(slot), ReclaimFigures(0, 0, 0))
            by_key[key_of(slot)] = ReclaimFigures._make(map(sum, zip(known, figures, strict=True)))
        return found

    def _path(self, limit: int) -> str:
        """Of a cgroup that is gone before it was looked for, UNKNOWN. An id is given once."""
        if limit not in self._paths:
            self._paths.update(self._list_limits())
        return self._paths.setdefault(limit, UNKNOWN)

    def forget(self, slots: Iterable[int]) -> None:
        """Of cgroups that are gone: their slots are given again."""
        charged_maps.forget(self._stats, _KEY, _STATS, slots)
