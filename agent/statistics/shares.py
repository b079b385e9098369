"""Where the extra time went: the per-pair differences of each term over the difference in total.

A share is a ratio of means over the pairs, the one estimate that keeps the sum: the terms add up to the total
in every pair, so they do in the means. Its interval is Student's on the residuals of the ratio (Cochran,
Sampling Techniques, 1977, chapter 6). A bootstrap over a handful of pairs is too narrow: in simulation its
95 % interval covers 80 % of the time at four pairs, this one 95 % (docs/method.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from agent.statistics.design import ALPHA
from agent.statistics.intervals import Floats, student_factor
from probes.errors import UsageError

RESIDUAL_LIMIT_PCT = 20.0
"""Above this residual the terms contradict the total: not to be shown without a warning."""

GROSS_OUTLIER = 5.0


@dataclass(frozen=True, slots=True)
class CauseShare:
    """One cause's share of the extra time."""

    cause: str
    share_pct: float
    ci95_pct: tuple[float, float] | None
    """None when a single pair leaves no way to tell noise from effect."""


ROUNDING = 1e-9
"""A whole this small beside its terms is what rounding leaves of none."""


def shares(
    extra: Mapping[str, Sequence[float]], total: Sequence[float], remainder: str = "unexplained"
) -> list[CauseShare]:
    """Each cause's share of the extra time, largest first, then the remainder; they sum to 100.

    A cause that took less time with the neighbours than without gets 0. Should the others exceed the total,
    they are scaled down to it and the remainder is 0; `residual_pct` says how much was bent in this way.
    Pairs whose total is a gross outlier are left out for all causes alike. Empty when no time was lost.

    Args:
        extra: per cause (or per aggressor), with minus without in each pair; any one unit, such as seconds
            per unit of work. The causes must not overlap.
        total: with minus without of the whole, per pair, same unit.
        remainder: what to call the part that no cause accounts for.

    Raises:
        UsageError: no pairs, unequal lengths, a number that is not finite, a cause called like the remainder.
    """
    if remainder in extra:
        raise UsageError(f"{remainder!r} cannot be a cause", "it names what no cause accounts for")
    terms, whole = typical_pairs(extra, total)
    if whole.mean() <= ROUNDING * np.abs(terms).max(initial=0.0):
        return []
    rows = [
        CauseShare(cause, share_pct, ci95_pct)
        for cause, (share_pct, ci95_pct) in zip([*extra, remainder], ratios_pct(terms, whole), strict=True)
    ]
    return [*sorted(rows[:-1], key=lambda row: -row.share_pct), rows[-1]]


def residual_pct(extra: Mapping[str, Sequence[float]], total: Sequence[float]) -> float | None:
    """How much the shares had to be bent to add up, in per cent of the total; None when no time was lost.

    The negative terms that were set to 0, or what the positive ones exceed the total by, whichever is more.

    Raises:
        UsageError: as for `shares`.
    """
    terms, whole = typical_pairs(extra, total)
    means, lost = terms.mean(axis=0), float(whole.mean())
    if lost <= 0:
        return None
    negative, excess = -float(means[means < 0].sum()), float(means[means > 0].sum()) - lost
    return 100 * max(negative, excess, 0.0) / lost


def typical_pairs(extra: Mapping[str, Sequence[float]], total: Sequence[float]) -> tuple[Floats, Floats]:
    """The terms, shape (pairs, causes), and the totals, shape (pairs,), without the gross outliers.

    Raises:
        UsageError: see `shares`.
    """
    if not total or any(len(values) != len(total) for values in extra.values()):
        raise UsageError(
            "every cause needs one number per pair", "give each cause in each of at least one pair"
        )
    terms = np.array(list(extra.values()), dtype=np.float64).reshape(len(extra), len(total)).T
    whole = np.array(total, dtype=np.float64)
    if not (np.all(np.isfinite(terms)) and np.all(np.isfinite(whole))):
        raise UsageError("the extra time of a pair is not finite", "leave out a cause that was not measured")
    kept = is_typical(whole)
    return terms[kept], whole[kept]


def is_typical(values: Floats) -> npt.NDArray[np.bool_]:
    """Which values are within five robust standard deviations of the median; all, if most are equal.

    Hampel's identifier (J. Am. Statist. Assoc. 69:383, 1974), with a limit that only a wrecked trial passes.
    """
    distance = np.abs(values - np.median(values))
    spread = np.median(distance) / stats.norm.ppf(0.75)
    typical: npt.NDArray[np.bool_] = (distance <= GROSS_OUTLIER * spread) | (spread == 0)
    return typical


def ratios_pct(terms: Floats, total: Floats) -> list[tuple[float, tuple[float, float] | None]]:
    """The share of each term, then of the remainder, with its 95 % interval, all within 0 to 100."""
    counted = terms[:, terms.mean(axis=0) > 0].sum(axis=1)
    whole = counted if counted.mean() > total.mean() else total
    parts = np.column_stack([terms, total - counted])
    ratio = parts.mean(axis=0) / whole.mean()
    estimates = 100 * np.clip(ratio, 0, 1)
    if len(total) < 2:
        return [(float(share), None) for share in estimates]
    spread = np.std(parts - ratio * whole[:, np.newaxis], axis=0, ddof=1) / whole.mean()
    margin = student_factor(len(total), ALPHA) * spread
    low, high = 100 * np.clip(ratio - margin, 0, 1), 100 * np.clip(ratio + margin, 0, 1)
    return [(float(share), (float(a), float(b))) for share, a, b in zip(estimates, low, high, strict=True)]
