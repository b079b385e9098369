"""Reads the shared memory of the switch hook and the sweep into cumulative totals.

The kernel's u32 counters wrap (at a million switches a second, after 71 minutes), so totals are kept here and
grow by the difference modulo 2^32 since the last reading.
"""

import mmap
from collections.abc import Iterable, Iterator

from probes import layout
from probes.layout import Dimensions
from probes.snapshot import Figures, PairFigures

_U32 = 0xFFFFFFFF
_NR_TIMES = len(layout.TIME_FIELDS)
_NR_SCALARS = _NR_TIMES + len(layout.COUNT_FIELDS)
_RUN, _WAIT, _THROTTLED = (layout.TIME_FIELDS.index(name) for name in ("run_ns", "wait_ns", "throttled_ns"))
_STATS_BYTES = layout.STATS.size
_NO_PAIR = PairFigures(0, 0)
_EMPTY_CELL = bytes(layout.SIZE_SLOT_STATS)


class SlotReader:
    """Totals per slot, and per CPU the running and waiting time."""

    def __init__(self, memory: mmap.mmap, dimensions: Dimensions) -> None:
        self._memory = memory
        self._slots = dimensions.slots
        self._rows = dimensions.cpus + 1
        self._cells: dict[tuple[int, int], bytes] = {}
        self._totals: dict[int, list[int]] = {}
        self._figures: dict[int, Figures] = {}
        self.cpu_run_ns = [0] * self._rows
        self.cpu_wait_ns = [0] * self._rows

    def read(self, slot: int) -> Figures:
        """The slot's totals now."""
        changed = False
        for row in range(self._rows):
            start = (row * self._slots + slot) * layout.SIZE_SLOT_STATS
            cell = self._memory[start : start + layout.SIZE_SLOT_STATS]
            before = self._cells.get((row, slot), _EMPTY_CELL)
            if cell != before:
                self._cells[row, slot] = cell
                self._add(row, slot, before, cell)
                changed = True
        if changed or slot not in self._figures:
            totals = self._totals.get(slot) or [0] * (_NR_SCALARS + layout.NR_BUCKETS)
            self._figures[slot] = _figures(totals)
        return self._figures[slot]

    def clear(self, slot: int) -> None:
        """Forget a dead cgroup's figures, here and in the kernel's memory."""
        for row in range(self._rows):
            start = (row * self._slots + slot) * layout.SIZE_SLOT_STATS
            self._memory[start : start + layout.SIZE_SLOT_STATS] = _EMPTY_CELL
            self._cells.pop((row, slot), None)
        self._totals.pop(slot, None)
        self._figures.pop(slot, None)

    def _add(self, row: int, slot: int, before: bytes, after: bytes) -> None:
        old, new = layout.STATS.unpack_from(before), layout.STATS.unpack_from(after)
        growth = [b - a for a, b in zip(old[:_NR_TIMES], new[:_NR_TIMES], strict=True)]
        self.cpu_run_ns[row] += growth[_RUN]
        self.cpu_wait_ns[row] += growth[_WAIT] - growth[_THROTTLED]
        growth += [b - a & _U32 for a, b in zip(old[_NR_TIMES:], new[_NR_TIMES:], strict=True)]
        if before[_STATS_BYTES:] != after[_STATS_BYTES:]:
            old_counts = layout.HISTOGRAM.unpack_from(before, _STATS_BYTES)
            new_counts = layout.HISTOGRAM.unpack_from(after, _STATS_BYTES)
            growth += [b - a & _U32 for a, b in zip(old_counts, new_counts, strict=True)]
        else:
            growth += [0] * layout.NR_BUCKETS
        totals = self._totals.get(slot)
        self._totals[slot] = (
            growth if totals is None else [a + b for a, b in zip(totals, growth, strict=True)]
        )


def _figures(totals: list[int]) -> Figures:
    named = dict(zip((*layout.TIME_FIELDS, *layout.COUNT_FIELDS), totals, strict=False))
    return Figures(**named, histogram=tuple(totals[_NR_SCALARS:]))


class PairReader:
    """Totals per (victim slot, aggressor slot)."""

    def __init__(self, claimed: mmap.mmap, buckets: mmap.mmap, dimensions: Dimensions) -> None:
        self._claimed_memory = claimed
        self._memory = buckets
        self._rows = dimensions.cpus + 1
        self._bitmap_bytes = dimensions.pairs // 8
        self._row_bytes = dimensions.pairs * layout.PAIR.size
        self._bitmaps = [b""] * self._rows
        self._in_use: list[list[int]] = [[] for _ in range(self._rows)]
        self._seen = [bytes(self._row_bytes)] * self._rows
        self._totals: dict[int, PairFigures] = {}

    def read(self) -> dict[tuple[int, int], PairFigures]:
        """The totals of those pairs that have grown since the last reading."""
        grown: set[int] = set()
        for row in range(self._rows):
            new, old = self._row(row), self._seen[row]
            if new == old:
                continue
            for at in self._buckets_in_use(row):
                end = at + layout.SIZE_PAIR_BUCKET
                if new[at:end] != old[at:end]:
                    grown.update(self._grow(old[at:end], new[at:end]))
            self._seen[row] = new
        return {(key >> 16, key & 0xFFFF): self._totals[key] for key in grown}

    def clear(self, slots: Iterable[int]) -> None:
        """Forget all pairs that one of these slots takes part in, here and in the kernel's memory."""
        dead = set(slots)
        for row in range(self._rows):
            first, seen = row * self._row_bytes, bytearray(self._seen[row])
            for bucket in self._buckets_in_use(row):
                for at in range(bucket, bucket + layout.SIZE_PAIR_BUCKET, layout.PAIR.size):
                    key = layout.PAIR.unpack_from(self._memory, first + at)[0]
                    if key >> 16 in dead or key & 0xFFFF in dead:
                        layout.PAIR.pack_into(self._memory, first + at, 0, 0, 0)
                        layout.PAIR.pack_into(seen, at, 0, 0, 0)
            self._seen[row] = bytes(seen)
        for key in [key for key in self._totals if key >> 16 in dead or key & 0xFFFF in dead]:
            del self._totals[key]

    def _row(self, row: int) -> bytes:
        return self._memory[row * self._row_bytes : (row + 1) * self._row_bytes]

    def _buckets_in_use(self, row: int) -> list[int]:
        """Byte offsets within the row of the buckets that hold a pair."""
        start = row * self._bitmap_bytes
        bitmap = self._claimed_memory[start : start + self._bitmap_bytes]
        if bitmap != self._bitmaps[row]:
            self._bitmaps[row] = bitmap
            buckets = {place // layout.PAIR_WAYS for place in _bits_set(bitmap)}
            self._in_use[row] = [bucket * layout.SIZE_PAIR_BUCKET for bucket in sorted(buckets)]
        return self._in_use[row]

    def _grow(self, old: bytes, new: bytes) -> Iterator[int]:
        """Add a bucket's growth to the totals; the keys of the pairs that grew."""
        for before, after in zip(layout.PAIR.iter_unpack(old), layout.PAIR.iter_unpack(new), strict=True):
            key, preemptions, wait_ns = after
            if key == 0 or before == after:
                continue
            old_preemptions, old_wait_ns = before[1:] if before[0] == key else (0, 0)
            total = self._totals.get(key, _NO_PAIR)
            self._totals[key] = PairFigures(
                total.wait_ns + wait_ns - old_wait_ns,
                total.preemptions + (preemptions - old_preemptions & _U32),
            )
            yield key


def _bits_set(bitmap: bytes) -> list[int]:
    return [
        8 * index + bit for index, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1
    ]
