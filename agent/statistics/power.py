"""What a planned experiment can show, from how much its first pairs differ: planning by power (Julious 2010)."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from agent.documents.metric import Better
from agent.statistics.covariates import kept_of, left_out
from agent.statistics.decision import MOST_PAIRS, lower_limit
from agent.statistics.design import ALPHA, FEWEST_TO_CLEAR, TYPICAL_ALPHA, LookPlan
from agent.statistics.effect import TrialPair, ratios_of, to_log, to_pct
from agent.statistics.intervals import student_factor
from probes.errors import UsageError

_FOUND, _CLEARED = float(stats.norm.isf(0.2)), float(stats.norm.isf(0.1))


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Found or cleared four times in five.

    Attributes:
        found_pct: The smallest slowdown that the last look finds; None: a single pair finds none.
        pairs_to_clear: How many pairs clear neighbours that change nothing; None: more than 1000.
    """

    found_pct: float | None
    pairs_to_clear: int | None


def spread_of(pairs: Sequence[TrialPair], better: Better) -> float:
    """Standard deviation of a pair's log ratio, from what pairs and trials of one arm differ by.

    Two pairs have one difference of ratios and two of trials; pooled by their degrees of freedom they tell the spread
    within a factor of two or so.

    Raises:
        UsageError: fewer than two pairs, or a metric that is not a finite number above 0.
    """
    if len(pairs) < 2:
        raise UsageError("one pair shows no noise", "let two pairs of trials complete")
    of = ratios_of(pairs, better)
    by_ratio = float(np.var(of.typical, ddof=1))
    by_trial = float(np.var(np.log(of.without), ddof=1) + np.var(np.log(of.with_), ddof=1))
    return math.sqrt((by_ratio + 2 * by_trial) / 3)


def spread_to_clear(pairs: Sequence[TrialPair], better: Better) -> float:
    """The same of the pairs by which neighbours are cleared: without what bystanders took, where that is less.

    Raises:
        UsageError: As above.
    """
    spread, kept = spread_of(pairs, better), kept_of(pairs)
    if kept is None:
        return spread
    return min(spread, spread_of(left_out(pairs, better, ratios_of(pairs, better), kept), better))


def foresee(spread: float, threshold_pct: float, plan: LookPlan, to_clear: float | None = None) -> Foreseen:
    """What may be expected where pairs differ by so much, a standard deviation on the log scale.

    `to_clear` is by how much those differ that the neighbours are cleared by; None: by as much.
    """
    clearing = spread if to_clear is None else to_clear
    last, above = plan.looks[-1], to_log(threshold_pct)
    found_pct = None
    if last > 1:
        margin = student_factor(last, TYPICAL_ALPHA * plan.part(last)) + _FOUND / math.sqrt(last)
        found_pct = to_pct(above + spread * margin)
    limit = min(above, -lower_limit(threshold_pct))

    def clears(total: int) -> bool:
        return clearing * (student_factor(total, ALPHA) + _CLEARED / math.sqrt(total)) < limit

    totals = range(FEWEST_TO_CLEAR, MOST_PAIRS + 1)
    first = bisect_left(totals, x=True, key=clears)
    return Foreseen(found_pct, totals[first] if first < len(totals) else None)
