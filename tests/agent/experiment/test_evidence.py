"""What a verdict rests on: who waited for whom, and what the victim got out of its time on the CPUs."""

from dataclasses import replace

import pytest

from agent.analysis.observation import TrialResult, pairs_of
from agent.documents.metric import STRETCH, Metric, Sample
from agent.documents.verdict_parts import Arm, Efficiency, WaitMatrix
from agent.experiment.evidence import (
    BY_INSTRUCTIONS,
    BY_WORK,
    EVERYONE_ELSE,
    MOST_OTHERS,
    capacity,
    efficiency,
    pmu,
    refused_percentiles,
    secondary_metrics,
    wait_matrix,
)
from agent.experiment.victim_metrics.figures import latency
from agent.statistics.effect import Slowdown
from collectors.windows.sched import KERNEL, CgroupWindow
from probes.perf_event import NO_PMU
from tests.agent.analysis.trials import (
    NEIGHBOUR,
    NS,
    OTHER,
    VICTIM,
    cgroup,
    instructions,
    pair,
    seen_as,
    trial,
    window,
)
from tests.agent.experiment.test_preregistration import PLAN

NAMES = {NEIGHBOUR: "neighbour-1 spin"}


def matrix(*trials: tuple[CgroupWindow, ...]) -> WaitMatrix:
    made = [replace(trial(victim=cgroups[0]), window=window(*cgroups)) for cgroups in trials]
    return wait_matrix(made, NAMES)


def cells(found: WaitMatrix) -> dict[tuple[str, str], float]:
    return {
        (row, column): ms
        for row, waits in zip(found.waiting, found.wait_ms_per_trial, strict=True)
        for column, ms in zip(found.waited_for, waits, strict=True)
        if ms
    }


def test_every_wait_has_its_cell_in_a_mean_trial() -> None:
    victim = cgroup(1.0, {NEIGHBOUR: 0.4, KERNEL: 0.1}, self_s=0.2)
    neighbour = cgroup(1.0, {VICTIM: 0.3}, path=NEIGHBOUR)
    assert cells(matrix((victim, neighbour), (victim,))) == pytest.approx(
        {
            ("victim", "neighbour-1 spin"): 400,
            ("victim", "kernel"): 100,
            ("victim", "victim"): 200,
            ("neighbour-1 spin", "victim"): 150,
        }
    )


def test_what_is_below_a_neighbour_is_the_neighbour() -> None:
    victim = cgroup(1.0, {f"{NEIGHBOUR}/a": 0.1, f"{NEIGHBOUR}/b": 0.2})
    inner = cgroup(1.0, {f"{NEIGHBOUR}/b": 0.3}, path=f"{NEIGHBOUR}/a")
    assert cells(matrix((victim, inner))) == pytest.approx(
        {("victim", "neighbour-1 spin"): 300, ("neighbour-1 spin", "neighbour-1 spin"): 300}
    )


def test_those_beyond_the_largest_are_one_column() -> None:
    others = [cgroup(1.0, {VICTIM: 1.0 + n}, path=f"/other-{n}") for n in range(MOST_OTHERS + 2)]
    victim = cgroup(1.0, {other.path: 0.1 for other in others})
    found = matrix((victim, *others))
    assert len(found.waiting) == 2 + MOST_OTHERS
    assert cells(found)["victim", EVERYONE_ELSE] == pytest.approx(200)
    assert sum(ms for (row, _), ms in cells(found).items() if row == "victim") == pytest.approx(
        victim.wait_ns / 1e6
    )


def test_nobody_waited() -> None:
    found = matrix((cgroup(1.0),))
    assert found == WaitMatrix(("victim", "neighbour-1 spin"), (), ((), ()))


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="a row for each"):
        WaitMatrix(("a",), ("b",), ((1.0, 2.0),))


def test_cgroups_that_waited_for_nobody_are_not_listed() -> None:
    idle = cgroup(1.0, path=OTHER)
    assert "cron.service" not in matrix((cgroup(1.0, {NEIGHBOUR: 0.1}), idle)).waiting


RATE = Metric("requests", "1/s", "higher")


def test_ipc_is_of_all_trials_of_an_arm_together() -> None:
    without = [
        trial(victim=cgroup(1.0), counted=instructions(n * NS, NS, llc_misses=n * 1000)) for n in (1, 3)
    ]
    with_ = trial(Arm.WITH, 2.0, victim=cgroup(3.0), counted=instructions(NS, 2 * NS, llc_misses=5_000_000))
    assert efficiency(pairs_of([(each, with_) for each in without])) == Efficiency(
        measure=BY_INSTRUCTIONS,
        cpu_s_without=1.0,
        cpu_s_with=3.0,
        ipc_without=2.0,
        ipc_with=0.5,
        llc_misses_without=0.001,
        llc_misses_with=5.0,
    )


