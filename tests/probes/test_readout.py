"""The readers of shared memory, over memory that a test writes (tests/kernel/test_pairs.py runs the walk itself)."""

import itertools
import mmap
from collections.abc import Callable, Container, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import layout, readout
from probes.layout import FIELDS, NR_BUCKETS
from probes.readout import CpuState, PairReader, TaskReader
from probes.snapshot import KEY_OTHER, Ring, SchedFigures
from tests.probes.memory import SMALL, Cells, Grown, array_map, zeroed

GROWTHS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, (1 << 32) - 1), st.booleans()), min_size=1, max_size=12
)


def read(cells: Cells, slots: list[int]) -> dict[int, SchedFigures]:
    cells.reader.read(slots)
    return cells.reader.figures(slots)


@given(GROWTHS)
def test_totals_survive_the_wrap_of_the_kernels_counters_and_the_end_of_cells(
    growths: list[tuple[int, int, bool]],
) -> None:
    cells, in_cell, truth = Cells(), [0, 0], 0
    for row, growth, is_last in growths:
        truth, in_cell[row] = truth + growth, in_cell[row] + growth
        held = in_cell[row]
        cells.write(
            row,
            5,
            histogram=(held & 0xFFFF,),
            detached=is_last,
            run_ns=held,
            switches_in=held,
            preempted_throttled=held,
        )
        if is_last:  # the next goes on at 0
            in_cell[row] = 0
            cells.held.pop((5, row, False), None)
        figures = read(cells, [5])[5]
        assert figures.switches_in == figures.preempted_throttled == figures.run_ns == truth


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 0xFFFF), st.booleans()), min_size=1, max_size=12))
def test_histograms_survive_the_end_of_cells(growths: list[tuple[int, int, bool]]) -> None:
    cells, in_cell, truth = Cells(), [0, 0], 0
    for row, growth, is_last in growths:
        truth, in_cell[row] = truth + growth, in_cell[row] + growth
        cells.write(row, 5, histogram=(in_cell[row],), detached=is_last)
        if is_last:
            in_cell[row] = 0
            cells.held.pop((5, row, False), None)
        assert read(cells, [5])[5].histogram == (truth, *[0] * (NR_BUCKETS - 1))


def test_where_few_cells_are_left_those_that_lie_idle_are_detached() -> None:
    cells = Cells()
    for slot in range(3, SMALL.slots):
        cells.write(0, slot, run_ns=1)
        cells.write(1, slot, run_ns=1)
    read(cells, [5])
    cells.reader.make_room()
    assert layout.WALK_DETACH not in cells.modes
    for slot in range(3, SMALL.slots):
        cells.write(2, slot, wait_ns=1)
    read(cells, [5])
    cells.reader.make_room()
    assert layout.WALK_DETACH in cells.modes


def test_figures_are_in_the_order_of_the_kernels_side() -> None:
    assert SchedFigures._fields == (*FIELDS, "histogram")


def test_what_did_not_change_is_the_same_object() -> None:
    cells = Cells()
    cells.write(0, 4, run_ns=1)
    assert read(cells, [4])[4] is read(cells, [4])[4]
    assert read(cells, [9])[9].run_ns == 0


def test_a_cleared_slot_begins_anew() -> None:
    cells = Cells()
    cells.write(0, 4, run_ns=100, switches_in=3)
    cells.write(0, 5, run_ns=7)
    assert read(cells, [4, 5])[4].run_ns == 100
    cells.pending_free = {4}
    cells.reader.clear([4])
    assert read(cells, [4])[4].run_ns == read(cells, [4])[4].switches_in == 0
    cells.write(0, 4, run_ns=20)
    assert read(cells, [4])[4].run_ns == 20
    assert read(cells, [5])[5].run_ns == 7


def test_other_has_a_cell_on_every_row_from_the_start() -> None:
    cells = Cells()
    rows = range(SMALL.rows)
    assert cells.reader.without_cell((row, layout.SLOT_OTHER) for row in rows) == []
    assert cells.reader.without_cell((row, layout.SLOT_OTHER + 1) for row in rows) == [*rows]


SLOTS = st.integers(0, 20)
RECORDS = st.lists(st.tuples(SLOTS, SLOTS, st.integers(0, 1 << 32 - 1), st.integers(0, 1 << 60)), max_size=30)
KEYS = {slot: -slot - 1000 for slot in range(21)}
_calls = itertools.count(1)
Pairings = dict[tuple[int, int], tuple[int, int]]


