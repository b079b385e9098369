"""Reads the shared memory of bpf/layout.h into figures: cgroups, waits for one another, and who runs on each CPU.

A row is one CPU's part of each array; the last row is the wait scan's.
"""

import mmap
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes import layout
from probes.bpf_syscall import ArrayMap
from probes.layout import Dimensions
from probes.snapshot import KEY_OTHER, Ring, SchedFigures, Wait

_U32 = 0xFFFFFFFF
_RUN, _WAIT, _THROTTLED = (layout.FIELDS.index(name) for name in ("run_ns", "wait_ns", "throttled_ns"))
_FIRST_COUNT = layout.FIELDS.index(layout.COUNT_FIELDS[0])
_COUNTS = slice(_FIRST_COUNT, _FIRST_COUNT + len(layout.COUNT_FIELDS))
_NO_HISTOGRAM = (0,) * layout.NR_BUCKETS
_TOPS = int.from_bytes(layout.HISTOGRAM.pack(*(1 << 31,) * layout.NR_BUCKETS), "little")
_NOTHING = SchedFigures._make((*(0,) * len(layout.FIELDS), _NO_HISTOGRAM))
_EMPTY_CELL = bytes(layout.SIZE_SLOT_STATS)
_SLOT = 0xFFFF
# How often a row is copied until no switch comes in between. One copy takes some 0.2 ms; on a busy host, where the
# reader is itself interrupted, three were not enough for 1 row in 200. More than so many switches in one copy will be
# in every copy, and the waits are short then.
_COPIES, _MOST_SWITCHES = 10, 20
# The slices that all CPUs together give at a reading: to compare those of every pair of CPUs takes this many steps.
_SLICES_AT_A_READING = 4096


@dataclass(frozen=True, slots=True)
class CpuState:
    """Who runs on a CPU since when, how often it switched, and what the wait scan counted as waiting for it."""

    attached: int
    since: int
    clock: int
    slot: int
    head: int
    switches: int
    scanned_wait_ns: int

    @property
    def in_progress_ns(self) -> int:
        """Length of the slice that has not ended, as far as the wait scan saw; the idle task's does not count."""
        return 0 if self.slot == layout.SLOT_IDLE else max(0, self.clock - self.since)


def cpu_state(states: mmap.mmap, cpu: int) -> CpuState:
    """The state of one CPU now, from the memory of the map `cpu_states`."""
    h = layout.CPU_STATE.unpack_from(states, cpu * layout.SIZE_CPU_STATE)
    return CpuState(
        attached=h[0], since=h[1], clock=h[2], slot=h[4], head=h[5], switches=h[8], scanned_wait_ns=h[10]
    )


def set_shed(states: mmap.mmap, cpus: int, flags: int) -> None:
    """Tell the hook of every CPU what to leave out: SHED_… flags."""
    for cpu in range(cpus):
        offset = cpu * layout.SIZE_CPU_STATE + layout.CPU_STATE_SHED_OFFSET
        states[offset : offset + 4] = flags.to_bytes(4, "little")


class SlotReader:
    """Totals per slot, and per CPU the running and waiting time."""

    def __init__(self, memory: ArrayMap, dimensions: Dimensions) -> None:
        self._memory = memory
        self._slots = dimensions.slots
        self._rows = dimensions.cpus + 1
        self._cells: dict[tuple[int, int], bytes] = {}
        self._totals: dict[int, list[int]] = {}
        self._histograms: dict[int, tuple[int, ...]] = {}
        self._counted: dict[int, int] = {}  # what the histogram of a slot has grown by since the last figures
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
        for slot, counted in self._counted.items():
            known = self._histograms.get(slot, _NO_HISTOGRAM)
            grown = layout.HISTOGRAM.unpack(counted.to_bytes(layout.HISTOGRAM.size, "little"))
            self._histograms[slot] = tuple(map(operator.add, known, grown))
        self._counted.clear()
        for slot in self._changed:
            self._figures[slot] = SchedFigures._make(
                (*self._totals[slot], self._histograms.get(slot, _NO_HISTOGRAM))
            )  # its order is that of layout.FIELDS
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
            self._counted.pop(slot, None)
            self._figures.pop(slot, None)

    def _add(self, row: int, slot: int, before: bytes, after: bytes) -> None:
        old, new = layout.STATS.unpack_from(before), layout.STATS.unpack_from(after)
        growth = list(map(operator.sub, new, old))
        self.cpu_run_ns[row] += growth[_RUN]
        self.cpu_wait_ns[row] += growth[_WAIT] - growth[_THROTTLED]
        if min(growth[_COUNTS]) < 0:
            growth[_COUNTS] = [count & _U32 for count in growth[_COUNTS]]
        totals = self._totals.get(slot)
        self._totals[slot] = growth if totals is None else list(map(operator.add, totals, growth))
        self._counted[slot] = self._counted.get(slot, 0) + _counted(before, after)


