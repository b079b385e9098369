"""Two recordings made one after the other: windows that resemble each other, and levels that differ anyhow."""

import math

import numpy as np
import pytest
from scipy import stats

from agent.statistics.decision import judge
from agent.statistics.unpaired import (
    BETWEEN_PCT,
    error_of_mean,
    lag_1_bound,
    measure_unpaired,
    unpaired_slowdown,
)

RNG = np.random.default_rng(5)
RUNS, CHANCE = 300, 1e-4


def windows(count: int, lag_1: float, spread: float = 0.1) -> list[float]:
    """A first-order autoregression of logs."""
    values = [RNG.normal(0, spread)]
    for innovation in RNG.normal(0, spread * math.sqrt(1 - lag_1**2), count - 1):
        values.append(lag_1 * values[-1] + innovation)
    return [math.exp(value) for value in values]


@pytest.mark.parametrize("lag_1", [0.0, 0.5, 0.8, 0.95])
def test_the_interval_holds_the_truth_however_much_windows_resemble_each_other(lag_1: float) -> None:
    held = 0
    for _ in range(RUNS):
        bounds = unpaired_slowdown(windows(60, lag_1), windows(60, lag_1)).ci_pct
        held += bounds is None or bounds[0] <= 0 <= bounds[1]
    assert held >= stats.binom.ppf(CHANCE, RUNS, 0.95)


def test_independent_windows_alone_have_about_welchs_interval() -> None:
    one, other = windows(300, 0.0), windows(300, 0.0)
    welch = stats.ttest_ind(np.log(other), np.log(one), equal_var=False).confidence_interval(0.95)
    low, high = unpaired_slowdown(one, other, between_pct=0.0).ci_pct or (0.0, 0.0)
    width = math.log1p(high / 100) - math.log1p(low / 100)
    assert width == pytest.approx(welch.high - welch.low, rel=0.35)
    assert width >= (welch.high - welch.low) * 0.99


def test_recordings_that_differ_by_10_per_cent_for_other_reasons_are_rarely_interference() -> None:
    found = 0
    for _ in range(RUNS):
        shifted = np.array(windows(60, 0.5)) * math.exp(RNG.normal(0, math.log1p(BETWEEN_PCT / 100)))
        found += judge(unpaired_slowdown(windows(60, 0.5), shifted.tolist()).ci_pct, 5) == "interference"
    assert found <= stats.binom.isf(CHANCE, RUNS, 0.025)


def test_a_large_slowdown_is_found_all_the_same() -> None:
    effect = measure_unpaired(windows(60, 0.5), (2 * np.array(windows(60, 0.5))).tolist(), 5)
    assert judge(effect.ci95_pct, 5) == "interference"
    assert effect.p_value < 0.05


def test_windows_that_hardly_change_are_too_much_alike_to_say_anything() -> None:
    creeping = np.exp(np.linspace(0, 0.5, 30)).tolist()
    effect = measure_unpaired(creeping, creeping, 5)
    assert (effect.ci95_pct, effect.p_value) == (None, 1.0)


def test_the_variance_of_a_mean_is_that_of_an_autoregression() -> None:
    """Of many: 4,000 means of 60 windows with a lag-1 of 0.8."""
    runs = [np.log(windows(60, 0.8)) for _ in range(4000)]
    truth = float(np.std([run.mean() for run in runs]))
    told = math.sqrt(float(np.mean([error_of_mean(run, 0.8)[0] ** 2 for run in runs])))
    assert told == pytest.approx(truth, rel=0.05)
    bounds = [lag_1_bound([run]) or 1.0 for run in runs[:300]]
    assert np.mean(np.array(bounds) >= 0.8) > 0.8
