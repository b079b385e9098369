"""The slowdown, its p-value and the noise floor; several metrics at once."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agent.documents.metric import Better
from agent.statistics.decision import decide
from agent.statistics.design import plan_looks
from agent.statistics.effect import (
    TrialPair,
    holm,
    log_ratios,
    measure,
    noise_floor,
    p_value,
    secondary_effects,
    slowdown,
    to_log,
    to_pct,
)
from agent.statistics.intervals import hodges_lehmann, interval
from probes.errors import UsageError
from tests.agent.statistics.strategies import METRICS, PAIRS

CLEAN = [TrialPair(1.00, 1.50), TrialPair(1.10, 1.66), TrialPair(0.95, 1.42), TrialPair(1.02, 1.55)]


def test_a_clean_slowdown_is_measured() -> None:
    effect = measure(CLEAN, "lower", 5, 0.05)
    ratios = [math.log(ratio) for ratio in (1.5 / 1.0, 1.66 / 1.1, 1.42 / 0.95, 1.55 / 1.02)]
    student = stats.ttest_1samp(ratios, 0).confidence_interval(0.95)
    # The middle two of the ten pairwise means, worked out by hand: 0.408487 and 0.410201.
    assert effect.slowdown_pct == pytest.approx(100 * math.expm1(0.409344), abs=0.001)
    assert effect.ci95_pct == pytest.approx((100 * math.expm1(student.low), 100 * math.expm1(student.high)))
    assert [effect.without, effect.with_, effect.pairs] == pytest.approx([1.01, 1.525, 4])


def test_a_rate_that_halves_is_a_slowdown_of_100_per_cent() -> None:
    assert slowdown([TrialPair(200.0, 100.0)] * 3, "higher").pct == pytest.approx(100)


def test_twice_as_fast_is_minus_50_per_cent() -> None:
    assert slowdown([TrialPair(2.0, 1.0)] * 3, "lower").pct == pytest.approx(-50)


@given(PAIRS, st.floats(1e-2, 1e2), st.sampled_from(["lower", "higher"]))
def test_the_unit_of_the_metric_does_not_matter(
    pairs: list[TrialPair], factor: float, better: Better
) -> None:
    scaled = [TrialPair(pair.without * factor, pair.with_ * factor) for pair in pairs]
    assert log_ratios(scaled, better) == pytest.approx(log_ratios(pairs, better), abs=1e-9)
    before, after = slowdown(pairs, better), slowdown(scaled, better)
    assert to_log(after.pct) == pytest.approx(to_log(before.pct), abs=1e-6)


@given(PAIRS)
def test_swapping_the_arms_negates_the_log_effect(pairs: list[TrialPair]) -> None:
    straight = log_ratios(pairs, "lower")
    swapped = log_ratios([TrialPair(pair.with_, pair.without) for pair in pairs], "lower")
    assert hodges_lehmann(swapped) == pytest.approx(-hodges_lehmann(straight), abs=1e-9)
    low, high = interval(straight, 0.01) or (math.nan, math.nan)
    assert interval(swapped, 0.01) == pytest.approx((-high, -low), rel=1e-9, abs=1e-9)


@given(PAIRS)
def test_a_rate_is_judged_as_the_time_it_stands_for(pairs: list[TrialPair]) -> None:
    rates = [TrialPair(1 / pair.without, 1 / pair.with_) for pair in pairs]
    assert log_ratios(rates, "higher") == pytest.approx(log_ratios(pairs, "lower"), abs=1e-9)


@given(st.lists(st.builds(TrialPair, METRICS, METRICS), min_size=1, max_size=8))
def test_the_p_value_counts_all_flips(pairs: list[TrialPair]) -> None:
    ratios = log_ratios(pairs, "lower")
    means = [abs(np.mean(ratios * signs)) for signs in product([-1, 1], repeat=len(ratios))]
    observed = abs(np.mean(ratios))
    at_least = [mean >= observed * (1 - 1e-9) - 1e-12 for mean in means]
    assert p_value(pairs) == pytest.approx(np.mean(at_least), abs=1e-9)


@pytest.mark.parametrize(("count", "smallest"), [(1, 1.0), (4, 0.125), (8, 2 / 2**8), (16, 2 / 2**16)])
def test_the_smallest_p_value_that_can_be_attained(count: int, smallest: float) -> None:
    pairs = [TrialPair(1.0, 1.5 + 0.01 * index) for index in range(count)]
    assert p_value(pairs) == pytest.approx(smallest)


def test_beyond_16_pairs_the_p_value_is_sampled_but_repeatable() -> None:
    rng = np.random.default_rng(7)
    pairs = [TrialPair(1.0, math.exp(value)) for value in rng.normal(0.01, 0.03, 18)]
    ratios = log_ratios(pairs, "lower")
    signs = 1 - 2 * ((np.arange(2**18)[:, np.newaxis] >> np.arange(18)) & 1)
    exact = float(np.mean(np.abs(signs @ ratios) >= abs(ratios.sum()) * (1 - 1e-9)))
    assert p_value(pairs) == p_value(pairs)
    # Five standard errors of 65 536 draws.
    assert p_value(pairs) == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 2**16) + 1e-4)


def test_the_noise_floor_is_students_margin_at_the_spread_of_a_pair() -> None:
    steps = [0.02, -0.03, 0.01, 0.04, -0.02]
    values = np.exp(np.cumsum([0.0, *steps])).tolist()
    # The median step is 0.02; 0.67449 and 2.5706 are tabled quantiles of the normal and of t with 5 df.
    assert noise_floor(values) == pytest.approx(to_pct(2.5706 / math.sqrt(6) * 0.02 / 0.67449), rel=1e-4)


def test_neither_an_outlier_nor_slow_drift_raises_the_noise_floor_much() -> None:
    quiet = np.exp(np.random.default_rng(3).normal(0, 0.02, 12))
    wild, drifting = quiet.copy(), quiet * np.exp(np.linspace(0, 0.1, 12))
    wild[5] *= 3
    floors = [noise_floor(values.tolist()) or math.inf for values in (quiet, wild, drifting)]
    # Root mean squares would give ten times as much with the outlier; the drift is five times the noise.
    assert floors[1] < 2 * floors[0]
    assert floors[2] < 2 * floors[0]


@given(st.lists(METRICS, min_size=2, max_size=12), st.floats(1e-2, 1e2))
def test_the_noise_floor_does_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    before, after = noise_floor(values), noise_floor([value * factor for value in values])
    assert before is not None
    assert after is not None
    assert to_log(after) == pytest.approx(to_log(before), abs=1e-6)


def test_one_trial_has_no_noise_floor() -> None:
    assert noise_floor([1.0]) is None


@pytest.mark.parametrize("metric", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("arm", ["without", "with"])
def test_a_metric_that_is_no_duration_is_refused(metric: float, arm: str) -> None:
    pair = TrialPair(metric, 1.0) if arm == "without" else TrialPair(1.0, metric)
    with pytest.raises(UsageError, match="finite number above 0"):
        slowdown([TrialPair(1.0, 1.0), pair], "lower")


def test_no_pairs_are_refused() -> None:
    with pytest.raises(UsageError, match="no pairs"):
        slowdown([], "lower")


@pytest.mark.parametrize("threshold_pct", [0.0, -5.0, math.nan, math.inf])
def test_a_threshold_must_be_a_slowdown(threshold_pct: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        measure(CLEAN, "lower", threshold_pct, 0.05)


@given(st.floats(-25, 600))
def test_per_cent_and_log_undo_each_other(log_ratio: float) -> None:
    assert to_log(to_pct(log_ratio)) == pytest.approx(log_ratio, rel=1e-3, abs=1e-9)


P_VALUES = st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8)


def test_holms_textbook_example() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(adjusted) == ["a", "b", "c", "d"]


@given(P_VALUES)
def test_adjusted_values_lie_between_the_raw_and_bonferronis(p_values: dict[str, float]) -> None:
    for name, adjusted in holm(p_values).items():
        assert p_values[name] <= adjusted <= min(1, len(p_values) * p_values[name])


@given(P_VALUES)
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: dict[str, float]) -> None:
    rejected = set()
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if (len(p_values) - rank) * p_values[name] > 0.05:
            break
        rejected.add(name)
    assert {name for name, adjusted in holm(p_values).items() if adjusted <= 0.05} == rejected


def test_secondary_intervals_share_the_error_of_the_look() -> None:
    plan = plan_looks(8, 8)
    pairs = [TrialPair(1.0, 1.3 + 0.01 * (i % 5)) for i in range(8)]
    effects = secondary_effects({"p99": (pairs, "lower"), "rate": (pairs, "higher")}, 5, plan)
    assert effects["p99"].ci95_pct == slowdown(pairs, "lower", 0.025).ci_pct
    assert effects["rate"].slowdown_pct < 0 < effects["p99"].slowdown_pct
    assert effects["p99"].p_value == pytest.approx(2 * decide(pairs, "lower", 5, plan).effect.p_value)


def test_no_secondary_metrics_are_no_effects() -> None:
    assert secondary_effects({}, 5, plan_looks(4, 8)) == {}
