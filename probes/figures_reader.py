"""Reads the figures of slots, as the switch hook and the sweep write them, into cumulative totals.

The kernel's u32 counters wrap (at a million switches a second, after 71 minutes), so totals are kept here and
grow by the difference modulo 2^32 since the last reading.
"""

import operator
from collections.abc import Iterable, Sequence

from probes import layout
from probes.bpf_syscall import ArrayMap
from probes.layout import Dimensions
from probes.snapshot import SchedFigures

_U32 = 0xFFFFFFFF
_RUN, _WAIT, _THROTTLED = (layout.FIELDS.index(name) for name in ("run_ns", "wait_ns", "throttled_ns"))
_FIRST_COUNT = layout.FIELDS.index(layout.COUNT_FIELDS[0])
_COUNTS = slice(_FIRST_COUNT, _FIRST_COUNT + len(layout.COUNT_FIELDS))
_STATS_BYTES = layout.STATS.size
_TOPS = int.from_bytes(layout.HISTOGRAM.pack(*(1 << 31,) * layout.NR_BUCKETS), "little")
_EMPTY_CELL = bytes(layout.SIZE_SLOT_STATS)


class SlotReader:
    """Totals per slot, and per CPU the running and waiting time."""

    def __init__(self, memory: ArrayMap, dimensions: Dimensions) -> None:
        self._memory = memory
        self._slots = dimensions.slots
        self._rows = dimensions.cpus + 1
        self._cells: dict[tuple[int, int], bytes] = {}
        self._totals: dict[int, list[int]] = {}
        self._histograms: dict[int, tuple[int, ...]] = {}
        self._figures: dict[int, SchedFigures] = {}
        self._changed: set[int] = set()
        self.cpu_run_ns = [0] * self._rows
        self.cpu_wait_ns = [0] * self._rows

    def copy(self, row: int, slots: Sequence[int]) -> list[bytes]:
        """One row's figures of these slots as they are now, for `take_in`."""
        with self._memory.mapped(row * self._slots, max(slots) + 1) as cells:
            starts = (slot * layout.SIZE_SLOT_STATS for slot in slots)
            return [cells[start : start + layout.SIZE_SLOT_STATS] for start in starts]

    def take_in(self, row: int, slots: Sequence[int], cells: Iterable[bytes]) -> None:
        """Add what has grown in a row since its last copy."""
        for slot, cell in zip(slots, cells, strict=True):
            before = self._cells.get((row, slot), _EMPTY_CELL)
            if cell != before:
                self._cells[row, slot] = cell
                self._add(row, slot, before, cell)
                self._changed.add(slot)

    def figures(self, slots: Iterable[int]) -> dict[int, SchedFigures]:
        """The totals of these slots; what did not change is the same object as before."""
        for slot in self._changed:
            self._figures[slot] = _figures(self._totals[slot], self._histograms.get(slot, _EMPTY))
        self._changed.clear()
        return {slot: self._figures.get(slot, _NOTHING) for slot in slots}

    def clear(self, slots: Iterable[int]) -> None:
        """Forget the figures of dead cgroups, here and in the kernel's memory."""
        slots = list(slots)
        for row in range(self._rows):
            with self._memory.mapped(row * self._slots, self._slots) as cells:
                for slot in slots:
                    start = slot * layout.SIZE_SLOT_STATS
                    cells[start : start + layout.SIZE_SLOT_STATS] = _EMPTY_CELL
                    self._cells.pop((row, slot), None)
        for slot in slots:
            self._changed.discard(slot)
            self._totals.pop(slot, None)
            self._histograms.pop(slot, None)
            self._figures.pop(slot, None)

    def _add(self, row: int, slot: int, before: bytes, after: bytes) -> None:
        old, new = layout.STATS.unpack_from(before), layout.STATS.unpack_from(after)
        growth = list(map(operator.sub, new, old))
        self.cpu_run_ns[row] += growth[_RUN]
        self.cpu_wait_ns[row] += growth[_WAIT] - growth[_THROTTLED]
        growth[_COUNTS] = [count & _U32 for count in growth[_COUNTS]]
        totals = self._totals.get(slot)
        self._totals[slot] = growth if totals is None else list(map(operator.add, totals, growth))
        if before[_STATS_BYTES:] != after[_STATS_BYTES:]:
            counted = _counted(before, after)
            self._histograms[slot] = tuple(map(operator.add, self._histograms.get(slot, _EMPTY), counted))


def _counted(before: bytes, after: bytes) -> tuple[int, ...]:
    """What each bucket of a cell's histogram grew by.

    All buckets are subtracted at once, as lanes of one long number: 2 µs where one by one takes 4. The highest bit of
    each lane is set meanwhile, so that none borrows from the next, and put right afterwards.
    """
    old = int.from_bytes(before[_STATS_BYTES:], "little")
    new = int.from_bytes(after[_STATS_BYTES:], "little")
    grown = ((new | _TOPS) - (old & ~_TOPS)) ^ (~(new ^ old) & _TOPS)
    return layout.HISTOGRAM.unpack(grown.to_bytes(layout.HISTOGRAM.size, "little"))


def _figures(totals: list[int], histogram: tuple[int, ...]) -> SchedFigures:
    return SchedFigures._make((*totals, histogram))  # its order is that of layout.FIELDS


_EMPTY = (0,) * layout.NR_BUCKETS
_NOTHING = _figures([0] * len(layout.FIELDS), _EMPTY)
