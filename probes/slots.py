"""Which cgroup has which slot: user space's half of the bookkeeping whose other half is bpf/lifecycle.c.

User space gives slots to the cgroups that exist when the probe starts, the mkdir hook to those that come later,
from a ring of free slots that only user space fills. Only user space frees.
"""

import mmap
import os
from collections.abc import Callable, Iterable, Mapping

from probes import layout
from probes.bpf_syscall import ArrayMap
from probes.layout import Dimensions

# Slots kept back for cgroups that are made while the existing ones are being listed.
_RESERVE = 64
_MULTIPLIER = 0x9E3779B97F4A7C15
_U64 = 8


class SlotDirectory:
    """Slot to (key, path), for every live slot; births and deaths are taken in by `update`."""

    def __init__(
        self,
        maps: Mapping[str, mmap.mmap],
        arrays: Mapping[str, ArrayMap],
        dimensions: Dimensions,
        tells_more: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`tells_more` says by its path of a v1 cgroup whether its tasks are told apart by it, and not by v2."""
        self._tells_more = tells_more
        self._buckets_map = arrays["slot_buckets"]
        self._names_map = arrays["slot_names"]
        self._lifecycle = maps["lifecycle"]
        self._free_ring = maps["free_slots"]
        self._died_ring = maps["died_slots"]
        self._dimensions = dimensions
        self._births_seen = 0
        self._deaths_seen = 0
        self._unassigned = list(range(dimensions.slots - 1, layout.FIRST_SLOT - 1, -1))
        self._unplaced: set[int] = set()
        self.live: dict[int, tuple[int, str]] = {}

    def assign_existing(
        self,
        cgroups: Iterable[tuple[int, str]],
        holds_tasks: Callable[[int, str], bool] = lambda _key, _path: True,
    ) -> None:
        """Give slots to cgroups that are there already, then leave the rest of the slots to the mkdir hook.

        Where there are more than slots, those come first that hold tasks, and the others get half of what is left: so
        whoever makes thousands of empty ones keeps none from those of others, nor from those that are made later.
        """
        first, empty = list(cgroups), list[tuple[int, str]]()
        if len(first) > len(self._unassigned) - _RESERVE:
            held = [holds_tasks(*each) for each in first]
            empty = [each for each, holds in zip(first, held, strict=True) if not holds]
            first = [each for each, holds in zip(first, held, strict=True) if holds]
        for_empty = max(_RESERVE, (len(self._unassigned) - len(first)) // 2)
        with self._buckets_map.mapped() as buckets:
            for wanted, least in ((first, _RESERVE), (empty, for_empty)):
                for key, path in wanted:
                    if len(self._unassigned) > least:
                        self._assign(buckets, key, path)
                    else:
                        self._unplaced.add(key)
        spare, self._unassigned = self._unassigned[_RESERVE:], self._unassigned[:_RESERVE]
        self._offer(reversed(spare))
        self._tell_assigned()

    def assign_missed(self, list_cgroups: Callable[[], Iterable[tuple[int, str]]]) -> None:
        """With the hooks attached: give slots to what was made since the first listing, until none is missing.

        The hook may claim the same place in a bucket at the same moment and win; so it looks again.
        """
        with self._buckets_map.mapped() as buckets:
            for _ in range(10):
                self.update()
                known = {key for key, _ in self.live.values()}
                missing = [
                    (key, path)
                    for key, path in list_cgroups()
                    if key not in self._unplaced and (key not in known or self._find(buckets, key) is None)
                ]
                if not missing:
                    return
                for key, path in missing:
                    self._assign(buckets, key, path)
                self._tell_assigned()

    @property
    def untracked(self) -> int:
        """Cgroups without a slot: those that never got one here or from the mkdir hook, less the removed ones."""
        return max(0, len(self._unplaced) + self._head()[3])

    @property
    def unwatched_cpu(self) -> int | None:
        """A CPU that switched and has no memory; None: there was none."""
        at = layout.LIFECYCLE_UNWATCHED_OFFSET
        number = int.from_bytes(self._lifecycle[at : at + _U64], "little")
        return number - 1 if number else None

    @property
    def moves(self) -> int:
        """How often processes were moved from one cgroup to another."""
        at = layout.LIFECYCLE_MOVES_OFFSET
        return int.from_bytes(self._lifecycle[at : at + _U64], "little")

    def update(self) -> list[int]:
        """Take in births; return the slots of cgroups that died since the last call."""
        births, _, deaths, _ = self._head()
        if births > self._births_seen:
            with self._names_map.mapped() as names:
                for place in range(self._births_seen, births):
                    slot = self._ring_at(self._free_ring, place)
                    self.live[slot] = _read_name(names, slot)
                    self._mark(slot)
        self._births_seen = births
        died = [self._ring_at(self._died_ring, place) for place in range(self._deaths_seen, deaths)]
        self._deaths_seen = deaths
        return [slot for slot in died if slot in self.live]

    def _mark(self, slot: int) -> None:
        """Tell the hook where a v1 cgroup that was born tells more."""
        key, path = self.live[slot]
        if (word := self._word(key, path, slot)) == slot:
            return
        with self._buckets_map.mapped() as buckets:
            offset = self._find(buckets, key)
            if offset is not None:
                _write(buckets, offset + _U64, word)
        self._tell_assigned()

    def _word(self, key: int, path: str, slot: int) -> int:
        return slot | layout.TELLS_MORE if key & layout.KEY_V1 and self._tells_more(path) else slot

    def free(self, slots: list[int]) -> None:
        """Forget dead cgroups and offer their slots again; their figures must have been cleared before."""
        with self._buckets_map.mapped() as buckets:
            for slot in slots:
                key, _ = self.live.pop(slot)
                offset = self._find(buckets, key)
                if offset is not None:
                    _write(buckets, offset, 0)
        self._tell_assigned()
        self._offer(slots)

    def _assign(self, buckets: mmap.mmap, key: int, path: str) -> None:
        offset = self._find(buckets, 0, near=key)
        if offset is None or not self._unassigned:
            self._unplaced.add(key)
            return
        slot = self._unassigned.pop()
        # The slot first: the hook takes an entry for valid as soon as it sees the key.
        _write(buckets, offset + _U64, self._word(key, path, slot))
        _write(buckets, offset, key)
        self.live[slot] = (key, path)

    def _offer(self, slots: Iterable[int]) -> None:
        head = list(self._head())
        for slot in slots:
            offset = head[1] % self._dimensions.slots * _U64
            _write(self._free_ring, offset, slot)
            head[1] += 1
        # Only the tail is ours: the hooks write the other counters.
        _write(self._lifecycle, _U64, head[1])

    def _tell_assigned(self) -> None:
        """Which cgroup has which slot has changed: the hook forgets what it remembers of that."""
        at = layout.LIFECYCLE_ASSIGNED_OFFSET
        times = int.from_bytes(self._lifecycle[at : at + _U64], "little") + 1
        _write(self._lifecycle, at, times)

    def _head(self) -> tuple[int, int, int, int]:
        births, offered, deaths, untracked, *_ = layout.LIFECYCLE.unpack_from(self._lifecycle)
        return births, offered, deaths, untracked

    def _ring_at(self, ring: mmap.mmap, place: int) -> int:
        offset = place % self._dimensions.slots * _U64
        return int.from_bytes(ring[offset : offset + _U64], "little")

    def _find(self, buckets: mmap.mmap, key: int, near: int | None = None) -> int | None:
        """Byte offset of the entry with `key` in the bucket of `near` (default: of the key itself), or None."""
        shift = 64 - (self._dimensions.slot_buckets.bit_length() - 1)
        bucket = ((key if near is None else near) * _MULTIPLIER & (1 << 64) - 1) >> shift
        first = bucket * layout.SIZE_SLOT_BUCKET
        places = range(first, first + layout.SIZE_SLOT_BUCKET, layout.SLOT_ENTRY.size)
        return next((at for at in places if layout.SLOT_ENTRY.unpack_from(buckets, at)[0] == key), None)


def _write(memory: mmap.mmap, offset: int, number: int) -> None:
    """One word at once. `Struct.pack_into` clears all that it will fill: 1 read in 100 beside it saw a slot of 0."""
    memory[offset : offset + _U64] = number.to_bytes(_U64, "little")


def _read_name(names: mmap.mmap, slot: int) -> tuple[int, str]:
    offset = slot * layout.SIZE_SLOT_NAME
    key, length = layout.NAME_HEAD.unpack_from(names, offset)
    start = offset + layout.NAME_HEAD.size
    return key, os.fsdecode(names[start : start + length])
