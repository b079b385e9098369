"""Where the extra time went: the per-pair differences of each term over the difference in total.

A share is a ratio of means over all pairs, the one estimate that keeps the sum: the terms add up to the total
in every pair, so they do in the means. Its interval is Student's on the residuals of the ratio (Cochran,
Sampling Techniques, 1977, chapter 6), and all intervals hold together (Bonferroni). Nothing is cut off or left out: a
term that shrank has a share below 0, and others may have more than 100.

Four pairs that lost all their time to one cause look like certainty, though of five pairs one may lose it to another.
So the interval allows for a kind of pair that is too rare to have been seen, and that loses `UNSEEN_TIMES` as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.statistics.design import ALPHA
from agent.statistics.effect import UNSEEN_TIMES, slow_bound_pct
from agent.statistics.intervals import Floats, student_factor
from probes.errors import UsageError

RESIDUAL_LIMIT_PCT = 20.0
"""Above this residual the terms contradict the total: not to be shown without a warning."""


@dataclass(frozen=True, slots=True)
class CauseShare:
    """One cause's share of the extra time."""

    cause: str
    share_pct: float
    ci95_pct: tuple[float, float] | None
    """None when a single pair leaves no way to tell noise from effect."""
    seen_ci95_pct: tuple[float, float] | None = None
    """The same, were all pairs like those that were seen."""


ROUNDING = 1e-9
"""A whole this small beside its terms is what rounding leaves of none."""


def shares(
    extra: Mapping[str, Sequence[float]], total: Sequence[float], remainder: str = "unexplained"
) -> list[CauseShare]:
    """Each cause's share of the extra time, largest first, then the remainder; they sum to 100.

    Empty when no time was lost.

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
    parts, whole = accounts(extra, total)
    if whole.mean() <= ROUNDING * np.abs(parts).max(initial=0.0):
        return []
    rows = [
        CauseShare(cause, share_pct, with_unseen(share_pct, seen_pct, len(total)), seen_pct)
        for cause, (share_pct, seen_pct) in zip([*extra, remainder], ratios_pct(parts, whole), strict=True)
    ]
    return [*sorted(rows[:-1], key=lambda row: -row.share_pct), rows[-1]]


def residual_pct(found: Sequence[CauseShare]) -> float | None:
    """How much the accounts contradict each other: what the shares below 0 sum to; None where there are none."""
    return sum(-min(0.0, share.share_pct) for share in found) if found else None


def accounts(extra: Mapping[str, Sequence[float]], total: Sequence[float]) -> tuple[Floats, Floats]:
    """The terms with the remainder, shape (pairs, causes + 1), and the totals, shape (pairs,).

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
    return np.column_stack([terms, whole - terms.sum(axis=1)]), whole


def ratios_pct(parts: Floats, whole: Floats) -> list[tuple[float, tuple[float, float] | None]]:
    """The share of each part with its interval; all of them hold the truth together with 95 %."""
    ratio = parts.mean(axis=0) / whole.mean()
    if len(whole) < 2:
        return [(100 * float(share), None) for share in ratio]
    spread = np.std(parts - ratio * whole[:, np.newaxis], axis=0, ddof=1) / whole.mean()
    # Of two parts each says what the other does.
    claims = parts.shape[1] if parts.shape[1] > 2 else 1
    margin = student_factor(len(whole), ALPHA / claims) * spread
    low, high = 100 * (ratio - margin), 100 * (ratio + margin)
    return [(100 * float(r), (float(a), float(b))) for r, a, b in zip(ratio, low, high, strict=True)]


def with_unseen(
    share_pct: float, seen_pct: tuple[float, float] | None, pairs: int
) -> tuple[float, float] | None:
    """The interval of a share where a kind of pair was not seen, all of whose loss is this cause's, or none of it."""
    if seen_pct is None:
        return None
    unseen = slow_bound_pct(0, pairs) / 100
    others = unseen * UNSEEN_TIMES / (1 - unseen + unseen * UNSEEN_TIMES)
    low, high = (share_pct * (1 - others) + 100 * others * theirs for theirs in (0.0, 1.0))
    return min(seen_pct[0], low), max(seen_pct[1], high)


def jackknife(estimate: float, left_out: Sequence[float], claims: int) -> tuple[float, float] | None:
    """The interval of a figure from what it is without each of the pairs in turn; None where there are none.

    `claims` is how many intervals are to hold together with 95 %.
    """
    count = len(left_out)
    if count < 2:
        return None
    # The standard error is that of a mean of n values, n - 1 times as far apart.
    margin = student_factor(count, ALPHA / claims) * float(np.std(left_out, ddof=1)) * (count - 1)
    return estimate - margin, estimate + margin