def _counted(before: bytes, after: bytes) -> int:
    """What each bucket of a cell's histogram grew by, modulo 2^32, as lanes of one long number.

    All are subtracted at once: 0.7 µs where one by one takes 7, of 300 cgroups on each CPU. The highest bit of each
    lane is set meanwhile, so that none borrows from the next, and put right afterwards.
    """
    old = int.from_bytes(before[layout.STATS.size :], "little")
    new = int.from_bytes(after[layout.STATS.size :], "little")
    return ((new | _TOPS) - (old & ~_TOPS)) ^ (~(new ^ old) & _TOPS)


class PairReader:
    """Waits since the last reading: `free_next`, then `drain` every row, then ask for the `waits`."""

    def __init__(self, walk: Callable[[], None], maps: Mapping[str, mmap.mmap], grown: ArrayMap) -> None:
        """`walk` runs on_claimed() over the words of the row that `growths` names."""
        self._walk = walk
        self._growth = maps["growths"]
        self._pending_free = maps["pending_free_slots"]
        self._grown = grown
        self._any_pending_free = False
        self._early: dict[int, dict[int, Wait]] = {}  # by the slots of victim and aggressor
        self._whole: dict[int, tuple[int, int]] = {}  # by victim, of its figures: what all its pairs hold

    def free_next(self, slots: Iterable[int]) -> None:
        """From now on free the pairs that one of these slots takes part in, and of no others, once they are drained."""
        bits = sum(1 << slot for slot in set(slots))
        self._any_pending_free = bits != 0
        self._pending_free[:] = bits.to_bytes(len(self._pending_free), "little")

    def drain(self, row: int) -> bytes:
        """The records of what has grown in a row since it was last drained."""
        layout.GROWTH.pack_into(self._growth, 0, row, self._any_pending_free, 0)
        self._walk()
        _, _, records = layout.GROWTH.unpack_from(self._growth)
        if not records:
            return b""
        with self._grown.mapped(0, records) as memory:
            return memory[: records * layout.PAIR.size]

    def waits(
        self, records: bytes, victims: Mapping[int, SchedFigures], keys: Mapping[int, int]
    ) -> dict[int, list[Wait]]:
        """The waits of these victims' slots, by key; `keys` has the key of every slot that is in use by now.

        Other victims are too young to have been read: what they waited is kept for the next time. So is what is beyond
        a victim's figures, which were copied before the pairs: of a reader that was preempted in between, the parts
        were 5.6 % more than the whole.
        """
        found = self._early
        # Written out, not called: 40,000 pairs, of 200 cgroups that wait for one another, take 18 ms instead of 26.
        for pair, count, ns in layout.PAIR.iter_unpack(records):
            victim, aggressor = pair >> 16, pair & _SLOT
            waits = found.get(victim)
            if waits is None:
                waits = found[victim] = {}
            known = waits.get(aggressor)
            waits[aggressor] = (
                (ns, count, keys.get(aggressor, KEY_OTHER))
                if known is None
                else (known[0] + ns, known[1] + count, known[2])
            )
        self._early = {slot: waits for slot, waits in found.items() if slot in keys and slot not in victims}
        told = {}
        for slot, waits in found.items():
            if slot in victims:
                told[keys[slot]] = self._within_whole(slot, waits, victims[slot])
        return told

    def forget(self, slots: Iterable[int]) -> None:
        """The figures of dead cgroups begin anew."""
        for slot in slots:
            self._whole.pop(slot, None)

    def _within_whole(self, slot: int, waits: dict[int, Wait], figures: SchedFigures) -> list[Wait]:
        """A victim's waits, all cut alike where they are more than its figures grew; the rest is for the next time."""
        whole = in_pairs(figures)
        before = self._whole.get(slot, (0, 0))
        self._whole[slot] = whole
        has_ns, has_count = (sum(column) for column in list(zip(*waits.values(), strict=True))[:2])
        ns_limit, count_limit = max(0, whole[0] - before[0]), max(0, whole[1] - before[1])
        if has_ns <= ns_limit and has_count <= count_limit:
            return list(waits.values())
        told, kept = [], self._early.setdefault(slot, {})
        for aggressor, (ns, count, key) in waits.items():
            told_ns = ns * min(has_ns, ns_limit) // max(1, has_ns)
            told_count = count * min(has_count, count_limit) // max(1, has_count)
            told.append((told_ns, told_count, key))
            if told_ns < ns or told_count < count:
                kept[aggressor] = ns - told_ns, count - told_count, key
        return told


