"""The curve over the neighbours' level."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics.dose_response import fit_dose_curve, largest_harmless_level
from agent.statistics.effect import Slowdown
from probes.errors import UsageError

PCTS = st.lists(st.floats(-50, 300), min_size=1, max_size=10)


def point(pct: float, half_width: float = 1.0, pairs: int = 8) -> Slowdown:
    return Slowdown(pct, (pct - half_width, pct + half_width), pairs)


def test_a_rising_curve_is_left_as_it_is() -> None:
    fit = fit_dose_curve([0, 25, 50, 100], [point(pct) for pct in (0.1, 1.0, 7.0, 40.0)])
    assert fit.fitted_pct == pytest.approx((0.1, 1.0, 7.0, 40.0))
    assert fit.upper_pct == pytest.approx((1.1, 2.0, 8.0, 41.0))


def test_levels_may_come_in_any_order() -> None:
    fit = fit_dose_curve([100, 0, 50], [point(40.0), point(0.0), point(7.0)])
    assert fit.levels == (0, 50, 100)
    assert fit.fitted_pct == pytest.approx((0.0, 7.0, 40.0))


def test_a_dip_is_pooled_by_weight_on_the_log_scale() -> None:
    fit = fit_dose_curve([1, 2, 3], [point(0.0), point(20.0, pairs=4), point(10.0, pairs=12)])
    pooled = 100 * math.expm1((4 * math.log(1.2) + 12 * math.log(1.1)) / 16)
    assert fit.fitted_pct == pytest.approx((0.0, pooled, pooled))


@given(PCTS)
def test_the_fit_never_falls_and_stays_within_the_estimates(pcts: list[float]) -> None:
    fit = fit_dose_curve(range(len(pcts)), [point(pct) for pct in pcts])
    assert all(low <= high + 1e-9 for low, high in zip(fit.fitted_pct, fit.fitted_pct[1:], strict=False))
    assert min(pcts) - 1e-6 <= min(fit.fitted_pct)
    assert max(fit.fitted_pct) <= max(pcts) + 1e-6


@pytest.mark.parametrize(
    ("pcts", "level"),
    [
        ((0.0, 1.0, 2.0, 40.0), 50.0),
        ((0.0, 1.0, 4.5, 40.0), 25.0),  # 4.5 + 1 is above the threshold
        ((0.0, 6.0, 1.0, 2.0), 0.0),  # one failure ends it, whatever comes after
        ((4.0, 1.0, 2.0, 3.0), None),  # an upper bound of exactly the threshold is not below it
        ((0.0, 1.0, 2.0, 3.0), 100.0),
    ],
)
def test_largest_harmless_level(pcts: tuple[float, ...], level: float | None) -> None:
    fit = fit_dose_curve([0, 25, 50, 100], [point(pct) for pct in pcts])
    assert largest_harmless_level(fit, 5) == level


@given(PCTS, st.floats(0.1, 100), st.floats(0.1, 100))
def test_a_higher_threshold_never_lowers_the_harmless_level(pcts: list[float], a: float, b: float) -> None:
    fit = fit_dose_curve(range(len(pcts)), [point(pct) for pct in pcts])
    strict, lax = largest_harmless_level(fit, min(a, b)), largest_harmless_level(fit, max(a, b))
    assert strict is None or (lax is not None and strict <= lax)


@pytest.mark.parametrize(
    ("levels", "points", "message"),
    [
        ([], [], "make no curve"),
        ([1.0, 2.0], [point(1)], "make no curve"),
        ([1.0, 1.0], [point(1), point(2)], "different finite"),
        ([1.0, math.nan], [point(1), point(2)], "different finite"),
        ([1.0], [Slowdown(5.0, None, 1)], "single pair"),
    ],
)
def test_what_is_no_sweep_is_refused(levels: list[float], points: list[Slowdown], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit_dose_curve(levels, points)
