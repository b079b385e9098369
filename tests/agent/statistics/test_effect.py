"""The slowdown, its p-value and the noise floor; several metrics at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agent.documents.metric import Better
from agent.statistics.effect import (
    TrialPair,
    log_ratios,
    measure,
    resolution,
    secondary_effects,
    slowdown,
    to_log,
    to_pct,
)
from agent.statistics.intervals import hodges_lehmann, interval
from probes.errors import UsageError
from tests.agent.statistics.strategies import PAIR, PAIRS

CLEAN = [TrialPair(a, b, 0.0) for a, b in ((1.00, 1.50), (1.10, 1.66), (0.95, 1.42), (1.02, 1.55))]


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
    scaled = [TrialPair(pair.without * factor, pair.with_ * factor, 0.0) for pair in pairs]
    assert log_ratios(scaled, better) == pytest.approx(log_ratios(pairs, better), abs=1e-9)
    before, after = slowdown(pairs, better), slowdown(scaled, better)
    assert to_log(after.pct) == pytest.approx(to_log(before.pct), abs=1e-6)


@given(PAIRS)
def test_swapping_the_arms_negates_the_log_effect(pairs: list[TrialPair]) -> None:
    straight = log_ratios(pairs, "lower")
    swapped = log_ratios([TrialPair(pair.with_, pair.without, 0.0) for pair in pairs], "lower")
    assert hodges_lehmann(swapped) == pytest.approx(-hodges_lehmann(straight), abs=1e-9)
    low, high = interval(straight, 0.01) or (math.nan, math.nan)
    assert interval(swapped, 0.01) == pytest.approx((-high, -low), rel=1e-9, abs=1e-9)


@given(PAIRS)
def test_a_rate_is_judged_as_the_time_it_stands_for(pairs: list[TrialPair]) -> None:
    rates = [TrialPair(1 / pair.without, 1 / pair.with_, 0.0) for pair in pairs]
    assert log_ratios(rates, "higher") == pytest.approx(log_ratios(pairs, "lower"), abs=1e-9)


@given(st.lists(PAIR, min_size=2, max_size=30), st.sampled_from([0.05, 0.0115, 0.005]))
def test_p_is_below_5_per_cent_exactly_where_the_interval_leaves_out_no_change(
    pairs: list[TrialPair], alpha: float
) -> None:
    effect = measure(pairs, "lower", 5, alpha)
    assert effect.ci95_pct is not None
    low, high = effect.ci95_pct
    if min(abs(low), abs(high)) > 1e-6:
        assert (effect.p_value < 0.05) is (low > 0 or high < 0)


@pytest.mark.parametrize("seed", range(5))
def test_p_is_that_of_the_test_that_the_interval_inverts(seed: int) -> None:
    """Five pairs: Student's t. Twenty: Wilcoxon's signed ranks, of one look out of five."""
    ratios = np.random.default_rng(seed).normal(0.02, 0.03, 20)
    few, many = ([TrialPair(1.0, math.exp(r), 0.0) for r in ratios[:count]] for count in (5, 20))
    assert measure(few, "lower", 5, 0.05).p_value == pytest.approx(stats.ttest_1samp(ratios[:5], 0).pvalue)
    exact = stats.wilcoxon(ratios, method="exact").pvalue
    assert measure(many, "lower", 5, 0.01).p_value == pytest.approx(min(1, 5 * exact))


def test_two_equal_effects_of_different_noise_have_different_p_values() -> None:
    quiet, noisy = ([TrialPair(1.0, 2 + spread * k, 0.0) for k in (-1, 0, 1, 0)] for spread in (0.01, 0.1))
    assert 0 < measure(quiet, "lower", 5, 0.05).p_value < measure(noisy, "lower", 5, 0.05).p_value


@given(st.lists(PAIR, min_size=2, max_size=12))
def test_what_is_above_the_noise_floor_is_what_the_interval_says_is_not_0(pairs: list[TrialPair]) -> None:
    effect = measure(pairs, "lower", 5, 0.001)  # so few pairs: Student's, with the mean in its middle
    assert effect.ci95_pct is not None
    assert effect.noise_floor_pct is not None
    middle = (to_log(effect.ci95_pct[0]) + to_log(effect.ci95_pct[1])) / 2
    floor = to_log(effect.noise_floor_pct)
    if abs(middle - floor) > 1e-6:
        assert (middle > floor) is (effect.ci95_pct[0] > 0)


def test_one_trial_has_no_noise_floor() -> None:
    effect = measure([TrialPair(1.0, 2.0, 0.0)], "lower", 5, 0.05)
    assert (effect.ci95_pct, effect.noise_floor_pct, effect.p_value) == (None, None, 1.0)
    assert effect.mean is not None
    assert effect.mean.ci_pct is None


def test_the_mean_is_the_ratio_of_mean_times_and_of_a_rate_too() -> None:
    """Every fourth trial takes three times as long: the typical one is unchanged, the mean 50 % longer."""
    times = [(1.0, 3.0 if k % 4 == 0 else 1.0) for k in range(24)]
    slow = measure([TrialPair(a, b, 0.0) for a, b in times], "lower", 5, 0.05)
    rate = measure([TrialPair(1 / a, 1 / b, 0.0) for a, b in times], "higher", 5, 0.05)
    for effect in (slow, rate):
        assert effect.mean is not None
        assert effect.slowdown_pct == pytest.approx(0)
        assert effect.mean.pct == pytest.approx(50)
    assert slow.slow_trials_pct == pytest.approx(100 * stats.beta.ppf(0.975, 6 + 1, 24 - 6))


def test_of_symmetric_noise_the_interval_of_the_mean_is_students_on_the_residuals() -> None:
    with_ = np.array([1.1, 1.2, 1.3, 1.2])  # mean 1.2, not skewed
    effect = measure([TrialPair(1.0, b, 0.0) for b in with_], "lower", 5, 0.05, mean_alpha=0.05)
    half = stats.t.ppf(0.975, 3) * np.std(with_, ddof=1) / 1.2 / 2
    assert effect.seen_mean_most_pct == pytest.approx(to_pct(math.log(1.2) + half))
    # What four pairs may not have shown: up to 60 % of the trials (Clopper and Pearson), each of three times the time.
    rare = math.log(1 + 2 * (1 - 0.025**0.25))
    assert effect.mean is not None
    assert effect.mean.ci_pct == pytest.approx(
        (to_pct(math.log(1.2) - half), to_pct(math.log(1.2) + half + rare))
    )


def test_what_strikes_both_arms_alike_is_no_slow_trial() -> None:
    both = [TrialPair(2.0 if k == 3 else 1.0 + k / 1e3, 2.0 if k == 9 else 1.0, 0.0) for k in range(24)]
    one = [TrialPair(1.0 + k / 1e3, 2.0 if k == 9 else 1.0, 0.0) for k in range(24)]
    assert measure(both, "lower", 5, 0.05).slow_trials_pct == pytest.approx(100 * (1 - 0.025 ** (1 / 24)))
    assert measure(one, "lower", 5, 0.05).slow_trials_pct == pytest.approx(100 * stats.beta.ppf(0.975, 2, 23))


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([1.0, 1.1], 0.1),
        ([0.020, 0.021, 0.020, 0.021], 0.001),
        ([20.0, 21.0, 22.0], 1.0),
        ([1.024, 2.048, 1.024, 2.048], 1.024),  # buckets: finer digits, but nothing between
        ([0.123456, 0.234567], 1e-6),
    ],
)
def test_the_step_of_a_figure_is_read_off_the_data(values: list[float], step: float) -> None:
    assert resolution(np.array(values)) == pytest.approx(step)


def test_each_trial_is_widened_by_half_of_its_step() -> None:
    """In steps of 0.1, 1.0 and 1.1 may be 1.05 and 1.05, or 0.95 and 1.15."""
    known = slowdown([TrialPair(1.0, 1.1, 0.1)] * 8, "lower")
    read_off = slowdown([TrialPair(1.0, 1.1)] * 8, "lower")
    assert known.ci_pct is not None
    assert known.ci_pct == pytest.approx((0.0, 100 * (1.15 / 0.95 - 1)), abs=1.5)
    assert known.ci_pct[0] <= 1e-9
    assert read_off.ci_pct == pytest.approx(known.ci_pct)


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


def test_secondary_intervals_share_the_error_of_the_look() -> None:
    pairs = [TrialPair(1.0, 1.3 + 0.01 * (i % 5), 0.0) for i in range(8)]
    effects = secondary_effects({"p99": (pairs, "lower"), "rate": (pairs, "higher")}, 5, 0.05)
    assert effects["p99"].ci95_pct == slowdown(pairs, "lower", 0.025).ci_pct
    assert effects["rate"].slowdown_pct < 0 < effects["p99"].slowdown_pct
    assert effects["p99"].p_value == pytest.approx(2 * 2 / 2**8)  # all eight slower


def test_no_secondary_metrics_are_no_effects() -> None:
    assert secondary_effects({}, 5, 0.05) == {}
