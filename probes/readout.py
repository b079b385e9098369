"""Reads the shared memory of bpf/layout.h into figures: cgroups, waits for one another, and who runs on each CPU.

A row is one CPU's part of each array; the last row is the wait scan's. Parts are read after the whole, so that they are
never less: what ends between the two readings, PairReader keeps for the next.
"""

import mmap
import operator
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from probes import layout
from probes.bpf_syscall import ArrayMap
from probes.layout import Dimensions
from probes.snapshot import KEY_OTHER, ProbeCost, Ring, SchedFigures, Wait

_U32, _U64, _HALF = 0xFFFFFFFF, (1 << 64) - 1, 1 << 63
_U64_BYTES = 8
_COUNTERS_AT = layout.STATS.size + layout.HISTOGRAM.size
_FIRST_COUNT = layout.FIELDS.index(layout.COUNT_FIELDS[0])
_COUNTS = slice(_FIRST_COUNT, _FIRST_COUNT + len(layout.COUNT_FIELDS))
_NO_HISTOGRAM = (0,) * layout.NR_BUCKETS
_TOPS = int.from_bytes(layout.HISTOGRAM.pack(*(1 << 31,) * layout.NR_BUCKETS), "little")
_NOTHING = SchedFigures._make((*(0,) * len(layout.FIELDS), _NO_HISTOGRAM))
_SLOT, _START = 0xFFFF, (1 << 48) - 1
_START_OF = operator.itemgetter(0)
# How often a CPU's state is read until no switch comes in between: that takes some microseconds.
_TRIES = 10
# The slices that all CPUs together give at a reading: to compare those of every pair of CPUs takes this many steps.
_SLICES_AT_A_READING = 4096


class CpuState(NamedTuple):
    """Who runs on a CPU since when, how often it switched, what ran and waited there until the last switch."""

    attached: int
    since: int
    clock: int
    slot: int
    head: int
    switches: int
    run_ns: int
    wait_ns: int

    @property
    def in_progress_ns(self) -> int:
        """Length of the slice that has not ended, as far as the wait scan saw; the idle task's does not count."""
        return 0 if self.slot == layout.SLOT_IDLE else max(0, self.clock - self.since)


def cpu_states(states: mmap.mmap, cpus: int) -> list[CpuState]:
    """The state of each CPU now, from the memory of the map `cpu_states`."""
    rows = layout.CPU_STATE.iter_unpack(states[: cpus * layout.SIZE_CPU_STATE])
    return [_cpu_state(row if _is_settled(row) else _settled(states, cpu)) for cpu, row in enumerate(rows)]


def _is_settled(row: tuple[int, ...]) -> bool:
    """Whether the hook was not about to write."""
    return row[8] == row[9]


def _settled(states: mmap.mmap, cpu: int) -> tuple[int, ...]:
    """A CPU's row, read until it is."""
    at = cpu * layout.SIZE_CPU_STATE
    for _ in range(_TRIES):
        row = layout.CPU_STATE.unpack(states[at : at + layout.SIZE_CPU_STATE])
        if _is_settled(row):
            break
    return row


def _cpu_state(h: tuple[int, ...]) -> CpuState:
    return CpuState(
        attached=h[0],
        since=h[1],
        clock=h[2],
        slot=h[4],
        head=h[5],
        switches=h[8],
        run_ns=h[10],
        wait_ns=h[11] + h[19],
    )


def cost(states: mmap.mmap, cpus: int) -> ProbeCost:
    """What the hooks have timed of themselves."""
    rows = [layout.CPU_STATE.unpack_from(states, cpu * layout.SIZE_CPU_STATE) for cpu in range(cpus)]
    switches, timed, timed_ns, moves_ns, io_ns = (
        sum(row[index] for row in rows) for index in (8, 12, 13, 15, 17)
    )
    return ProbeCost(switches, timed, timed_ns, layout.TIMED_EVERY * (moves_ns + io_ns))


