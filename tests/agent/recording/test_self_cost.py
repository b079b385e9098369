"""The arithmetic of what measuring costs."""

from collections.abc import Sequence

import pytest

from agent.documents.verdict import SelfCost
from agent.recording.self_cost import CostMeter, measure, self_cost
from probes.bpf_syscall import RunStats
from probes.counters import CountingCost


class FakeSource:
    """Its programs' accounts, and those of its counters, one reading after the other."""

    def __init__(self, readings: Sequence[list[RunStats]], counting: Sequence[CountingCost] = ()) -> None:
        self._readings = list(readings)
        self._counting = list(counting)

    def counting_cost(self) -> CountingCost | None:
        return self._counting.pop(0) if self._counting else None

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
    monkeypatch.setattr("agent.recording.self_cost.time.monotonic", lambda: next(clock))
    before = [RunStats(run_time_ns=1000, run_count=10), RunStats(run_time_ns=500, run_count=1)]
    after = [RunStats(run_time_ns=3000, run_count=20), RunStats(run_time_ns=900, run_count=2)]
    with measure(FakeSource([before, before, after])) as meter:  # type: ignore[arg-type]
        assert meter == CostMeter()
    assert meter == CostMeter(ns_per_switch=200.0, other_ns_per_s=200.0)


@pytest.mark.kernel
def test_the_counters_part_is_of_all_switches() -> None:
    """Every fifth of 10 switches went to another cgroup, and what has been timed since the start took 90 ns each."""
    accounts = [[RunStats(run_time_ns=ns, run_count=count)] for ns, count in ((0, 0), (0, 0), (2000, 10))]
    counting = [CountingCost(changes=640, timed=10, timed_ns=800), CountingCost(642, 11, 990)]
    with measure(FakeSource(accounts, counting)) as meter:  # type: ignore[arg-type]  # a part of a source
        pass
    assert meter.counters_ns_per_switch == pytest.approx(90 * 2 / 10)
    cost = self_cost(meter, switches=10, seconds=1.0, cpus=1)
    assert cost is not None
    assert cost.counters_ns_per_switch == meter.counters_ns_per_switch
