"""The verdict, its reason, and how many more pairs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics.decision import Decision, decide, judge
from agent.statistics.design import LookPlan, Order, plan_looks
from agent.statistics.effect import TrialPair
from probes.errors import UsageError
from tests.agent.statistics.strategies import PAIR, PAIRS

PLAN = plan_looks(6, 24)
BOUNDS = st.floats(-90, 200)
FEW_SLOW = (
    "up to 14 % of the trials could be slower by more, "
    "and the mean up to 28 % longer if they took 3 times as long"
)


def noisy(slowdown_pct: float, noise: float, count: int, seed: int = 1) -> list[TrialPair]:
    rng = np.random.default_rng(seed)
    factor = 1 + slowdown_pct / 100
    return [
        TrialPair(math.exp(a), factor * math.exp(b), 0.0)
        for a, b in rng.normal(0, noise, (count, 2)).tolist()
    ]


def test_a_large_clean_slowdown_is_interference_at_the_first_look() -> None:
    decision = decide(noisy(50, 0.03, 6), "lower", 5, PLAN)
    assert decision.verdict == "interference"
    assert decision.more_pairs_needed == 0
    assert decision.warnings == ()
    assert decision.effect.p_value < 0.05


def test_nothing_happening_on_a_quiet_host_is_no_interference_once_few_trials_can_be_slow() -> None:
    pairs = noisy(0, 0.01, 24)
    early = decide(pairs[:16], "lower", 5, PLAN)
    assert early.verdict == "inconclusive"
    assert "up to 21 % of the trials could be slower by more" in early.reason  # 1 - 0.025^(1/16)
    late = decide(pairs, "lower", 5, PLAN)
    assert late.verdict == "no-interference"
    assert "up to 14 % of the trials could be slower by more" in late.reason[1]
    assert early.more_pairs_needed == 22 - 16


def test_a_few_trials_that_take_three_times_as_long_are_not_harmless() -> None:
    pairs = [
        TrialPair(p.without, p.with_ * (3 if k in {5, 17} else 1), 0.0)
        for k, p in enumerate(noisy(0, 0.01, 24))
    ]
    decision = decide(pairs, "lower", 5, PLAN)
    assert decision.verdict == "inconclusive"
    assert abs(decision.effect.slowdown_pct) < 1


def test_the_mean_alone_may_be_interference_and_is_then_what_is_told() -> None:
    """Half of the trials take twice as long: the mean is 50 % longer, and typically it is anything in between."""
    pairs = [
        TrialPair(p.without, p.with_ * (1, 1, 1, 3)[k % 4], 0.0) for k, p in enumerate(noisy(0, 0.01, 120))
    ]
    decision = decide(pairs, "lower", 5, LookPlan((120,)))
    assert decision.verdict == "interference"
    assert decision.effect.estimand == "mean"
    assert decision.effect.slowdown_pct == pytest.approx(50, abs=2)
    assert decision.effect.ci95_pct is not None
    assert decision.effect.ci95_pct[0] > 5
    assert decision.effect.p_value < 0.05
    assert decision.reason[0].startswith("on average ")


def test_between_two_looks_there_is_an_interval_and_no_verdict() -> None:
    pairs = noisy(50, 0.01, 8)
    decision = decide(pairs, "lower", 5, PLAN, by_hand=True)
    assert decision.verdict == "inconclusive"
    assert decision.reason[-1] == "it was ended between two looks, which gives no verdict"
    at_look, by_hand = decide(pairs, "lower", 5, PLAN).effect.ci95_pct, decision.effect.ci95_pct
    assert at_look is not None
    assert by_hand is not None
    assert by_hand[0] < at_look[0]
    assert by_hand[1] > at_look[1]


def test_a_small_slowdown_in_noise_is_inconclusive_and_says_how_far() -> None:
    decision = decide(noisy(8, 0.10, 10), "lower", 5, PLAN)
    assert decision.verdict == "inconclusive"
    assert decision.more_pairs_needed is not None
    assert decision.reason[-1] == f"about {decision.more_pairs_needed} more pairs would decide"


def test_faster_with_the_neighbours_is_neither_verdict() -> None:
    decision = decide(noisy(-40, 0.01, 8), "lower", 5, PLAN)
    assert decision.verdict == "inconclusive"
    assert decision.reason[1] == "the victim became faster, which is neither verdict"
    assert decision.more_pairs_needed is None
    assert decision.reason[-1].startswith("even 1000 pairs would not decide")


def test_a_threshold_below_what_the_digits_can_show_is_a_warning() -> None:
    pairs = [TrialPair(a, b, 0.001) for a, b in [(0.020, 0.021)] * 24]
    decision = decide(pairs, "lower", 5, PLAN)
    assert decision.verdict == "inconclusive"
    assert "more than a fifth of the threshold of 5 %" in decision.warnings[0]


def test_a_single_pair_decides_nothing() -> None:
    decision = decide([TrialPair(1.0, 2.0)], "lower", 5, PLAN)
    assert (decision.verdict, decision.more_pairs_needed) == ("inconclusive", 3)
    assert decision.effect.ci95_pct is None
    assert decision.effect.noise_floor_pct is None
    assert decision.reason[1] == "one pair cannot tell an effect from noise"


@pytest.mark.parametrize(
    ("slowdown_pct", "count", "clauses"),
    [
        (
            60,
            8,
            (
                "60.0 % slower with the neighbours (95 % interval +60.0 to +60.0 %, 8 pairs)",
                "all of it above the threshold of 5 %",
            ),
        ),
        (
            0,
            24,
            (
                "no slower with the neighbours (95 % interval 0.0 to 0.0 %, 24 pairs)",
                f"all of it within ±5 %, the mean time of trials like these at most 0.0 % longer; {FEW_SLOW}",
            ),
        ),
    ],
)
def test_the_clauses_of_the_reason(slowdown_pct: float, count: int, clauses: tuple[str, ...]) -> None:
    decision = decide([TrialPair(1.0, 1 + slowdown_pct / 100, 0.0)] * count, "lower", 5, PLAN)
    assert decision.reason == clauses


def test_of_a_rate_its_own_change_is_told_and_the_limits_on_the_same_scale() -> None:
    """1 / 1.05 is 95.2 %, and 1 / 0.95 is 105.3 %."""
    halved = decide([TrialPair(1000.0, 500.0, 0.0)] * 8, "higher", 5, PLAN)
    assert halved.reason == (
        "figure −50.0 % with the neighbours (95 % interval −50.0 to −50.0 %, 8 pairs)",
        "all of it beyond the threshold of −4.8 %",
    )
    same = decide([TrialPair(1000.0, 1000.0, 0.0)] * 24, "higher", 5, PLAN)
    assert same.reason[1].startswith("all of it within −4.8 to +5.3 %")


@pytest.mark.parametrize(
    ("ci_pct", "verdict"),
    [
        ((5.1, 9.0), "interference"),
        ((5.0, 9.0), "inconclusive"),
        ((-4.9, 4.9), "no-interference"),
        ((-5.0, 4.9), "inconclusive"),
        ((-4.9, 5.0), "inconclusive"),
        ((-30.0, -10.0), "inconclusive"),
        (None, "inconclusive"),
    ],
)
def test_where_the_interval_lies_decides(ci_pct: tuple[float, float] | None, verdict: str) -> None:
    assert judge(ci_pct, 5) == verdict


@given(BOUNDS, BOUNDS, st.floats(0.1, 50), st.floats(0.1, 50))
def test_a_higher_threshold_never_makes_interference(a: float, b: float, t: float, u: float) -> None:
    ci_pct = (min(a, b), max(a, b))
    rank = {"interference": 2, "inconclusive": 1, "no-interference": 0}
    assert rank[judge(ci_pct, max(t, u))] <= max(rank[judge(ci_pct, min(t, u))], 1)
    if judge(ci_pct, min(t, u)) == "no-interference":
        assert judge(ci_pct, max(t, u)) == "no-interference"
    if judge(ci_pct, max(t, u)) == "interference":
        assert judge(ci_pct, min(t, u)) == "interference"


@given(
    st.lists(PAIR, min_size=1, max_size=30), st.lists(st.sampled_from(list(Order)), min_size=30, max_size=30)
)
def test_figures_that_stand_together_never_contradict_each_other(
    pairs: list[TrialPair], orders: list[Order]
) -> None:
    decision = decide(pairs, "lower", 5, PLAN, orders=orders[: len(pairs)])
    effect = decision.effect
    low, high = effect.ci95_pct or (-100.0, math.inf)
    if decision.verdict == "interference":
        assert low > 5
        assert effect.p_value < 0.05
        assert effect.noise_floor_pct is not None
        assert effect.slowdown_pct > 5
    if decision.verdict == "no-interference":
        assert -5 < low <= high < 5
        assert effect.mean is not None
        assert effect.seen_mean_most_pct is not None
        assert effect.seen_mean_most_pct < 5
        assert effect.slow_trials_pct is not None
        assert effect.slow_trials_pct <= 16
    if low <= 0 <= high and min(abs(low), abs(high)) > 1e-6:
        assert effect.p_value >= 0.05


@given(PAIRS, st.floats(1e-2, 1e2))
def test_the_decision_does_not_depend_on_the_unit(pairs: list[TrialPair], factor: float) -> None:
    scaled = [TrialPair(pair.without * factor, pair.with_ * factor, 0.0) for pair in pairs]
    assert decide(scaled, "lower", 5, PLAN).verdict == decide(pairs, "lower", 5, PLAN).verdict


@given(PAIRS)
def test_more_pairs_are_asked_for_exactly_when_undecided(pairs: list[TrialPair]) -> None:
    decision = decide(pairs, "lower", 5, PLAN)
    assert (decision.more_pairs_needed == 0) is (decision.verdict != "inconclusive")


@given(st.lists(PAIR, min_size=1, max_size=3))
def test_every_decision_gives_its_reason(pairs: list[TrialPair]) -> None:
    decision = decide(pairs, "lower", 5, PLAN)
    assert all(decision.reason)
    assert not any(clause.endswith(".") for clause in decision.reason)


def test_the_number_of_pairs_asked_for_is_about_right() -> None:
    most, few = [], []
    for seed in range(40):
        more = decide(noisy(25, 0.10, 8, seed), "lower", 5, PLAN).more_pairs_needed
        if more:
            few.append(decide(noisy(25, 0.10, 8 + more // 4, seed), "lower", 5, PLAN))
            most.append(decide(noisy(25, 0.10, 8 + 2 * more, seed), "lower", 5, PLAN))
    assert len(most) >= 20
    assert share_decided(few) < 0.5 < share_decided(most)


def share_decided(decisions: list[Decision]) -> float:
    return sum(decision.verdict != "inconclusive" for decision in decisions) / len(decisions)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_time_is_refused_in_one_line(value: float) -> None:
    with pytest.raises(UsageError, match="the metric was") as refused:
        decide([TrialPair(1.0, 1.0, 0.0)] * 5 + [TrialPair(1.0, value, 0.0)], "lower", 5, PLAN)
    assert "\n" not in str(refused.value)


def test_one_pair_alone_decides_nothing_whatever_it_shows() -> None:
    found = decide([TrialPair(1.0, 9.0, 0.0, (0.0, 0.5))], "lower", 5, plan_looks(1, 1))
    assert (found.verdict, found.effect.ci95_pct, found.effect.p_value) == ("inconclusive", None, 1.0)
    assert found.reason[0].endswith("by a single pair")


def test_trials_that_are_identical_are_known_to_half_a_step_and_no_better() -> None:
    """24 times 0.30 and 0.30: of a figure of two digits 3.3 % of it are one step; with 0.3000 it is another matter."""
    coarse = decide([TrialPair(0.3, 0.3, 0.01)] * 24, "lower", 3, PLAN)
    assert coarse.verdict == "inconclusive"
    assert any("steps" in warning for warning in coarse.warnings)
    fine = decide([TrialPair(0.3, 0.3, 0.0001)] * 24, "lower", 3, PLAN)
    assert (fine.verdict, fine.warnings) == ("no-interference", ())


@pytest.mark.parametrize("threshold_pct", [0.01, 0.5, 2.0])
def test_a_threshold_below_the_resolution_gives_no_verdict_about_what_cannot_be_seen(
    threshold_pct: float,
) -> None:
    """A figure of 1.0 or 1.1 in steps of 0.1, which are 10 % of it."""
    pairs = [TrialPair(1.0, 1.1 if k % 2 else 1.0, 0.1) for k in range(24)]
    found = decide(pairs, "lower", threshold_pct, PLAN)
    assert found.verdict == "inconclusive"
    assert any("more than a fifth of the threshold" in warning for warning in found.warnings)


@pytest.mark.parametrize("taken", [(math.nan, 0.1), (2.0, 2.0), (-1.0, 0.5)])
def test_parts_of_the_time_that_are_none_make_no_wrong_interval(taken: tuple[float, float]) -> None:
    pairs = [TrialPair(a, b, 0.0, taken) for a, b in np.exp(np.random.default_rng(4).normal(0, 0.2, (24, 2)))]
    blind = decide([replace(pair, taken=None) for pair in pairs], "lower", 5, PLAN)
    assert decide(pairs, "lower", 5, PLAN).effect == blind.effect
