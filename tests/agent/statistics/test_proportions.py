"""Proportions against the formula by beta quantiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agent.statistics import proportion
from probes.errors import UsageError


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
