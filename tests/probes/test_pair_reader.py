"""Who waited for whom, from records that a test writes as bpf/pairs.c would (tests/kernel/test_pairs.py runs that)."""

from collections.abc import Container

from hypothesis import given
from hypothesis import strategies as st

from probes.layout import PAIR
from probes.pair_reader import PairReader
from probes.snapshot import KEY_OTHER
from tests.probes.memory import SMALL, Grown

SLOTS = st.integers(0, 20)
RECORDS = st.lists(st.tuples(SLOTS, SLOTS, st.integers(0, 1 << 32 - 1), st.integers(0, 1 << 60)), max_size=30)
KEYS = {slot: -slot - 1000 for slot in range(21)}
Pairings = dict[tuple[int, int], tuple[int, int]]


def packed(records: list[tuple[int, int, int, int]]) -> bytes:
    """From (victim, aggressor, preemptions, wait_ns)."""
    return b"".join(PAIR.pack(victim << 16 | aggressor, *growth) for victim, aggressor, *growth in records)


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
    victims = [slot for slot in keys if slot not in unread]
    slots = {key: slot for slot, key in KEYS.items()}
    return {
        (slots[victim], slots.get(aggressor, aggressor)): (wait_ns, preemptions)
        for victim, found in reader.waits(records, victims, keys).items()
        for wait_ns, preemptions, aggressor in found
    }


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


@given(st.lists(st.tuples(st.integers(0, SMALL.cpus), RECORDS, st.sets(SLOTS)), max_size=5))
def test_each_row_is_walked_with_the_slots_that_are_doomed(
    readings: list[tuple[int, list[tuple[int, int, int, int]], set[int]]],
) -> None:
    grown = Grown()
    for row, records, doomed in readings:
        grown.next = packed(records)
        grown.reader.doom(doomed)
        assert grown.reader.take(row) == packed(records)
        assert grown.walked == (row, doomed)