def set_shed(states: mmap.mmap, cpus: int, flags: int) -> None:
    """Tell the hook of every CPU what to leave out: SHED_… flags."""
    for cpu in range(cpus):
        offset = cpu * layout.SIZE_CPU_STATE + layout.CPU_STATE_SHED_OFFSET
        states[offset : offset + 4] = flags.to_bytes(4, "little")


class CellReader:
    """Totals per slot, which bpf/cell_walk.c sums over the cells of all rows."""

    def __init__(
        self,
        walk: Callable[[], None],
        maps: Mapping[str, mmap.mmap],
        arrays: Mapping[str, ArrayMap],
        dimensions: Dimensions,
        counters: int = 0,
    ) -> None:
        """Offer the cells to the hook, of which SLOT_OTHER gets its own.

        Args:
            walk: Runs on_cell() over all groups of cells.
            maps: `cell_walks`, which says what it is to do, and `crowded_slots`.
            arrays: The maps `slot_sums`, `cell_owners` and `cell_index`.
            dimensions: Their sizes.
            counters: How many events are counted in each cell.
        """
        self._walk = walk
        self._memory, self._crowded = maps["cell_walks"], maps["crowded_slots"]
        self._sums, self._owners, self._index = (
            arrays[n] for n in ("slot_sums", "cell_owners", "cell_index")
        )
        self._dimensions = dimensions
        self._size = layout.size_slot_sums(counters)
        self._counters = struct.Struct(f"<{3 * counters}Q")
        self._raw: dict[int, bytes] = {}
        self._totals: dict[int, list[int]] = {}
        self._counter_totals: dict[int, list[int]] = {}
        self._histograms: dict[int, tuple[int, ...]] = {}
        self._counted: dict[int, int] = {}  # what the histogram of a slot has grown by since the last figures
        self._figures: dict[int, SchedFigures] = {}
        self._changed: set[int] = set()
        self.owned = 0
        """Cells that were in use at the last reading."""
        self._offer()

    def _offer(self) -> None:
        rows = self._dimensions.rows
        with self._owners.mapped() as owners, self._index.mapped() as index:
            for row in range(rows):
                at, cell = layout.SLOT_OTHER * rows + row, 1 + row
                index[2 * at : 2 * at + 2] = cell.to_bytes(2, "little")
                owners[4 * cell : 4 * cell + 4] = (row << 16 | layout.SLOT_OTHER).to_bytes(4, "little")
        self._run(layout.WALK_OFFER, 0)

    def _run(self, mode: int, first_slot: int) -> tuple[int, int]:
        """One walk; how many cells have an owner, and how many of them are detached."""
        layout.CELL_WALK.pack_into(self._memory, 0, 0, mode, first_slot, 0, 0)
        self._walk()
        *_, owned, detached = layout.CELL_WALK.unpack_from(self._memory)
        return owned, detached

    def read(self, slots: Sequence[int]) -> None:
        """Take in what has grown since the last reading of these slots."""
        ordered, most, nothing = sorted(slots), self._dimensions.sums, bytes(self._size)
        for first in range(0, ordered[-1] + 1, most):
            part = ordered[bisect_left(ordered, first) : bisect_left(ordered, first + most)]
            with self._sums.mapped() as memory:
                self.owned, detached = self._sum(memory, layout.WALK_SUM, first)
                for slot in part:
                    after = self._sum_of(memory, slot - first)
                    if after != (before := self._raw.get(slot, nothing)):
                        self._take_in(slot, before, after)
                if detached:
                    self._sum(memory, layout.WALK_RETIRE, first)
                    for slot in part:
                        self._retire(slot, self._sum_of(memory, slot - first))

    def make_room(self) -> None:
        """Where few cells are left, free at the next reading those that have not changed since this was last called."""
        if self.owned * 4 > self._dimensions.cells * 3:
            self._run(layout.WALK_DETACH, 0)

    def take_crowded(self) -> int:
        """How many slots found no free cell since this was last asked."""
        found = int.from_bytes(self._crowded[:], "little").bit_count()
        if found:
            self._crowded[:] = bytes(len(self._crowded))
        return found

    def without_cell(self, places: Iterable[tuple[int, int]]) -> list[int]:
        """The rows of those of these (row, slot) that have no cell."""
        with self._index.mapped() as index:
            rows = self._dimensions.rows
            return [
                row
                for row, slot in places
                if index[2 * (slot * rows + row) : 2 * (slot * rows + row) + 2] == b"\0\0"
            ]

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

    def counters(self, slot: int) -> list[int]:
        """(value, enabled, running) of each event, in one list."""
        return self._counter_totals.get(slot) or [0] * (self._counters.size // _U64_BYTES)

    def clear(self, slots: Iterable[int]) -> None:
        """Forget the figures of dead cgroups, those of `pending_free_slots`, and free their cells."""
        self._run(layout.WALK_FREE, 0)
        for slot in slots:
            self._changed.discard(slot)
            for known in (self._raw, self._totals, self._counter_totals, self._histograms, self._counted):
                known.pop(slot, None)
            self._figures.pop(slot, None)

    def _sum(self, memory: mmap.mmap, mode: int, first: int) -> tuple[int, int]:
        memory[:] = bytes(len(memory))
        return self._run(mode, first)

    def _sum_of(self, memory: mmap.mmap, place: int) -> bytes:
        return memory[place * self._size : (place + 1) * self._size]

    def _take_in(self, slot: int, before: bytes, after: bytes) -> None:
        self._raw[slot] = after
        growth = _difference(layout.STATS, 0, after, before)
        if min(growth[_COUNTS]) < 0:
            growth[_COUNTS] = [count & _U32 for count in growth[_COUNTS]]
        totals = self._totals.get(slot)
        self._totals[slot] = growth if totals is None else list(map(operator.add, totals, growth))
        self._counted[slot] = self._counted.get(slot, 0) + _counted(before, after)
        if self._counters.size:
            grown = _difference(self._counters, _COUNTERS_AT, after, before)
            self._counter_totals[slot] = list(map(operator.add, self.counters(slot), grown))
        self._changed.add(slot)

    def _retire(self, slot: int, gone: bytes) -> None:
        """What was in cells that are freed now, and so is in no sum from now on."""
        if slot in self._raw and any(gone):
            left = _difference(layout.STATS, 0, self._raw[slot], gone)
            left[_COUNTS] = [count & _U32 for count in left[_COUNTS]]
            counters = _difference(self._counters, _COUNTERS_AT, self._raw[slot], gone)
            self._raw[slot] = (
                layout.STATS.pack(*(figure & _U64 for figure in left))
                + _counted(gone, self._raw[slot]).to_bytes(layout.HISTOGRAM.size, "little")
                + self._counters.pack(*(figure & _U64 for figure in counters))
            )


def _difference(of: struct.Struct, at: int, after: bytes, before: bytes) -> list[int]:
    """Of what the kernel counts modulo 2^64; below 0 where it went back."""
    found = list(map(operator.sub, of.unpack_from(after, at), of.unpack_from(before, at)))
    if min(found, default=0) <= -_HALF or max(found, default=0) >= _HALF:
        found = [(figure + _HALF & _U64) - _HALF for figure in found]
    return found


def _counted(before: bytes, after: bytes) -> int:
    """What each bucket of a slot's histogram grew by, modulo 2^32, as lanes of one long number.

    All are subtracted at once: 0.7 µs where one by one takes 7. The highest bit of each lane is set meanwhile, so that
    none borrows from the next, and put right afterwards.
    """
    old = int.from_bytes(before[layout.STATS.size : _COUNTERS_AT], "little")
    new = int.from_bytes(after[layout.STATS.size : _COUNTERS_AT], "little")
    return ((new | _TOPS) - (old & ~_TOPS)) ^ (~(new ^ old) & _TOPS)


class PairReader:
    """Waits since the last reading: `free_next`, then `drain`, then ask for the `waits`."""

    def __init__(self, walk: Callable[[], None], maps: Mapping[str, mmap.mmap], grown: ArrayMap) -> None:
        """`walk` runs on_claimed() over the words of all rows."""
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

    def drain(self) -> bytes:
        """The records of what has grown since this was last called."""
        found, records = b"", self._grown.entries
        while records == self._grown.entries:  # there was no room for more
            layout.GROWTH.pack_into(self._growth, 0, 0, self._any_pending_free, 0)
            self._walk()
            *_, records = layout.GROWTH.unpack_from(self._growth)
            if records:
                with self._grown.mapped(0, records) as memory:
                    found += memory[: records * layout.PAIR.size]
        return found

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
        until_ns = until_count = 0
        for aggressor, (ns, count, key) in waits.items():
            # Of sums, not one by one: of 30 that preempted it once each, 29 told, each would be told 29/30 times: 0.
            told_ns = _part(until_ns + ns, ns_limit, has_ns) - _part(until_ns, ns_limit, has_ns)
            told_count = _part(until_count + count, count_limit, has_count)
            told_count -= _part(until_count, count_limit, has_count)
            until_ns, until_count = until_ns + ns, until_count + count
            told.append((told_ns, told_count, key))
            if told_ns < ns or told_count < count:
                kept[aggressor] = ns - told_ns, count - told_count, key
        return told


def _part(of: int, limit: int, whole: int) -> int:
    return of * min(limit, whole) // max(1, whole)


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
        tasks = struct.unpack(f"<{len(words) // _U64_BYTES}Q", words)
        now = {
            slot: (tasks[slot], found.newcomers)
            for slot, found in figures.items()
            if slot != layout.SLOT_IDLE
        }
        before, self._before = self._before, now
        is_known = self._moves == moves
        self._moves = moves
        if not is_known:
            return {}
        none = (0, 0)
        return {
            slot: max((had := before.get(slot, none))[0] + newcomers - had[1], found)
            for slot, (found, newcomers) in now.items()
        }

    def forget(self, slots: Iterable[int]) -> None:
        """The figures of dead cgroups begin anew."""
        for slot in slots:
            self._before.pop(slot, None)


def rings(
    slices: ArrayMap, nr_slices: int, states: Sequence[CpuState], key: Callable[[int], int]
) -> tuple[Ring, ...]:
    """Who ran on each CPU lately: the newest slices of its ring (bpf/blame.h); `key` turns a slot into a cgroup's key.

    A switch that comes in between may push its slice over the oldest one, so not the whole ring is taken.
    """
    most = max(4, min(nr_slices // 2, _SLICES_AT_A_READING // max(1, len(states)) ** 2))
    with slices.mapped() as memory:
        newest = [
            _newest(memory, cpu * nr_slices, nr_slices, state.head, most) if state.attached else b""
            for cpu, state in enumerate(states)
        ]
    return tuple(_ring(ring, state.clock, key) for ring, state in zip(newest, states, strict=True))


def _newest(memory: mmap.mmap, first: int, size: int, head: int, most: int) -> bytes:
    """The newest slices of a ring that begins with the `first` of all slices, oldest first."""
    each, end = layout.SLICE.size, first + head % size + 1
    if end - most >= first:  # nearly always
        return memory[(end - most) * each : end * each]
    before = first + size - (most - (end - first))
    return memory[before * each : (first + size) * each] + memory[first * each : end * each]


def _ring(newest: bytes, until_ns: int, key: Callable[[int], int]) -> Ring:
    slices = [
        (until_ns - before_ns, key(each & _SLOT))
        for each in memoryview(newest).cast("Q")
        if each and (before_ns := until_ns - (each >> 16) & _START) <= _START >> 1
    ]
    in_order = slices == sorted(slices, key=_START_OF)
    return Ring(until_ns, tuple(slices) if in_order else ())
