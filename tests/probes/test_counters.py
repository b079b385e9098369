"""User space's half of the counters, against a model of the hook's half."""

import dataclasses
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import bpf_syscall, layout, perf_event
from probes.counters import OpenEvents, SlotCounters, in_progress
from probes.layout import Dimensions
from probes.perf_event import CPU_CLOCK, Reading
from probes.snapshot import CountingCost

SLOT, OTHER_SLOT = 5, 6
DIMENSIONS = Dimensions(cpus=1, slots=8, slot_buckets=8, pair_buckets=64)
CELL = struct.Struct("<3Q")
HEAD = struct.Struct("<QQ4xIQ16x")


class Host:
    """One CPU with one event, and the hook as bpf/counters.h has it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.value = 0
        self.sums, self.state = bytearray(8 * CELL.size), bytearray(HEAD.size + CELL.size)
        memories = {2: self.state}
        monkeypatch.setattr(bpf_syscall, "map_memory", lambda fd, _entries, _size: Closable(memories[fd]))
        source = OpenEvents([], 1)
        source.events.append(CPU_CLOCK)
        self.interrupt: int | None = None
        monkeypatch.setattr(source, "read", self.read_event)
        self.reader = SlotCounters(source, {"cpu_counters": 2}, DIMENSIONS, self.finished)
        self.reader._states = self.state

    def finished(self, slot: int) -> list[int]:
        return list(CELL.unpack_from(self.sums, slot * CELL.size))

    def read_event(self, _cpu: int) -> list[int]:
        if self.interrupt is not None:
            self.switch_to(self.interrupt)
        return [self.value] * 3

    def switch_to(self, slot: int) -> None:
        current = int.from_bytes(self.state[:8], "little")
        seen = CELL.unpack_from(self.state, HEAD.size)
        if seen[1] and self.value >= seen[0]:
            place = current * CELL.size
            old = CELL.unpack_from(self.sums, place)
            CELL.pack_into(self.sums, place, *(total + self.value - seen[0] for total in old))
        CELL.pack_into(self.state, HEAD.size, *[self.value] * 3)
        self.state[:8] = slot.to_bytes(8, "little")

    def shown(self, slot: int = SLOT) -> int:
        return self.reader.read([slot])[slot][CPU_CLOCK.name].value


def nothing_finished(_slot: int) -> list[int]:
    return [0] * 3


class Closable(bytearray):
    def close(self) -> None: ...


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(monkeypatch)
    made.value = 100
    made.switch_to(SLOT)
    return made


def test_what_was_counted_before_the_first_switch_is_nobodys(host: Host) -> None:
    assert host.shown() == 0


def test_the_part_in_progress_shows_before_the_slot_leaves(host: Host) -> None:
    host.value += 30
    assert host.shown() == 30
    assert host.shown(OTHER_SLOT) == 0
    host.switch_to(OTHER_SLOT)
    host.value += 4
    assert (host.shown(), host.shown(OTHER_SLOT)) == (30, 4)


def test_a_switch_between_the_readings_counts_nothing_twice(host: Host) -> None:
    host.value += 30
    host.interrupt = OTHER_SLOT
    assert host.shown() == 30
    host.interrupt = None
    assert host.shown() == 30


def test_a_cleared_slot_begins_again(host: Host) -> None:
    host.value += 30
    host.switch_to(OTHER_SLOT)
    assert host.shown() == 30
    host.reader.clear(SLOT)
    host.sums[:] = bytes(len(host.sums))
    assert host.shown() == 0


def test_the_idle_task_is_not_asked_for(host: Host) -> None:
    host.switch_to(layout.SLOT_IDLE)
    assert host.reader.read([layout.SLOT_IDLE]) == {}


def test_with_no_events_there_is_nothing_to_read() -> None:
    source = OpenEvents([], 1)
    assert source.events == []
    reader = SlotCounters(source, {}, DIMENSIONS, nothing_finished)
    reader.clear(SLOT)
    assert reader.read([SLOT]) == {}
    assert reader.cost() is None


def test_the_cost_is_of_all_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    source = OpenEvents([], 2)
    source.events.append(CPU_CLOCK)
    memories = {2: bytearray()}
    for slot, changes, timed, timed_ns in ((SLOT, 640, 10, 900), (OTHER_SLOT, 64, 1, 200)):
        memories[2] += HEAD.pack(slot, changes, timed, timed_ns) + bytes(CELL.size)
    monkeypatch.setattr(bpf_syscall, "map_memory", lambda fd, _entries, _size: Closable(memories[fd]))
    reader = SlotCounters(
        source, {"cpu_counters": 2}, dataclasses.replace(DIMENSIONS, cpus=2), nothing_finished
    )
    cost = reader.cost()
    assert cost == CountingCost(changes=704, timed=11, timed_ns=1100)
    assert cost.ns_per_change == 100
    assert cost.ns_per_switch(CountingCost(604, 9, 0), switches=400) == 25


def test_before_a_reading_was_timed_its_cost_is_not_known() -> None:
    start = CountingCost(changes=63, timed=0, timed_ns=0)
    assert start.ns_per_change is None
    assert start.ns_per_switch(CountingCost(0, 0, 0), switches=63) is None
    assert CountingCost(64, 1, 90).ns_per_switch(start, switches=0) is None


STEPS = st.lists(
    st.one_of(
        st.integers(1, 1000).map(lambda n: ("count", n)),
        st.sampled_from([layout.SLOT_IDLE, SLOT, OTHER_SLOT]).map(lambda slot: ("switch", slot)),
        st.just(("exchange", 0)),
        st.just(("read", 0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_figure_shrinks_whatever_happens(steps: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        host = Host(monkeypatch)
        last = [0, 0]
        for step, amount in steps:
            if step == "count":
                host.value += amount
            elif step == "switch":
                host.switch_to(amount)
            elif step == "exchange":
                host.value = 0
            now = [host.shown(SLOT), host.shown(OTHER_SLOT)]
            assert all(new >= old for old, new in zip(last, now, strict=True))
            last = now


@given(st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6), st.data())
def test_what_is_in_progress_is_never_negative(seen: list[int], data: st.DataObject) -> None:
    now = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6))
    assert min(in_progress(seen, now)) >= 0


def test_one_event_that_went_back_takes_nothing_from_the_other() -> None:
    assert in_progress([10, 5, 5, 10, 5, 5], [3, 9, 9, 14, 9, 9]) == [0, 0, 0, 4, 4, 4]


def test_readings_are_in_the_order_of_the_hook() -> None:
    source = OpenEvents([], 1)
    source.descriptors.extend([{0: 7}, {}])
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(perf_event, "read", lambda descriptor: Reading(descriptor, 2, 1))
        assert source.read(0) == [7, 2, 1, 0, 0, 0]
