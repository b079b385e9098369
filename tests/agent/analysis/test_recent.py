"""The last minute."""

from dataclasses import replace

import pytest

from agent.analysis.recent import LastMinute
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window


def filled(waits_s: list[float], window_s: float = 1.0) -> LastMinute:
    minute = LastMinute()
    for number, wait_s in enumerate(waits_s, start=1):
        made = window(cgroup(1.0, {NEIGHBOUR: wait_s}), duration_s=window_s)
        minute.add(replace(made, end_ns=round(number * window_s * 1e9)))
    return minute


def test_nothing_is_known_before_the_first_window() -> None:
    assert LastMinute().waiting(VICTIM, 4) == [None] * 4
    assert filled([0.5]).waiting(VICTIM, 4) == [None, None, None, 0.5]


def test_a_cell_is_the_mean_of_its_windows() -> None:
    assert filled([0.0] * 30 + [0.2, 0.4] * 15).waiting(VICTIM, 2) == pytest.approx([0.0, 0.3])


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    assert filled([1.0] * 100 + [0.0] * 60).waiting(VICTIM, 3) == [0.0] * 3


def test_windows_longer_than_a_cell_leave_no_gaps() -> None:
    assert filled([2.0, 4.0], window_s=20).waiting(VICTIM, 6) == pytest.approx([None] * 3 + [0.1, 0.1, 0.2])


def test_a_cgroup_that_did_not_wait_waited_nothing() -> None:
    assert filled([1.0]).waiting("/quiet", 1) == [0.0]