def in_pairs(figures: SchedFigures) -> tuple[int, int]:
    """What all pairs of a victim must hold: its wait less the parts that are in no pair, and preemptions by others."""
    others_ns = (
        figures.self_ns + figures.wakeup_ns + figures.throttled_ns + figures.unattributed_ns + figures.rest_ns
    )
    return figures.wait_ns - others_ns, figures.preempted_foreign


class TaskReader:
    """At most how many tasks each cgroup had from one reading to the next."""

    def __init__(self, tasks: ArrayMap) -> None:
        self._map = tasks
        self._before: dict[int, tuple[int, int]] = {}  # tasks and newcomers
        self._moves: int | None = None

    def clear(self) -> None:
        """Clear the counts of tasks, before the wait scan counts them."""
        with self._map.mapped() as memory:
            memory[:] = bytes(len(memory))

    def most(self, figures: Mapping[int, SchedFigures], moves: int) -> dict[int, int]:
        """At most how many tasks each slot had, from their figures now; empty where processes were moved since."""
        with self._map.mapped() as memory:
            words = memory[:]
        now = {
            slot: (int.from_bytes(words[8 * slot : 8 * slot + 8], "little"), found.newcomers)
            for slot, found in figures.items()
            if slot != layout.SLOT_IDLE
        }
        before, self._before = self._before, now
        is_known = self._moves == moves
        self._moves = moves
        return (
            {slot: _most(before.get(slot, (0, 0)), found) for slot, found in now.items()} if is_known else {}
        )

    def forget(self, slots: Iterable[int]) -> None:
        """The figures of dead cgroups begin anew."""
        for slot in slots:
            self._before.pop(slot, None)


def _most(before: tuple[int, int], now: tuple[int, int]) -> int:
    return max(before[0] + now[1] - before[1], now[0])


class Copy(NamedTuple):
    """One row's figures, the growth of its pairs, and the slice in progress on that CPU: whose, and how long so far."""

    cells: list[bytes]
    pairs: bytes
    running: int
    run_ns: int


class RowCopier:
    """Copies rows as they are now."""

    def __init__(self, memory: mmap.mmap, slots: SlotReader, pairs: PairReader, cpus: int) -> None:
        """`memory` is that of the map `cpu_states`."""
        self._memory = memory
        self._slots = slots
        self._pairs = pairs
        self._cpus = cpus

    def copy(self, slots: Sequence[int]) -> dict[int, Copy]:
        """A copy of the rows of CPUs on which somebody has run (of room for 240 a guest may have 2), and the last."""
        written = [cpu for cpu in range(self._cpus) if cpu_state(self._memory, cpu).attached]
        return {row: self._copy(row, slots) for row in (*written, self._cpus)}

    def _copy(self, row: int, slots: Sequence[int]) -> Copy:
        """One row.

        A wait and its parts are written to one row, so both are copied together: apart, 4 ms went by between them on a
        busy host, and a window's parts did not add up by as much. What ends between the two copies still does that,
        for what it waited since the wait scan; so a copy that a switch has come into is made again.
        """
        pairs = b""
        for _ in range(_COPIES):
            before = cpu_state(self._memory, row)
            cells, pairs = self._slots.copy(row, slots), pairs + self._pairs.drain(row)
            after = cpu_state(self._memory, row)
            if before == after:
                return Copy(cells, pairs, before.slot, before.in_progress_ns)
            if after.switches - before.switches > _MOST_SWITCHES:
                break
        return Copy(cells, pairs, before.slot, 0)  # a switch has counted it


def rings(memory: mmap.mmap, states: Sequence[CpuState], key: Callable[[int], int]) -> tuple[Ring, ...]:
    """Who ran on each CPU lately: the newest slices of its ring (bpf/blame.h); `key` turns a slot into a cgroup's key.

    A switch that comes in between may push its slice over the oldest one, so not the whole ring is taken.
    """
    most = max(4, min(layout.NR_SLICES // 2, _SLICES_AT_A_READING // max(1, len(states)) ** 2))
    return tuple(_ring(memory, cpu, state, most, key) for cpu, state in enumerate(states))


def _ring(memory: mmap.mmap, cpu: int, state: CpuState, most: int, key: Callable[[int], int]) -> Ring:
    size, whole = layout.SLICE.size, layout.NR_SLICES * layout.SLICE.size
    ring, oldest = memory[cpu * whole : (cpu + 1) * whole], (state.head + 1) % layout.NR_SLICES * size
    newest_bytes = (ring[oldest:] + ring[:oldest])[-most * size :]
    slices = [
        (start, key(slot))
        for start, slot in layout.SLICE.iter_unpack(newest_bytes)
        if 0 < start <= state.clock
    ]
    starts = [start for start, _ in slices]
    return Ring(state.clock, tuple(slices) if starts == sorted(starts) else ())
