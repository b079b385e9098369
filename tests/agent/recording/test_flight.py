"""The flight recorder: windows are what they are without it, seconds add up to them, and all stays within its bound."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recording.flight import LONGEST_S, FlightRecorder
from collectors.windows import sched
from collectors.windows.sched import REST, CgroupWindow, SchedWindow
from collectors.windows.seconds import Flight, window_of
from collectors.windows.sums import add_windows
from probes.snapshot import CpuFigures, SchedFigures, Snapshot
from tests.collectors.windows.readings import bare, readings

NS = 10**9


@dataclass
class Source:
    """Hands out readings that were made before."""

    readings: list[Snapshot]

    def read(self) -> Snapshot:
        return self.readings.pop(0)

    def cost(self) -> None: ...

    def shed(self, level: int) -> None: ...


def recorder(found: Iterable[Snapshot], most_bytes: int = 1 << 20) -> FlightRecorder:
    return FlightRecorder(Source(list(found)), most_bytes)  # type: ignore[arg-type]  # what is called is there


def windows_of(flight: Flight) -> list[SchedWindow]:
    return [window_of(zlib.decompress(each.packed), flight.paths) for each in flight.seconds]


def unnamed(cgroup: CgroupWindow) -> tuple[CgroupWindow, int]:
    """All but whom it waited for by name, which in a second are the heaviest alone."""
    return replace(cgroup, waited_for={}), cgroup.others_ns


@given(readings())
def test_seconds_add_up_to_the_window_that_the_loop_gets(found: list[Snapshot]) -> None:
    flight = recorder(found)
    before = flight.read()
    for _ in found[2:]:
        flight.tick()
    whole = sched.window(before, bare(flight.read()))
    kept = flight.flight()
    parts = windows_of(kept)
    assert [each.end_ns for each in kept.seconds] == [each.monotonic_ns for each in found[1:]]
    summed = add_windows(parts)
    assert {path: unnamed(each) for path, each in summed.cgroups.items()} == {
        path: unnamed(each) for path, each in whole.cgroups.items()
    }
    assert summed.duration_ns == whole.duration_ns
    for path, cgroup in summed.cgroups.items():
        for name, wait in cgroup.waited_for.items():
            assert name == REST or wait.wait_ns <= whole.cgroups[path].waited_for[name].wait_ns


@given(readings(), st.integers(0, 6))
def test_windows_follow_one_another_wherever_the_loop_reads(found: list[Snapshot], at: int) -> None:
    at = min(at, len(found) - 1)
    flight, got = recorder(found), []
    for number in range(len(found)):
        if number in {0, at, len(found) - 1}:
            got.append(flight.read())
        else:
            flight.tick()
    seen = add_windows([sched.window(a, b) for a, b in pairwise(got)])
    plain = add_windows([sched.window(a, b) for a, b in pairwise(found)])
    assert seen.cgroups == plain.cgroups
    assert seen.disks == plain.disks


def busy(second: int, cgroups: Iterable[int]) -> Snapshot:
    """Each has grown by figures of its own in each second; their keys are their numbers."""
    figures = {
        key: SchedFigures._make(
            (*(second * (key * 7919 + 104729 * field) for field in range(15)), (second, *(0,) * 95))
        )
        for key in cgroups
    }
    paths = {key: f"/pod-{key}" for key in figures}
    return Snapshot(second * NS, figures, {}, (CpuFigures(0, 0, 0),), paths, 0, (second - 1) * NS)


@pytest.mark.parametrize("most_bytes", [0, 8_000, 60_000])
def test_memory_is_bounded_and_the_newest_seconds_are_kept(most_bytes: int) -> None:
    flight = recorder((busy(second, range(1, 40)) for second in range(200)), most_bytes)
    for second in range(200):
        flight.tick()
        kept = flight.flight().seconds
        assert sum(len(each.packed) for each in kept) <= most_bytes
        assert [each.end_ns for each in kept] == [n * NS for n in range(second - len(kept) + 1, second + 1)]
    assert bool(kept) is (most_bytes > 0)


def test_15_minutes_are_kept_with_the_names_that_are_in_them_and_no_others() -> None:
    """A cgroup that lives for 3 seconds comes each second."""
    seconds = LONGEST_S + 100
    flight = recorder(busy(second, range(second, second + 3)) for second in range(seconds))
    for _ in range(seconds):
        flight.tick()
    found = flight.flight()
    assert len(found.seconds) == LONGEST_S
    assert sum(each.duration_ns for each in found.seconds) == LONGEST_S * NS
    told = {path for each in windows_of(found) for path in each.cgroups}
    assert told <= set(found.paths.values())
    assert len(found.paths) <= len(told) + 3


@pytest.mark.parametrize(("spent_s", "every_s"), [(0.0, 1.0), (0.01, 1.0), (0.02, 2.0), (0.054, 5.4)])
def test_seconds_that_cost_too_much_are_longer(
    monkeypatch: pytest.MonkeyPatch, spent_s: float, every_s: float
) -> None:
    flight = recorder(busy(second, (1,)) for second in range(2))
    times_s = iter((7.0, 7.0 + spent_s) * 2)
    monkeypatch.setattr("agent.recording.flight.time.thread_time", lambda: next(times_s))
    flight.tick()
    assert flight.next_s() == pytest.approx(0 + every_s)
    flight.tick()
    assert flight.next_s() == pytest.approx(1 + every_s)


def test_what_was_asked_for_is_not_told_again() -> None:
    flight = recorder(busy(second, (1,)) for second in range(10))
    for _ in range(10):
        flight.tick()
    assert [each.end_ns // NS for each in flight.flight(6 * NS).seconds] == [7, 8, 9]


def test_a_reading_that_fails_is_the_loops_and_the_next_seconds_are_kept() -> None:
    found = [busy(second, (1,)) for second in range(4)]
    flight = recorder(found[:2])
    flight.tick()
    flight.tick()
    with pytest.raises(IndexError):
        flight.tick()
    flight.source = recorder(found[2:]).source
    assert flight.read().monotonic_ns == 2 * NS
    assert [each.end_ns // NS for each in flight.flight().seconds] == [1, 2]
