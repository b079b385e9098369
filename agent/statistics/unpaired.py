"""Two recordings that were made one after the other: how much slower the second is, and how sure that can be.

Two things make windows worth less than trials. Successive ones resemble each other, so sixty may be worth three: the
variance of each mean is that of a first-order autoregression, whose coefficient is taken at the upper end of what the
windows allow. And a recording has a level of its own, whatever the neighbours do, which no number of windows shows:
two recordings of one thing are taken to differ by `BETWEEN_PCT` for other reasons.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from agent.statistics.design import ALPHA
from agent.statistics.effect import EffectEstimate, Slowdown, half_width_pct, positive, to_log, to_pct
from agent.statistics.intervals import Floats

# One standard deviation of the ratio between two recordings in which nothing differs: hosts drift by tens of per cent
# within a minute, and what is common to a pair of trials cancels, to a pair of recordings it does not.
BETWEEN_PCT = 10.0
# Of successive windows, so many standard errors above the estimate; from the last on nothing can be said of the mean.
UPPER_ERRORS, MOST_LAG_1 = 1.5, 0.985


def measure_unpaired(
    without: Sequence[float], with_: Sequence[float], threshold_pct: float
) -> EffectEstimate:
    """The effect between the windows of two recordings, in the order they were made; a "pair" is one of the fewer.

    `without` and `with_` are means here. There is no interval where windows are too few, or too alike for so few.

    Raises:
        UsageError: A value that is not a finite number above 0.
    """
    slower = unpaired_slowdown(without, with_)
    p_value = 1.0
    if slower.ci_pct is not None:
        # Student's distribution has a quantile at each end of the interval: by the same one, where 0 lies.
        half = (to_log(max(slower.ci_pct[1], -99.9)) - to_log(max(slower.ci_pct[0], -99.9))) / 2
        p_value = float(2 * stats.norm.sf(abs(to_log(slower.pct)) / half * stats.norm.isf(ALPHA / 2)))
    return EffectEstimate(
        without=sum(without) / len(without),
        with_=sum(with_) / len(with_),
        slowdown_pct=slower.pct,
        ci95_pct=slower.ci_pct,
        p_value=p_value,
        noise_floor_pct=half_width_pct(slower.ci_pct),
        threshold_pct=threshold_pct,
        pairs=slower.pairs,
    )


def unpaired_slowdown(
    without: Sequence[float], with_: Sequence[float], between_pct: float = BETWEEN_PCT
) -> Slowdown:
    """The slowdown of the mean of the logs, with its 95 % interval, recordings differing by so much anyhow.

    Raises:
        UsageError: A value that is not a finite number above 0.
    """
    sides = [np.log(positive(np.array(side))) for side in (without, with_)]
    pct = to_pct(float(sides[1].mean() - sides[0].mean()))
    pairs = min(map(len, sides))
    phi = lag_1_bound(sides)
    if pairs < 2 or phi is None:
        return Slowdown(pct, None, pairs)
    errors = [error_of_mean(side, phi) for side in sides]
    variance = sum(error**2 for error, _ in errors)
    # Welch, Biometrika 34:28, 1947
    freedom = variance**2 / sum(error**4 / worth for error, worth in errors) if variance else math.inf
    # The part that windows show has few degrees of freedom, the part between recordings is given.
    margin = math.hypot(
        float(stats.t.isf(ALPHA / 2, freedom)) * math.sqrt(variance),
        float(stats.norm.isf(ALPHA / 2)) * to_log(between_pct),
    )
    centre = to_log(pct)
    return Slowdown(pct, (to_pct(centre - margin), to_pct(centre + margin)), pairs)


def lag_1_bound(sides: Sequence[Floats]) -> float | None:
    """An upper bound of the lag-1 autocorrelation, at least 0, over both recordings; None: too near to 1 to say.

    The estimate falls short by (1 + 3φ) / n (Kendall, Biometrika 41:403, 1954), n being one recording's windows.
    """
    centred = [side - side.mean() for side in sides]
    whole = sum(float((each**2).sum()) for each in centred)
    if whole <= 1e-18:
        return 0.0
    raw = sum(float((each[1:] * each[:-1]).sum()) for each in centred) / whole
    count = sum(map(len, sides)) / len(sides)
    if count <= 4:
        return max(0.0, raw) if max(0.0, raw) < MOST_LAG_1 else None
    phi = (count * raw + 1) / (count - 3)
    bound = phi + UPPER_ERRORS * math.sqrt(max(1 - phi**2, 0) / (len(sides) * count))
    return None if bound >= MOST_LAG_1 else max(0.0, bound)


def error_of_mean(values: Floats, phi: float) -> tuple[float, float]:
    """Standard error of the mean of an autoregression with this coefficient, and its degrees of freedom.

    The sample's variance falls short of the process's by the variance of the mean itself.
    """
    count = len(values)
    lags = np.arange(1, count)
    part = (1 + 2 * float(((1 - lags / count) * phi**lags).sum())) / count
    part = min(part, 0.9)
    process = float(np.var(values)) / (1 - part)
    return math.sqrt(process * part), max(1.0, 1 / part - 1)
