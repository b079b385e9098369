"""Copies a row's figures, and takes the growth of its pairs, so that both are of one moment."""

import mmap
from collections.abc import Sequence
from typing import NamedTuple

from probes import rows
from probes.figures_reader import SlotReader
from probes.pair_reader import PairReader

# How often a row is copied until no switch comes in between. One copy takes some 0.2 ms; on a busy host, where the
# reader is itself interrupted, three were not enough for 1 row in 200. More than so many switches in one copy will be
# in every copy, and the waits are short then.
_COPIES, _MOST_SWITCHES = 10, 20


class Copy(NamedTuple):
    """One row's figures, the growth of its pairs, and the slice in progress on that CPU: whose, and how long so far."""

    cells: list[bytes]
    pairs: bytes
    running: int
    run_ns: int


class RowCopier:
    """Copies rows as they are now."""

    def __init__(self, memory: mmap.mmap, slots: SlotReader, pairs: PairReader, cpus: int) -> None:
        """`memory` has the heads of the rows."""
        self._memory = memory
        self._slots = slots
        self._pairs = pairs
        self._cpus = cpus

    def copy(self, slots: Sequence[int]) -> dict[int, Copy]:
        """By row: of the CPUs that have ever switched, and the sweep's. A guest of 2 CPUs may have room for 240."""
        written = [cpu for cpu in range(self._cpus) if rows.running(self._memory, cpu).switches]
        return {row: self._copy(row, slots) for row in (*written, self._cpus)}

    def _copy(self, row: int, slots: Sequence[int]) -> Copy:
        """One row.

        A wait and its parts are written to one row, so both are copied together: apart, 4 ms went by between them on a
        busy host, and a window's parts did not add up by as much. What ends between the two copies still does that,
        for what it waited since the sweep; so a copy that a switch has come into is made again.
        """
        pairs = b""
        for _ in range(_COPIES):
            before = rows.running(self._memory, row)
            cells, pairs = self._slots.copy(row, slots), pairs + self._pairs.take(row)
            after = rows.running(self._memory, row)
            if before == after:
                return Copy(cells, pairs, before.slot, before.in_progress_ns)
            if after.switches - before.switches > _MOST_SWITCHES:
                break
        return Copy(cells, pairs, before.slot, 0)  # a switch has counted it
