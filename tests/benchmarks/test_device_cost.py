"""The cost of a request and of a packet: what is subtracted, and what is counted."""

import pytest

from benchmarks.device_cost import cost, requests


class FakeProbe:
    def __init__(self, clocks: list[int]) -> None:
        self._clocks = clocks

    def cost(self) -> "FakeProbe":
        return self

    @property
    def other_ns(self) -> int:
        return self._clocks.pop(0)


def test_what_it_costs_without_either_is_subtracted() -> None:
    counts = [100, 300]
    probe = FakeProbe([0, 1000, 1000, 62_000])
    assert cost(probe, 0.0, lambda: None, lambda: counts.pop(0)) == (300.0, 200)  # type: ignore[arg-type]


def test_requests_are_those_of_a_whole_disk() -> None:
    before = requests()
    assert 0 <= before <= requests()


def test_nothing_that_was_counted_costs_nothing_each() -> None:
    probe = FakeProbe([0, 1000, 1000, 1500])
    assert cost(probe, 0.0, lambda: None, lambda: 7)[0] == pytest.approx(0.0)  # type: ignore[arg-type]
