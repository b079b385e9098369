"""The arithmetic of what measuring costs."""

import pytest

from agent.documents.verdict import SelfCost
from agent.recording.self_cost import CostMeter, measure, self_cost
from probes.snapshot import CountingCost, ProbeCost


class FakeSource:
    """What its programs took, one reading after the other."""

    def __init__(self, *readings: ProbeCost | None) -> None:
        self._readings = list(readings)

    def cost(self) -> ProbeCost | None:
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
    with measure(FakeSource(None, None)) as meter:  # type: ignore[arg-type]  # only `cost` is called
        pass
    assert meter == CostMeter()


@pytest.mark.parametrize(
    ("before", "ns"), [(ProbeCost(10, 1, 500, 500), 200.0), (ProbeCost(10, 11, 2500, 500), 227.0)]
)
def test_the_meter_holds_what_the_timed_runs_took(
    monkeypatch: pytest.MonkeyPatch, before: ProbeCost, ns: float
) -> None:
    """Where none was timed within, those before tell."""
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("agent.recording.self_cost.time.monotonic", lambda: next(clock))
    after = ProbeCost(switches=620, timed=11, timed_ns=2500, other_ns=900, memory_bytes=1 << 20)
    with measure(FakeSource(before, after)) as meter:  # type: ignore[arg-type]
        assert meter == CostMeter()
    assert meter.ns_per_switch == pytest.approx(ns, abs=0.5)
    assert (meter.other_ns_per_s, meter.kernel_memory_bytes) == (200.0, 1 << 20)


def test_the_counters_part_is_of_all_switches() -> None:
    """Every fifth of 10 switches went to another cgroup, and what has been timed since the start took 90 ns each."""
    before = ProbeCost(0, 0, 0, 0, CountingCost(changes=640, timed=10, timed_ns=800))
    after = ProbeCost(10, 1, 200, 0, CountingCost(642, 11, 990))
    with measure(FakeSource(before, after)) as meter:  # type: ignore[arg-type]  # a part of a source
        pass
    assert meter.counters_ns_per_switch == pytest.approx(90 * 2 / 10)
    cost = self_cost(meter, switches=10, seconds=1.0, cpus=1)
    assert cost is not None
    assert cost.counters_ns_per_switch == meter.counters_ns_per_switch