def packed(records: list[tuple[int, int, int, int]]) -> bytes:
    """From (victim, aggressor, preemptions, wait_ns)."""
    return b"".join(
        layout.PAIR.pack(victim << 16 | aggressor, *growth) for victim, aggressor, *growth in records
    )


def summed(records: list[tuple[int, int, int, int]]) -> Pairings:
    found: Pairings = {}
    for victim, aggressor, preemptions, wait_ns in records:
        old_ns, old_preemptions = found.get((victim, aggressor), (0, 0))
        found[victim, aggressor] = old_ns + wait_ns, old_preemptions + preemptions
    return found


def waits(
    reader: PairReader, records: bytes, unread: Container[int] = (), gone: Container[int] = ()
) -> Pairings:
    """(wait_ns, preemptions) by the slots of victim and aggressor."""
    keys = {slot: key for slot, key in KEYS.items() if slot not in gone}
    # As much as may be: what waits are within their victims' figures is another test's affair.
    grown = next(_calls) << 80
    victims = {slot: whole(grown, grown) for slot in keys if slot not in unread}
    slots = {key: slot for slot, key in KEYS.items()}
    return {
        (slots[victim], slots.get(aggressor, aggressor)): (wait_ns, preemptions)
        for victim, found in reader.waits(records, victims, keys).items()
        for wait_ns, preemptions, aggressor in found
    }


def whole(wait_ns: int, preemptions: int, self_ns: int = 0) -> SchedFigures:
    nothing = SchedFigures._make((*(0,) * len(FIELDS), (0,) * NR_BUCKETS))
    return nothing._replace(wait_ns=wait_ns + self_ns, self_ns=self_ns, preempted_foreign=preemptions)


