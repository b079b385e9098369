"""The verdict, its reason, and how many more pairs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics.decision import Decision, decide, judge
from agent.statistics.design import LookPlan, plan_looks
from agent.statistics.effect import TrialPair
from tests.agent.statistics.strategies import METRICS, PAIRS

PLAN = plan_looks(4, 24)
BOUNDS = st.floats(-90, 200)


def noisy(slowdown_pct: float, noise: float, count: int, seed: int = 1) -> list[TrialPair]:
    rng = np.random.default_rng(seed)
    factor = 1 + slowdown_pct / 100
    return [
        TrialPair(math.exp(a), factor * math.exp(b)) for a, b in rng.normal(0, noise, (count, 2)).tolist()
    ]


def test_a_large_clean_slowdown_is_interference_at_four_pairs() -> None:
    decision = decide(noisy(50, 0.03, 4), "lower", 5, LookPlan((4,)))
    assert decision.verdict == "interference"
    assert decision.more_pairs_needed == 0
    assert decision.warnings == ()


def test_nothing_happening_on_a_quiet_host_is_no_interference() -> None:
    assert decide(noisy(0, 0.01, 12), "lower", 5, PLAN).verdict == "no-interference"


def test_a_small_slowdown_in_noise_is_inconclusive_and_says_how_far() -> None:
    decision = decide(noisy(8, 0.10, 8), "lower", 5, PLAN)
    assert decision.verdict == "inconclusive"
    assert decision.more_pairs_needed is not None
    assert decision.reason[-1] == f"about {decision.more_pairs_needed} more pairs would decide"


def test_faster_with_the_neighbours_is_neither_verdict() -> None:
    decision = decide(noisy(-40, 0.01, 8), "lower", 5, PLAN)
    assert decision.verdict == "inconclusive"
    assert decision.reason[1] == "the victim became faster, which is neither verdict"
    assert decision.more_pairs_needed is None
    assert decision.reason[-1].startswith("even 1000 pairs would not decide")


def test_a_slowdown_below_the_noise_floor_is_inconclusive() -> None:
    # Trials that swing together: the pairs agree, the trials without neighbours differ by a factor of two.
    pairs = [
        TrialPair(level, 1.2 * level * (1 + 0.001 * i))
        for i, level in enumerate([1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    ]
    decision = decide(pairs, "lower", 5, PLAN)
    assert decision.verdict == "inconclusive"
    assert "not all of it above the noise floor" in decision.reason[1]
    assert "below the noise floor" in decision.warnings[0]


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
                "all of it above the threshold of 5 % and the noise floor of 0.0 %",
            ),
        ),
        (
            0,
            4,
            (
                "no slower with the neighbours (95 % interval 0.0 to 0.0 %, 4 pairs)",
                "all of it within ±5 %",
            ),
        ),
    ],
)
def test_the_clauses_of_the_reason(slowdown_pct: float, count: int, clauses: tuple[str, ...]) -> None:
    decision = decide([TrialPair(1.0, 1 + slowdown_pct / 100)] * count, "lower", 5, PLAN)
    assert decision.reason == clauses


def test_of_a_rate_its_own_change_is_told_and_the_limits_on_the_same_scale() -> None:
    """1 / 1.05 is 95.2 %, and 1 / 0.95 is 105.3 %."""
    halved = decide([TrialPair(1000.0, 500.0)] * 8, "higher", 5, PLAN)
    assert halved.reason == (
        "figure −50.0 % with the neighbours (95 % interval −50.0 to −50.0 %, 8 pairs)",
        "all of it beyond the threshold of −4.8 % and the noise floor of 0.0 %",
    )
    same = decide([TrialPair(1000.0, 1000.0)] * 4, "higher", 5, PLAN)
    assert same.reason[1] == "all of it within −4.8 to +5.3 %"


@pytest.mark.parametrize(
    ("ci_pct", "floor_pct", "verdict"),
    [
        ((5.1, 9.0), 2.0, "interference"),
        ((5.0, 9.0), 2.0, "inconclusive"),
        ((5.1, 9.0), 6.0, "inconclusive"),
        ((-4.9, 4.9), 2.0, "no-interference"),
        ((-4.9, 4.9), 20.0, "no-interference"),
        ((-5.0, 4.9), 2.0, "inconclusive"),
        ((-4.9, 5.0), 2.0, "inconclusive"),
        ((-30.0, -10.0), 2.0, "inconclusive"),
        (None, 2.0, "inconclusive"),
        ((6.0, 7.0), None, "inconclusive"),
    ],
)
def test_where_the_interval_lies_decides(
    ci_pct: tuple[float, float] | None, floor_pct: float | None, verdict: str
) -> None:
    assert judge(ci_pct, floor_pct, 5) == verdict


@given(BOUNDS, BOUNDS, st.floats(0, 50), st.floats(0.1, 50), st.floats(0.1, 50))
def test_a_higher_threshold_never_makes_interference(
    a: float, b: float, floor: float, t: float, u: float
) -> None:
    ci_pct = (min(a, b), max(a, b))
    rank = {"interference": 2, "inconclusive": 1, "no-interference": 0}
    assert rank[judge(ci_pct, floor, max(t, u))] <= max(rank[judge(ci_pct, floor, min(t, u))], 1)
    if judge(ci_pct, floor, min(t, u)) == "no-interference":
        assert judge(ci_pct, floor, max(t, u)) == "no-interference"
    if judge(ci_pct, floor, max(t, u)) == "interference":
        assert judge(ci_pct, floor, min(t, u)) == "interference"


@given(PAIRS, st.floats(1e-2, 1e2))
def test_the_decision_does_not_depend_on_the_unit(pairs: list[TrialPair], factor: float) -> None:
    scaled = [TrialPair(pair.without * factor, pair.with_ * factor) for pair in pairs]
    assert decide(scaled, "lower", 5, PLAN).verdict == decide(pairs, "lower", 5, PLAN).verdict


@given(PAIRS)
def test_more_pairs_are_asked_for_exactly_when_undecided(pairs: list[TrialPair]) -> None:
    decision = decide(pairs, "lower", 5, PLAN)
    assert (decision.more_pairs_needed == 0) is (decision.verdict != "inconclusive")


@given(st.lists(st.builds(TrialPair, METRICS, METRICS), min_size=1, max_size=3))
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
