"""What the victim got out of its time on the CPUs, in trials whose answer is known by construction."""

from dataclasses import replace

import pytest

from agent.analysis.efficiency import BY_INSTRUCTIONS, BY_WORK, efficiency, pmu
from agent.documents.metric import STRETCH, Metric
from agent.documents.verdict_parts import Arm, Efficiency
from probes.perf_event import NO_PMU
from tests.agent.analysis.trials import NS, block, cgroup, instructions, trial

RATE = Metric("requests", "1/s", "higher")


def test_ipc_is_of_all_trials_of_an_arm_together() -> None:
    without = [
        trial(victim=cgroup(1.0), counted=instructions(n * NS, NS, llc_misses=n * 1000)) for n in (1, 3)
    ]
    with_ = trial(Arm.WITH, 2.0, victim=cgroup(3.0), counted=instructions(NS, 2 * NS, llc_misses=5_000_000))
    assert efficiency([(each, with_) for each in without]) == Efficiency(
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
    assert efficiency(block(without, with_)) == Efficiency(BY_WORK, cpu_s_without=0.01, cpu_s_with=0.015)


def test_of_a_cgroup_that_is_watched_only_counters_tell() -> None:
    watched = trial(metric=STRETCH, value=1.0)
    assert efficiency(block(watched, watched)) is None
    counted = replace(watched, counted=instructions(NS, NS))
    found = efficiency(block(counted, counted))
    assert found == Efficiency(BY_INSTRUCTIONS, ipc_without=1.0, ipc_with=1.0)


def test_counters_that_took_turns_too_often_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.sources.counting.refusal_of_ipc", lambda: None)
    full, part = (trial(counted=instructions(NS, NS, ratio)) for ratio in (1.0, 0.5))
    assert pmu(block(full, full)) == "available"
    assert "50%" in pmu(block(full, part))
    found = efficiency(block(full, part))
    assert found is not None
    assert found.measure == BY_WORK


def test_a_host_without_a_pmu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.sources.counting.refusal_of_ipc", lambda: NO_PMU)
    assert pmu(block(trial(), trial())) == "unavailable: no hardware PMU"