@given(st.lists(st.tuples(RECORDS, st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=6))
def test_parts_are_never_more_than_the_whole_and_none_is_lost(
    readings: list[tuple[list[tuple[int, int, int, int]], int, int]],
) -> None:
    # The kernel's figures lag behind its pairs: those are read later, by as long as the reader was preempted.
    reader, victim = Grown().reader, 5
    drained_ns = drained_count = told_ns = told_count = seen_ns = seen_count = 0
    for records, lag_ns, lag_count in [*readings, ([], 0, 0)]:
        mine = [(victim, *record[1:]) for record in records]
        drained_ns += sum(record[3] for record in mine)
        drained_count += sum(record[2] for record in mine)
        seen_ns, seen_count = max(seen_ns, drained_ns - lag_ns), max(seen_count, drained_count - lag_count)
        figures = {victim: whole(seen_ns, seen_count, self_ns=3)}
        for ns, count, _ in reader.waits(packed(mine), figures, KEYS).get(KEYS[victim], []):
            told_ns, told_count = told_ns + ns, told_count + count
        assert told_ns <= seen_ns
        assert told_count <= seen_count
    reader.waits(b"", {victim: whole(drained_ns, drained_count)}, KEYS)


def test_where_each_of_many_preempted_once_as_many_are_told_as_the_whole_has() -> None:
    reader = Grown().reader
    records = packed([(5, aggressor, 1, 1) for aggressor in range(6, 20)])
    told = reader.waits(records, {5: whole(13, 13)}, KEYS)[KEYS[5]]
    assert sum(ns for ns, _, _ in told) == sum(count for _, count, _ in told) == 13
    rest = reader.waits(b"", {5: whole(14, 14)}, KEYS)[KEYS[5]]
    assert [(ns, count) for ns, count, _ in rest if ns] == [(1, 1)]


@given(RECORDS)
def test_waits_are_summed_over_the_rows(records: list[tuple[int, int, int, int]]) -> None:
    reader = Grown().reader
    assert waits(reader, packed(records)) == summed(records)
    assert waits(reader, b"") == {}


@given(RECORDS, RECORDS, st.sets(SLOTS))
def test_what_a_victim_waited_before_it_is_read_is_kept_for_the_next_time(
    first: list[tuple[int, int, int, int]], then: list[tuple[int, int, int, int]], young: set[int]
) -> None:
    reader = Grown().reader
    early = [record for record in first if record[0] in young]
    assert waits(reader, packed(first), unread=young) == summed([r for r in first if r not in early])
    assert waits(reader, packed(then)) == summed(early + then)


def test_what_is_of_no_slot_in_use_is_not_kept_for_who_has_it_next() -> None:
    reader = Grown().reader
    assert waits(reader, packed([(5, 6, 1, 10)]), gone={5}) == {}
    assert waits(reader, packed([(7, 6, 1, 10)]), gone={6}) == {(7, KEY_OTHER): (10, 1)}
    assert waits(reader, b"") == {}


@given(st.lists(st.tuples(st.integers(0, 400), st.sets(SLOTS)), max_size=5))
def test_all_rows_are_walked_until_nothing_is_left_with_the_slots_to_be_freed(
    readings: list[tuple[int, set[int]]],
) -> None:
    grown = Grown()
    for count, pending_free in readings:
        records = packed([(7, number % 20, 1, number) for number in range(count)])
        grown.next = records
        grown.reader.free_next(pending_free)
        assert grown.reader.drain() == records
        assert grown.walked == pending_free


NR_SLICES = 2048


def ring_memory(*cpus: list[tuple[int, int]]) -> mmap.mmap:
    """Slices as pushed one after the other on each CPU, from place 1 on, as the hook does."""
    made = mmap.mmap(-1, (len(cpus) + 1) * NR_SLICES * layout.SLICE.size)
    for cpu, pushed in enumerate(cpus):
        for place, (start, slot) in enumerate(pushed, 1):
            packed = (start << 16 | slot) % 2**64  # of the clock 48 bits are left
            layout.SLICE.pack_into(made, (cpu * NR_SLICES + place % NR_SLICES) * layout.SLICE.size, packed)
    return made


def state(place: int, clock: int) -> CpuState:
    return CpuState(attached=1, since=0, clock=clock, slot=0, head=place, switches=place, run_ns=0, wait_ns=0)


def rings(memory: mmap.mmap, states: Sequence[CpuState], key: Callable[[int], int]) -> tuple[Ring, ...]:
    return readout.rings(array_map(memory, layout.SLICE.size), NR_SLICES, states, key)


def test_slices_come_in_order_with_keys_for_slots() -> None:
    with ring_memory([(10, 5), (20, 6)], [(15, 7)]) as slices:
        found = rings(slices, [state(2, 30), state(1, 40)], lambda slot: slot * 100)
    assert [(ring.until_ns, ring.slices) for ring in found] == [
        (30, ((10, 500), (20, 600))),
        (40, ((15, 700),)),
    ]


def test_of_a_full_ring_the_newest_are_taken() -> None:
    pushed = [(start, start % 7) for start in range(1, 3 * NR_SLICES)]
    with ring_memory(pushed) as slices:
        (ring,) = rings(slices, [state(len(pushed), len(pushed))], lambda slot: slot)
    assert ring.slices == tuple(pushed[-len(ring.slices) :])
    assert len(ring.slices) == NR_SLICES // 2


@pytest.mark.parametrize("hours", [1, 39, 40, 78, 79, 1000])
def test_a_clock_of_many_hours_tells_slices_that_began_a_while_before(hours: int) -> None:
    now = hours * 3600 * 10**9
    pushed = [
        (now - 3600 * 10**9, 3),
        (now - 5, 4),
        (now, 5),
        (now + 2, 6),
    ]  # the last came since the state was read
    with ring_memory(pushed) as slices:
        (ring,) = rings(slices, [state(len(pushed), now)], lambda slot: slot)
    assert ring.slices == tuple(pushed[:-1])


def test_a_cpu_that_never_switched_has_none() -> None:
    with ring_memory([]) as slices:
        assert rings(slices, [state(0, 0)], lambda slot: slot)[0].slices == ()


def test_many_cpus_share_the_work() -> None:
    pushed = [(start, 3) for start in range(1, 100)]
    with ring_memory(*[pushed] * 16) as slices:
        found = rings(slices, [state(len(pushed), 1000)] * 16, lambda slot: slot)
    assert {len(ring.slices) for ring in found} == {16}


def test_at_most_so_many_tasks_were_there_from_one_reading_to_the_next() -> None:
    memory = zeroed(SMALL.slots * 8)
    reader = TaskReader(array_map(memory, 8))

    def most(tasks: int, newcomers: int, moves: int = 0) -> int | None:
        reader.clear()
        assert not memory[:].strip(b"\0")
        memory[5 * 8 : 6 * 8] = tasks.to_bytes(8, "little")
        return reader.most({5: whole(0, 0)._replace(newcomers=newcomers)}, moves).get(5)

    assert most(3, 10) is None  # since when is not known
    assert most(2, 10) == 3
    assert most(2, 14) == 6  # four came, and some of them went
    assert most(9, 14) == 9
    assert most(9, 14, moves=1) is None  # from where is not known
    assert most(1, 14, moves=1) == 9
    reader.forget([5])
    assert most(1, 1, moves=1) == 1
