"""The arithmetic of what measuring costs."""

from collections.abc import Sequence

import pytest

from agent.self_cost import CostMeter, measure, self_cost
from agent.verdict import SelfCost
from probes.bpf_syscall import RunStats


class FakeSource:
    """Its programs' accounts, one reading after the other."""

    def __init__(self, readings: Sequence[list[RunStats]]) -> None:
        self._readings = list(readings)

    def run_stats(self) -> list[RunStats]:
        return self._readings.pop(0)


def test_the_cost_is_the_hook_at_the_rate_of_switches_plus_the_rest() -> None:
    cost = self_cost(
        CostMeter(ns_per_switch=200.0, other_ns_per_s=1e6), switches=10_000, seconds=10.0, cpus=2
    )
    assert cost == SelfCost(ns_per_switch=200.0, switches_per_s=1000.0, cpu_pct=0.06)


@pytest.mark.parametrize("meter", [CostMeter(), CostMeter(200.0, None), CostMeter(None, 1e6)])
def test_what_was_not_measured_is_no_cost(meter: CostMeter) -> None:
    assert self_cost(meter, 10_000, 10.0, 2) is None


def test_without_a_second_there_is_no_rate() -> None:
    assert self_cost(CostMeter(200.0, 1e6), 10_000, 0.0, 2) is None


def test_a_source_without_programs_costs_nothing_that_is_known() -> None:
    with measure(FakeSource([[]])) as meter:  # type: ignore[arg-type]  # only `run_stats` is called
        pass
    assert meter == CostMeter()


@pytest.mark.kernel
def test_the_meter_holds_what_the_accounts_grew_by(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("agent.self_cost.time.monotonic", lambda: next(clock))
    before = [RunStats(run_time_ns=1000, run_count=10), RunStats(run_time_ns=500, run_count=1)]
    after = [RunStats(run_time_ns=3000, run_count=20), RunStats(run_time_ns=900, run_count=2)]
    with measure(FakeSource([before, before, after])) as meter:  # type: ignore[arg-type]
        assert meter == CostMeter()
    assert meter == CostMeter(ns_per_switch=200.0, other_ns_per_s=200.0)
