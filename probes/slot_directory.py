"""Which cgroup has which slot: user space's half of the bookkeeping whose other half is bpf/lifecycle.c.

User space gives slots to the cgroups that exist when the probe starts, the mkdir hook to those that come later,
from a ring of free slots that only user space fills. Only user space frees.
"""

import mmap
import os
from collections.abc import Callable, Iterable

from probes import layout
from probes.layout import Dimensions

# Slots kept back for cgroups that are made while the existing ones are being listed.
_RESERVE = 64
_MULTIPLIER = 0x9E3779B97F4A7C15
_U64 = 8


class SlotDirectory:
    """Slot to (key, path), for every live slot; births and deaths are taken in by `update`."""

    def __init__(self, maps: dict[str, mmap.mmap], dimensions: Dimensions) -> None:
        self._buckets = maps["slot_buckets"]
        self._names = maps["slot_names"]
        self._lifecycle = maps["lifecycle"]
        self._free_ring = maps["free_slots"]
        self._died_ring = maps["died_slots"]
        self._dimensions = dimensions
        self._births_seen = 0
        self._deaths_seen = 0
        self._unassigned = list(range(dimensions.slots - 1, layout.FIRST_SLOT - 1, -1))
        self._unplaced: set[int] = set()
        self.live: dict[int, tuple[int, str]] = {}

    def assign_existing(self, cgroups: Iterable[tuple[int, str]]) -> None:
        """Give slots to cgroups that are there already, then leave the rest of the slots to the mkdir hook."""
        for key, path in cgroups:
            if len(self._unassigned) > _RESERVE:
                self._assign(key, path)
            else:
                self._unplaced.add(key)
        spare, self._unassigned = self._unassigned[_RESERVE:], self._unassigned[:_RESERVE]
        self._offer(reversed(spare))

    def assign_missed(self, list_cgroups: Callable[[], Iterable[tuple[int, str]]]) -> None:
        """With the hooks attached: give slots to what was made since the first listing, until none is missing.

        The hook may claim the same place in a bucket at the same moment and win; so it looks again.
        """
        for _ in range(10):
            self.update()
            known = {key for key, _ in self.live.values()} | self._unplaced
            missing = [
                (key, path) for key, path in list_cgroups() if key not in known or not self._is_placed(key)
            ]
            missing = [(key, path) for key, path in missing if key not in self._unplaced]
            if not missing:
                return
            for key, path in missing:
                self._assign(key, path)

    @property
    def homeless(self) -> int:
        """Cgroups without a slot: those that never got one here or from the mkdir hook, less the removed ones."""
        return max(0, len(self._unplaced) + self._head()[3])

    def update(self) -> list[int]:
        """Take in births; return the slots of cgroups that died since the last call."""
        births, _, deaths, _ = self._head()
        for place in range(self._births_seen, births):
            slot = self._ring_at(self._free_ring, place)
            self.live[slot] = self._read_name(slot)
        self._births_seen = births
        died = [self._ring_at(self._died_ring, place) for place in range(self._deaths_seen, deaths)]
        self._deaths_seen = deaths
        return [slot for slot in died if slot in self.live]

    def free(self, slots: list[int]) -> None:
        """Forget dead cgroups and offer their slots again; their figures must have been cleared before."""
        for slot in slots:
            key, _ = self.live.pop(slot)
            offset = self._find(key)
            if offset is not None:
                layout.SLOT_ENTRY.pack_into(self._buckets, offset, 0, 0)
        self._offer(slots)

    def _assign(self, key: int, path: str) -> None:
        offset = self._find(0, near=key)
        if offset is None or not self._unassigned:
            self._unplaced.add(key)
            return
        slot = self._unassigned.pop()
        # The slot first: the hook takes an entry for valid as soon as it sees the key.
        layout.SLOT_ENTRY.pack_into(self._buckets, offset, 0, slot)
        layout.SLOT_ENTRY.pack_into(self._buckets, offset, key, slot)
        self.live[slot] = (key, path)

    def _offer(self, slots: Iterable[int]) -> None:
        head = list(self._head())
        for slot in slots:
            offset = head[1] % self._dimensions.slots * _U64
            self._free_ring[offset : offset + _U64] = slot.to_bytes(_U64, "little")
            head[1] += 1
        # Only the tail is ours: the hooks write the other counters.
        self._lifecycle[_U64 : 2 * _U64] = head[1].to_bytes(_U64, "little")

    def _head(self) -> tuple[int, int, int, int]:
        births, offered, deaths, homeless = layout.LIFECYCLE.unpack_from(self._lifecycle)
        return births, offered, deaths, homeless

    def _ring_at(self, ring: mmap.mmap, place: int) -> int:
        offset = place % self._dimensions.slots * _U64
        return int.from_bytes(ring[offset : offset + _U64], "little")

    def _read_name(self, slot: int) -> tuple[int, str]:
        offset = slot * layout.SIZE_SLOT_NAME
        key, length = layout.NAME_HEAD.unpack_from(self._names, offset)
        start = offset + layout.NAME_HEAD.size
        return key, os.fsdecode(self._names[start : start + length])

    def _is_placed(self, key: int) -> bool:
        return self._find(key) is not None

    def _find(self, key: int, near: int | None = None) -> int | None:
        """Byte offset of the entry with `key` in the bucket of `near` (default: of the key itself), or None."""
        shift = 64 - (self._dimensions.slot_buckets.bit_length() - 1)
        bucket = ((key if near is None else near) * _MULTIPLIER & (1 << 64) - 1) >> shift
        first = bucket * layout.SIZE_SLOT_BUCKET
        places = range(first, first + layout.SIZE_SLOT_BUCKET, layout.SLOT_ENTRY.size)
        return next((at for at in places if layout.SLOT_ENTRY.unpack_from(self._buckets, at)[0] == key), None)
