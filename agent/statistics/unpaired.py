"""Two samples that were not taken in pairs: windows of two recordings."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from agent.statistics.effect import Slowdown, positive, to_pct


def unpaired_slowdown(without: Sequence[float], with_: Sequence[float]) -> Slowdown:
    """The slowdown between two samples, with Welch's 95 % interval (Biometrika 34:28, 1947) on the log scale.

    Successive windows resemble each other, so the interval is too narrow; whoever shows it must say so.

    Raises:
        UsageError: A value that is not a finite number above 0.
    """
    before, after = np.log(positive(np.array(without))), np.log(positive(np.array(with_)))
    pct = to_pct(float(after.mean() - before.mean()))
    pairs = min(len(before), len(after))
    if pairs < 2 or (np.ptp(before) == 0 and np.ptp(after) == 0):
        return Slowdown(pct, None, pairs)
    interval = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    return Slowdown(pct, (to_pct(float(interval.low)), to_pct(float(interval.high))), pairs)


def unpaired_p_value(without: Sequence[float], with_: Sequence[float]) -> float:
    """Two-sided p-value of no difference by the Mann-Whitney test; 1 when a sample has a single value."""
    if min(len(without), len(with_)) < 2:
        return 1.0
    return float(stats.mannwhitneyu(with_, without, alternative="two-sided").pvalue)
