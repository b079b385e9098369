"""Faults of the statistics that a reviewer found, each as a few lines of what was measured, with the right answer.

What stands on one screen never contradicts itself: `tests/agent/statistics/test_decision.py` draws the figures.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from agent.analysis.observation import TrialResult
from agent.analysis.verdict import find
from agent.detection.harm import Harm, reach_of
from agent.detection.indicators import INDICATORS
from agent.detection.rules import DEFAULT_BUDGET
from agent.documents.metric import Metric, Sample
from agent.documents.verdict import CauseKind
from agent.documents.verdict_parts import Arm
from agent.experiment.runner import Log, complete_pairs, trials_of
from agent.experiment.victim_metrics import parse_spec, read_metrics
from agent.statistics.decision import Decision, decide
from agent.statistics.design import plan_looks
from agent.statistics.effect import TrialPair, secondary_effects
from agent.statistics.shares import shares
from agent.statistics.unpaired import unpaired_slowdown
from benchmarks.detection_error import moment_of
from tests.agent.analysis.trials import NEIGHBOUR, cgroup, pair, trial

PLAN = plan_looks(6, 24)
OTHER_NEIGHBOUR = "/jostle-1/neighbour-2"


def concluded(pairs: list[TrialPair]) -> Decision:
    looks = (decide(pairs[:look], "lower", 5.0, PLAN) for look in PLAN.looks)
    return next(
        (found for found in looks if found.verdict != "inconclusive"), decide(pairs, "lower", 5.0, PLAN)
    )


def test_three_times_as_long_in_a_tenth_of_the_trials_is_rarely_called_harmless() -> None:
    """24 trials show none of them once in 12.5 times."""
    rng, cleared = np.random.default_rng(1), 0
    for _ in range(100):
        pairs = [
            TrialPair(math.exp(a), math.exp(b) * (3 if rng.random() < 0.1 else 1))
            for a, b in rng.normal(0, 0.01, (24, 2)).tolist()
        ]
        cleared += concluded(pairs).verdict == "no-interference"
    assert cleared <= 15


def test_four_equal_pairs_of_two_digits_are_no_certainty() -> None:
    found = decide([TrialPair(1.0, 1.1)] * 4, "lower", 5.0, plan_looks(4, 24))
    assert found.verdict == "inconclusive"
    assert found.effect.ci95_pct is not None
    assert found.effect.ci95_pct[0] <= 0
    assert found.effect.ci95_pct[1] >= 20
    assert "more than a fifth of the threshold" in found.warnings[0]


def test_nine_thousand_errors_beside_the_neighbours_alone_are_interference() -> None:
    spec = parse_spec("wrk")

    def printed(rate: int, bad: int) -> tuple[Sample, ...]:
        failed = f"  Non-2xx or 3xx responses: {bad}\n" * (bad > 0)
        latency = "    Latency     1.00ms    0.10ms   5.00ms   99.00%\n"
        return tuple(
            read_metrics(spec, f"{latency}{failed}Requests/sec:  {rate}.00\nTransfer/sec:    100.0KB\n", "")
        )

    def run(arm: Arm, block: int, rate: int, bad: int) -> TrialResult:
        result = trial(arm, 10.0, block=block)
        return replace(result, seen=replace(result.seen, samples=printed(rate, bad)))

    log = Log(
        trials=[
            run(arm, k, rate, bad)
            for k in range(10)
            for arm, rate, bad in ((Arm.WITHOUT, 1000 + k, 0), (Arm.WITH, 1003 + k, 9000))
        ]
    )
    found = decide(complete_pairs(log.trials), "higher", 5.0, PLAN, trials=trials_of(log))
    assert (found.verdict, found.by_failures) == ("interference", True)
    assert found.reason[0] == "errors: 0 without the neighbours, 90,000 with them"


def test_two_pairs_in_ten_that_lost_all_to_io_have_their_share() -> None:
    wait = [0.30, 0.31, 0.29, 0.30, 0.30, 0, 0.31, 0, 0.30, 0.29]
    io = [0, 0, 0, 0, 0, 1.5, 0, 1.5, 0, 0]
    found = shares({"cpu-wait": wait, "io": io}, [a + b for a, b in zip(wait, io, strict=True)])
    by_cause = {share.cause: share for share in found}
    assert by_cause["io"].share_pct == pytest.approx(100 * sum(io) / (sum(wait) + sum(io)))
    assert by_cause["io"].ci95_pct is not None
    assert by_cause["io"].ci95_pct[0] < 0
    assert by_cause["io"].ci95_pct[1] > 100


def test_nobody_is_blamed_for_a_slowdown_that_is_none() -> None:
    seen = pair(trial(), trial(Arm.WITH, 1.001, victim=cgroup(1.0, {NEIGHBOUR: 0.001})))
    judged = decide([TrialPair(1.0, 1.001, 0.0)] * 6, "lower", 5.0, PLAN)
    found = find(
        seen, judged.verdict, replace(judged.effect, ci95_pct=(-0.1, 0.3)), {NEIGHBOUR: "neighbour-1"}
    )
    assert (found.causes, found.aggressors) == ((), ())


def test_of_six_metrics_that_all_doubled_each_p_is_its_own() -> None:
    def doubled(metric: int) -> list[TrialPair]:
        noise = np.random.default_rng(metric).normal(0, 0.02 * (1 + metric), 6)
        return [TrialPair(1.0, 2.0 + each, 0.0) for each in noise.tolist()]

    effects = secondary_effects({f"m{k}": (doubled(k), "lower") for k in range(6)}, 5.0, 0.05)
    p_values = [effect.p_value for effect in effects.values()]
    assert len(set(p_values)) == 6
    for effect in effects.values():
        assert effect.ci95_pct is not None
        assert (effect.p_value < 0.05) is (effect.ci95_pct[0] > 0)


def test_a_neighbours_share_has_an_interval() -> None:
    seen = [
        entry
        for w in (0.7, 0.75, 0.8, 0.72)
        for entry in pair(
            trial(), trial(Arm.WITH, 2.0, victim=cgroup(1.0, {NEIGHBOUR: w, OTHER_NEIGHBOUR: 1.0 - w}))
        )
    ]
    judged = decide([TrialPair(1.0, 2.0 + k / 100, 0.0) for k in range(4)], "lower", 5.0, plan_looks(4, 24))
    first, second = find(
        seen, "interference", judged.effect, {NEIGHBOUR: "one", OTHER_NEIGHBOUR: "two"}
    ).aggressors
    assert first.ci95_pct is not None
    assert second.ci95_pct is not None
    assert first.ci95_pct[0] < first.share_pct < first.ci95_pct[1]
    # Of two shares each says what the other does.
    assert second.ci95_pct == pytest.approx((100 - first.ci95_pct[1], 100 - first.ci95_pct[0]))


def test_two_recordings_of_which_windows_resemble_each_other_hold_the_truth() -> None:
    """A first-order autoregression of 0.8: sixty windows are worth seven."""
    rng = np.random.default_rng(6)

    def windows() -> list[float]:
        logs = [rng.normal(0, 0.1)]
        for each in rng.normal(0, 0.06, 59):
            logs.append(0.8 * logs[-1] + each)
        return [1.5 * math.exp(each) for each in logs]

    bounds = [unpaired_slowdown(windows(), windows()).ci_pct for _ in range(100)]
    assert sum(ci is not None and ci[0] <= 0 <= ci[1] for ci in bounds) >= 94


def test_of_two_neighbours_nobody_is_charged_by_cpu_time_with_what_happens_on_the_cpu() -> None:
    """One ran 1.5 s, the other 0.45 s, beside a victim that took 0.5 s longer on the CPU and waited for neither."""
    seen = [
        entry
        for _ in range(4)
        for entry in pair(
            trial(),
            trial(Arm.WITH, 1.5, victim=cgroup(1.5), others_run_s={NEIGHBOUR: 1.5, OTHER_NEIGHBOUR: 0.45}),
        )
    ]
    judged = decide([TrialPair(1.0, 1.5 + k / 100, 0.0) for k in range(6)], "lower", 5.0, PLAN)
    found = find(seen, "interference", judged.effect, {NEIGHBOUR: "one", OTHER_NEIGHBOUR: "two"})
    assert found.causes[0].cause is CauseKind.MICROARCHITECTURE
    assert found.aggressors == ()


METRIC = Metric("rate", "1/s", "higher")


def test_what_a_reader_saw_printed_is_the_step_of_the_trial() -> None:
    """Two digits of a rate: 95 and 100 may be 95.5 and 99.5."""
    trials = [
        replace(result, seen=replace(result.seen, samples=(Sample(METRIC, value, 1.0),)))
        for k in range(24)
        for result, value in ((trial(Arm.WITHOUT, block=k), 100.0), (trial(Arm.WITH, block=k), 95.0))
    ]
    found = decide(complete_pairs(trials), "higher", 5.0, PLAN)
    assert found.verdict == "inconclusive"
    assert any("steps" in warning for warning in found.warnings)


def test_waits_that_resemble_each_other_make_no_events_of_a_quiet_day() -> None:
    """A day of one cgroup: a first-order autoregression of 0.8, with a spread of 0.5 on the log scale."""
    rng, harm, events, log = np.random.default_rng(7), Harm(), 0, 0.0
    reach = reach_of(DEFAULT_BUDGET / 2, 100)
    for number, each in enumerate(rng.normal(0, 0.3, 8640).tolist()):
        log = 0.8 * log + each
        if harm.step(INDICATORS["wait_per_run"], 0.2 * math.exp(log), moment_of(number, reach), cgroup(1.0)):
            harm.raised, events = object(), events + 1  # type: ignore[assignment]  # any event
        elif harm.is_over:
            harm.clear()
    assert events == 0
