"""The overhead budget: when work is left out, and when it is taken up again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recording.budget import Governor, next_level, require_budget
from agent.recording.self_cost import CostMeter
from collectors.windows.sched import CpuWindow, SchedWindow
from probes.errors import UsageError
from probes.sched_probe import SHEDDING_ORDER

WINDOW = SchedWindow(end_ns=0, duration_ns=10**9, cgroups={}, cpus=(CpuWindow(1, 1, 100_000),), untracked=0)


class FakeProbe:
    def __init__(self) -> None:
        self.levels: list[int] = []

    def shed(self, level: int) -> None:
        self.levels.append(level)


def governor(budget_pct: float) -> tuple[Governor, FakeProbe]:
    probe = FakeProbe()
    return Governor(probe, budget_pct), probe  # type: ignore[arg-type]  # only `shed` is called


def test_over_budget_it_sheds_in_the_stated_order_and_says_so() -> None:
    kept, probe = governor(budget_pct=1.0)
    for _ in range(5):
        kept.measured(CostMeter(ns_per_switch=500, other_ns_per_s=0), WINDOW)  # 5 % of one CPU
    assert probe.levels == [1, 2, 3, 4]
    assert [warning.split()[0] for warning in kept.warnings] == list(SHEDDING_ORDER)
    assert "5.00 %" in kept.warnings[0]
    assert "budget of 1 %" in kept.warnings[0]


def test_well_below_the_budget_it_takes_the_work_up_again() -> None:
    kept, probe = governor(budget_pct=1.0)
    for ns_per_switch in (500, 70, 20, 20):  # 5 %, 0.7 %, 0.2 %, 0.2 %
        kept.measured(CostMeter(ns_per_switch, 0), WINDOW)
    assert probe.levels == [1, 0]


def test_sweeps_count_towards_the_budget() -> None:
    kept, probe = governor(budget_pct=1.0)
    kept.measured(CostMeter(ns_per_switch=0, other_ns_per_s=2e7), WINDOW)
    assert probe.levels == [1]


def test_without_the_kernels_accounts_nothing_is_shed() -> None:
    kept, probe = governor(budget_pct=1.0)
    kept.measured(CostMeter(), WINDOW)
    assert kept.cost is None
    assert probe.levels == []


@given(st.integers(0, len(SHEDDING_ORDER)), st.floats(0, 200), st.floats(0.001, 100))
def test_a_level_moves_one_step_and_stays_in_range(level: int, cost_pct: float, budget_pct: float) -> None:
    following = next_level(level, cost_pct, budget_pct)
    assert 0 <= following <= len(SHEDDING_ORDER)
    assert abs(following - level) <= 1
    assert following >= level or cost_pct < budget_pct
    assert following <= level or cost_pct > budget_pct


@pytest.mark.parametrize("budget_pct", [0, -1, float("nan"), 101])
def test_a_budget_that_is_none_is_refused(budget_pct: float) -> None:
    with pytest.raises(UsageError, match="max-overhead"):
        require_budget(budget_pct)
