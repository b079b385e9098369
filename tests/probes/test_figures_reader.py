"""The readers over memory that a test writes as the kernel would."""

from hypothesis import given
from hypothesis import strategies as st

from probes.figures_reader import PairReader, SlotReader
from probes.layout import NR_BUCKETS
from probes.snapshot import PairFigures
from tests.probes.memory import SMALL, Cells, Pairs

GROWTHS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, (1 << 32) - 1)), min_size=1, max_size=12)


@given(GROWTHS)
def test_totals_survive_the_wrap_of_the_kernels_counters(growths: list[tuple[int, int]]) -> None:
    cells, truth = Cells(), [0, 0]
    reader = SlotReader(cells.memory, SMALL)
    for row, growth in growths:
        truth[row] += growth
        cells.write(
            row,
            5,
            histogram=(truth[row],),
            run_ns=truth[row],
            switches_in=truth[row],
            preempted_throttled=truth[row],
        )
        figures = reader.read(5)
        assert figures.switches_in == figures.preempted_throttled == figures.run_ns == sum(truth)
        assert figures.histogram == (sum(truth), *[0] * (NR_BUCKETS - 1))
    assert reader.cpu_run_ns[:2] == truth


def test_throttled_waiting_is_not_the_cpus() -> None:
    cells = Cells()
    reader = SlotReader(cells.memory, SMALL)
    cells.write(1, 7, wait_ns=1000, throttled_ns=300)
    reader.read(7)
    assert reader.cpu_wait_ns == [0, 700, 0]


def test_what_did_not_change_is_the_same_object() -> None:
    cells = Cells()
    reader = SlotReader(cells.memory, SMALL)
    cells.write(0, 4, run_ns=1)
    assert reader.read(4) is reader.read(4)
    assert reader.read(9).run_ns == 0


def test_a_cleared_slot_begins_anew_and_the_cpus_totals_stay() -> None:
    cells = Cells()
    reader = SlotReader(cells.memory, SMALL)
    cells.write(0, 4, run_ns=100, switches_in=3)
    cells.write(0, 5, run_ns=7)
    reader.read(4)
    reader.read(5)
    reader.clear(4)
    assert reader.read(4).run_ns == reader.read(4).switches_in == 0
    cells.write(0, 4, run_ns=20)
    assert reader.read(4).run_ns == 20
    assert reader.read(5).run_ns == 7
    assert reader.cpu_run_ns[0] == 127


@given(GROWTHS)
def test_pairs_are_summed_over_rows_and_survive_the_wrap(growths: list[tuple[int, int]]) -> None:
    pairs, truth = Pairs(), [0, 0]
    reader = PairReader(pairs.claimed, pairs.memory, SMALL)
    known: dict[tuple[int, int], PairFigures] = {}
    for row, growth in growths:
        truth[row] += growth
        pairs.write(row, 17 + row, (5, 6), truth[row], 1000 * truth[row])
        known.update(reader.read())
        assert known == {(5, 6): PairFigures(1000 * sum(truth), sum(truth))}


def test_a_pair_that_has_two_places_is_one() -> None:
    pairs = Pairs()
    reader = PairReader(pairs.claimed, pairs.memory, SMALL)
    pairs.write(0, 0, (5, 6), 1, 10)
    pairs.write(0, 63, (5, 6), 2, 20)
    assert reader.read() == {(5, 6): PairFigures(30, 3)}


def test_pairs_of_the_dead_are_forgotten_on_both_sides() -> None:
    pairs = Pairs()
    reader = PairReader(pairs.claimed, pairs.memory, SMALL)
    pairs.write(0, 1, (5, 6), 1, 10)
    pairs.write(1, 2, (6, 5), 1, 10)
    pairs.write(2, 3, (7, 8), 1, 10)
    reader.read()
    reader.clear([5])
    assert reader.read() == {}
    pairs.write(0, 1, (9, 7), 2, 40)  # its place is taken by another pair
    pairs.write(1, 2, (6, 5), 1, 10)  # and by one whose slots are the same as before
    pairs.write(2, 3, (7, 8), 2, 30)
    assert reader.read() == {
        (9, 7): PairFigures(40, 2),
        (6, 5): PairFigures(10, 1),
        (7, 8): PairFigures(30, 2),
    }


def test_places_that_were_never_claimed_are_not_read() -> None:
    pairs = Pairs()
    reader = PairReader(pairs.claimed, pairs.memory, SMALL)
    pairs.write(0, 1, (5, 6), 1, 10)
    pairs.claimed[0] = 0
    assert reader.read() == {}
