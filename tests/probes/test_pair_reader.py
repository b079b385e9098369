"""Who waited for whom, over memory that a test writes as the kernel would."""

from hypothesis import given
from hypothesis import strategies as st

from probes.pair_reader import PairReader
from tests.probes.memory import SMALL, Pairs

GROWTHS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, (1 << 32) - 1)), min_size=1, max_size=12)
Pairings = dict[tuple[int, int], tuple[int, int]]


def read(reader: PairReader) -> Pairings:
    """(wait_ns, preemptions) by (victim, aggressor), of the victims that have grown."""
    for row in range(SMALL.cpus + 1):
        reader.take_in(row, reader.copy(row))
    return {
        (victim, aggressor): (wait_ns, preemptions)
        for victim, waits in reader.grown().items()
        for aggressor, wait_ns, preemptions in zip(*waits, strict=True)
    }


@given(GROWTHS)
def test_pairs_are_summed_over_rows_and_survive_the_wrap(growths: list[tuple[int, int]]) -> None:
    pairs, truth = Pairs(), [0, 0]
    reader = PairReader(pairs.claimed, pairs.array, SMALL)
    known: Pairings = {}
    for row, growth in growths:
        truth[row] += growth
        pairs.write(row, 17 + row, (5, 6), truth[row], 1000 * truth[row])
        known.update(read(reader))
        assert known == {(5, 6): (1000 * sum(truth), sum(truth))}


def test_a_pair_that_has_two_places_is_one() -> None:
    pairs = Pairs()
    reader = PairReader(pairs.claimed, pairs.array, SMALL)
    pairs.write(0, 0, (5, 6), 1, 10)
    pairs.write(0, 63, (5, 6), 2, 20)
    assert read(reader) == {(5, 6): (30, 3)}


def test_pairs_of_the_dead_are_forgotten_on_both_sides() -> None:
    pairs = Pairs()
    reader = PairReader(pairs.claimed, pairs.array, SMALL)
    pairs.write(0, 1, (5, 6), 1, 10)
    pairs.write(1, 2, (6, 5), 1, 10)
    pairs.write(2, 3, (7, 8), 1, 10)
    read(reader)
    reader.clear([5])
    assert read(reader) == {}
    pairs.write(0, 1, (9, 7), 2, 40)  # its place is taken by another pair
    pairs.write(1, 2, (6, 5), 1, 10)  # and by one whose slots are the same as before
    pairs.write(2, 3, (7, 8), 2, 30)
    assert read(reader) == {
        (9, 7): (40, 2),
        (6, 5): (10, 1),
        (7, 8): (30, 2),
    }


def test_places_that_were_never_claimed_are_not_read() -> None:
    pairs = Pairs()
    reader = PairReader(pairs.claimed, pairs.array, SMALL)
    pairs.write(0, 1, (5, 6), 1, 10)
    pairs.claimed[0] = 0
    assert read(reader) == {}


def test_a_pair_that_is_claimed_while_its_row_is_copied_is_not_lost() -> None:
    pairs = Pairs()
    reader = PairReader(pairs.claimed, pairs.array, SMALL)
    pairs.write(0, 1, (5, 6), 1, 10)
    read(reader)
    pairs.write(0, 20, (7, 8), 1, 10)
    copied = reader.copy(0)
    pairs.write(0, 40, (9, 8), 1, 10)  # too late for this reading
    reader.take_in(0, copied)
    assert read(reader) == {(7, 8): (10, 1), (9, 8): (10, 1)}
