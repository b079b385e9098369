"""Estimates and intervals against published tables, scipy and enumeration."""

from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agent.statistics.intervals import (
    EXACT_UP_TO,
    Floats,
    hodges_lehmann,
    interval,
    proportion,
    signed_rank_margin,
    signed_rank_pmf,
    student_interval,
)
from probes.errors import UsageError
from tests.agent.statistics.strategies import LOG_RATIOS

# Hollander and Wolfe, Nonparametric Statistical Methods, 1973, table 3.1: depression scores of nine patients
# before and after a tranquillizer.
BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])


def test_the_textbook_example() -> None:
    assert hodges_lehmann(AFTER - BEFORE) == pytest.approx(-0.46)
    assert interval(AFTER - BEFORE, 0.05) == pytest.approx((-0.786, -0.010))


@pytest.mark.parametrize(
    ("count", "alpha", "critical"),
    [
        *((5, 0.05, None), (6, 0.05, 0), (8, 0.05, 3), (10, 0.05, 8), (20, 0.05, 52), (30, 0.05, 137)),
        *((7, 0.01, None), (8, 0.01, 0), (10, 0.01, 3), (20, 0.01, 37), (30, 0.01, 109), (50, 0.01, 373)),
    ],
)
def test_critical_values_are_those_of_the_published_table(
    count: int, alpha: float, critical: int | None
) -> None:
    assert signed_rank_margin(count, alpha) == critical


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_the_distribution_is_that_of_all_sign_patterns(count: int) -> None:
    ranks = np.arange(1, count + 1)
    sums = [int(np.dot(signs, ranks)) for signs in product([0, 1], repeat=count)]
    assert signed_rank_pmf(count) == pytest.approx(np.bincount(sums) / 2**count)


@pytest.mark.parametrize("count", [EXACT_UP_TO + 1, 150, 250])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_approximation_is_close_and_on_the_wide_side(count: int, alpha: float) -> None:
    exact = np.flatnonzero(np.cumsum(signed_rank_pmf(count)) <= alpha / 2)[-1]
    approximate = signed_rank_margin(count, alpha)
    assert approximate is not None
    assert 0.99 * exact <= approximate <= exact


@given(st.lists(LOG_RATIOS, min_size=2, max_size=20))
def test_students_interval_is_scipys(values: list[float]) -> None:
    if np.std(values) == 0:
        assert student_interval(np.array(values), 0.02) == pytest.approx((values[0], values[0]))
        return
    low, high = stats.t.interval(0.98, len(values) - 1, np.mean(values), stats.sem(values))
    assert student_interval(np.array(values), 0.02) == pytest.approx((low, high), abs=1e-9)


@given(st.integers(0, 2**32), st.integers(8, 30))
def test_exactly_what_lies_outside_the_interval_is_rejected_by_wilcoxons_test(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(size=count)
    bounds = interval(values, 0.01)
    assert bounds is not None
    step = 1e-9
    p_values = {
        where: stats.wilcoxon(values - centre, method="exact").pvalue
        for where, centre in {
            "below": bounds[0] - step,
            "low": bounds[0] + step,
            "high": bounds[1] - step,
            "above": bounds[1] + step,
        }.items()
    }
    assert max(p_values["below"], p_values["above"]) <= 0.01 < min(p_values["low"], p_values["high"])


@given(st.lists(LOG_RATIOS, min_size=2, max_size=14), st.sampled_from([0.05, 0.025, 0.01, 0.005]))
def test_the_estimate_lies_in_the_interval(values: list[float], alpha: float) -> None:
    bounds = interval(np.array(values), alpha)
    assert bounds is not None
    assert bounds[0] - 1e-9 <= hodges_lehmann(np.array(values)) <= bounds[1] + 1e-9


@given(st.lists(LOG_RATIOS, min_size=2, max_size=14), st.randoms())
def test_the_order_of_the_values_does_not_matter(values: list[float], random: Random) -> None:
    shuffled = random.sample(values, len(values))
    assert_equal_bounds(np.array(shuffled), np.array(values))


def assert_equal_bounds(one: Floats, other: Floats) -> None:
    first, second = interval(one, 0.01), interval(other, 0.01)
    assert first is not None
    assert second is not None
    assert np.allclose(first, second, atol=1e-9)


def test_many_samples_at_once_are_each_as_alone() -> None:
    many = np.random.default_rng(1).normal(size=(5, 12))
    low, high = interval(many, 0.01) or (many[0], many[0])
    for row, bounds in zip(many, zip(low, high, strict=True), strict=True):
        assert bounds == interval(row, 0.01)
    assert hodges_lehmann(many) == pytest.approx([hodges_lehmann(row) for row in many])


@pytest.mark.parametrize("wild", [-50.0, 50.0])
def test_one_wild_value_in_four_hardly_moves_the_estimate(wild: float) -> None:
    assert hodges_lehmann(np.array([0.40, 0.41, 0.42, wild])) == pytest.approx(0.41, abs=0.011)


def test_a_single_value_has_no_interval() -> None:
    assert interval(np.array([0.4]), 0.05) is None


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 30.85), (10, 10, 69.15, 100.0), (8, 10, 44.39, 97.48), (20, 20, 83.16, 100.0)],
)
def test_published_intervals(hits: int, trials: int, low: float, high: float) -> None:
    assert proportion(hits, trials).ci95_pct == pytest.approx((low, high), abs=0.006)


@given(st.integers(1, 60).flatmap(lambda trials: st.tuples(st.integers(1, trials), st.just(trials))))
def test_the_lower_bound_is_the_beta_quantile(counts: tuple[int, int]) -> None:
    hits, trials = counts
    low = 100 * stats.beta.ppf(0.025, hits, trials - hits + 1)
    assert proportion(hits, trials).ci95_pct[0] == pytest.approx(low, rel=1e-6)
    assert proportion(hits, trials).pct == pytest.approx(100 * hits / trials)


@pytest.mark.parametrize(("hits", "trials"), [(0, 0), (-1, 4), (5, 4)])
def test_what_is_no_proportion_is_refused(hits: int, trials: int) -> None:
    with pytest.raises(UsageError, match="not a proportion"):
        proportion(hits, trials)