def test_without_counters_cpu_time_per_unit_of_work_stands_in() -> None:
    without = trial(duration_s=2.0, victim=cgroup(1.0), metric=RATE, value=50)
    with_ = trial(Arm.WITH, 4.0, victim=cgroup(1.5), metric=RATE, value=25)
    assert efficiency(pair(without, with_)) == Efficiency(BY_WORK, cpu_s_without=0.01, cpu_s_with=0.015)


def test_of_a_cgroup_that_is_watched_only_counters_tell() -> None:
    watched = trial(metric=STRETCH, value=1.0)
    assert efficiency(pair(watched, watched)) is None
    counted = seen_as(watched, counted=instructions(NS, NS))
    found = efficiency(pair(counted, counted))
    assert found == Efficiency(BY_INSTRUCTIONS, ipc_without=1.0, ipc_with=1.0)


def test_counters_that_took_turns_too_often_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.sources.counting.refusal_of_ipc", lambda: None)
    full, part = (trial(counted=instructions(NS, NS, ratio)) for ratio in (1.0, 0.5))
    assert pmu(pair(full, full)) == "available"
    assert "50%" in pmu(pair(full, part))
    found = efficiency(pair(full, part))
    assert found is not None
    assert found.measure == BY_WORK


def test_a_host_without_a_pmu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.sources.counting.refusal_of_ipc", lambda: NO_PMU)
    assert pmu(pair(trial(), trial())) == "unavailable: no hardware PMU"


@pytest.mark.parametrize(("price", "extra"), [(None, None), (100.0, 40 * 100 * 0.5 * 1.1)])
def test_what_a_slowdown_costs_is_the_cpus_that_ran_times_its_mean(
    price: float | None, extra: float | None
) -> None:
    """A second of work on half a CPU, 2.1 times as long beside the neighbours."""
    alone = pair(trial(Arm.WITHOUT, 2.0, victim=cgroup(1.0)), trial(Arm.WITH, 4.2, victim=cgroup(1.0)))
    plan = replace(PLAN, cpu_cost=price, instances=40)
    found = capacity(alone, Slowdown(110.0, (100.0, 120.0), 4), plan)
    assert found is not None
    assert (found.cpus_without, found.cpus_with) == pytest.approx((0.5, 1.05))
    assert found.ci95_cpus_with == pytest.approx((1.0, 1.1))
    assert found.extra_cost == (None if extra is None else pytest.approx(extra))
    assert capacity(alone, None, plan) is None


RATE = Metric("requests_per_s", "requests/s", "higher")


def blocks_with(rate: float, *further: tuple[Sample, Sample]) -> list[tuple[TrialResult, TrialResult]]:
    """Six blocks of trials of 1 s at so many requests a second."""

    def run(arm: Arm, block: int) -> TrialResult:
        result = trial(arm, 1.0, block=block)
        samples = (Sample(RATE, rate), *(pair[arm is Arm.WITH] for pair in further))
        return replace(result, seen=replace(result.seen, samples=samples))

    return [(run(Arm.WITHOUT, k), run(Arm.WITH, k)) for k in range(6)]


def test_a_percentile_of_histograms_is_of_all_requests_of_an_arm() -> None:
    """In each trial 300 of 1 ms and, with the neighbours, 6 of 50 ms among them: 1.96 % of 1,836 in all."""
    alone, beside = ((1.0, 300.0),), ((1.0, 300.0), (50.0, 6.0))
    p99 = latency("latency_p99")
    pair = Sample(p99, 1.0, counts=alone), Sample(p99, 50.0, counts=beside, closed_loop=True)
    blocks = blocks_with(306.0, pair)
    (found,) = secondary_metrics(blocks, PLAN)
    assert (found.without, found.with_, found.requests, found.closed_loop) == (1.0, 50.0, 1800.0, True)
    assert refused_percentiles(blocks) == {}
    few = blocks_with(306.0, (Sample(p99, 1.0, counts=((1.0, 100.0),)), pair[1]))
    assert secondary_metrics(few, PLAN) == ()
    assert refused_percentiles(few) == {
        "metrics.latency_p99": "it takes 1,000 requests in each arm, and there were 600"
    }


@pytest.mark.parametrize(("rate", "told"), [(999.0, False), (1000.0, True)])
def test_p99_of_fewer_than_a_thousand_requests_in_a_trial_is_refused(rate: float, told: bool) -> None:  # noqa: FBT001  a case
    p99, p50 = (
        (Sample(latency(name), 2.0), Sample(latency(name), 3.0)) for name in ("latency_p99", "latency_p50")
    )
    blocks = blocks_with(rate, p50, p99)
    names = [each.name for each in secondary_metrics(blocks, PLAN)]
    assert names == (["latency_p50", "latency_p99"] if told else ["latency_p50"])
    assert ("metrics.latency_p99" in refused_percentiles(blocks)) is not told
