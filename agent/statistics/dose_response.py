"""The victim's slowdown against the level of its neighbours, assumed to fall nowhere as the level rises."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from agent.statistics.effect import Slowdown, to_log, to_pct
from probes.errors import UsageError


@dataclass(frozen=True, slots=True)
class DoseCurve:
    """The fitted curve, one entry per level in rising order; `upper_pct` is each level's own 95 % bound."""

    levels: tuple[float, ...]
    fitted_pct: tuple[float, ...]
    upper_pct: tuple[float, ...]


def fit_dose_curve(levels: Sequence[float], slowdowns: Sequence[Slowdown]) -> DoseCurve:
    """The rising curve nearest to the estimates: least squares on the log scale, weighted by their pairs.

    Isotonic regression (Barlow et al., Statistical Inference under Order Restrictions, 1972).

    Args:
        levels: the neighbours' intensity, each level once, in any unit and order.
        slowdowns: what `slowdown` says of the pairs run at each level, with the fixed-size interval.

    Raises:
        UsageError: no levels, unequal lengths, a level given twice or not finite, a level of a single pair.
    """
    check(levels, slowdowns)
    order = np.argsort(levels)
    ranked = [slowdowns[index] for index in order]
    estimates, weights = [to_log(point.pct) for point in ranked], [float(point.pairs) for point in ranked]
    fitted = optimize.isotonic_regression(estimates, weights=weights).x
    return DoseCurve(
        levels=tuple(float(levels[index]) for index in order),
        fitted_pct=tuple(to_pct(float(value)) for value in fitted),
        upper_pct=tuple(point.ci_pct[1] for point in ranked if point.ci_pct is not None),
    )


def check(levels: Sequence[float], slowdowns: Sequence[Slowdown]) -> None:
    """Refuse what no curve can be fitted to.

    Raises:
        UsageError: see `fit_dose_curve`.
    """
    if not levels or len(levels) != len(slowdowns):
        raise UsageError(
            f"{len(levels)} levels and {len(slowdowns)} slowdowns make no curve",
            "give one slowdown per level",
        )
    if len(set(levels)) != len(levels) or not np.all(np.isfinite(levels)):
        raise UsageError("the levels of a sweep must be different finite numbers", "name each level once")
    if any(point.ci_pct is None for point in slowdowns):
        raise UsageError("a level of the sweep has a single pair", "run at least two pairs at each level")


def largest_harmless_level(fit: DoseCurve, threshold_pct: float) -> float | None:
    """The highest level up to which every level's upper bound is below the threshold; None if none is.

    Going up from the lowest level and stopping at the first failure needs no correction for the number of
    levels: as the curve rises, only the first harmful level could be passed by mistake, and its own bound
    does so at most once in forty (fixed-sequence testing: Maurer, Hothorn and Lehmacher, 1995).
    """
    harmless = None
    for level, upper_pct in zip(fit.levels, fit.upper_pct, strict=True):
        if not upper_pct < threshold_pct:
            break
        harmless = level
    return harmless
