"""From pairs of trials to what is claimed of them: the typical trial, the mean, the slow ones.

Everything is computed on log ratios within pairs, positive when the neighbours slow the victim down, and
only handed out in per cent: drift slower than a pair cancels in the ratio, and twice as fast is as far from
no change as twice as slow.

Three estimands, because one hides what another shows. The *typical* slowdown is the pseudo-median of the pairs' log
ratios: it hardly sees that every tenth trial takes three times as long. The *mean* is the ratio of mean times, which is
what capacity is paid for. And the share of trials that are slowed by more than noise explains has an upper bound,
however few of them were seen (none of 24 may still be one in seven).

Functions on arrays take the pairs on the last axis, so that a simulation runs thousands at once through the same code.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from agent.documents.metric import Better
from agent.documents.verdict import Estimand
from agent.statistics.design import ALPHA
from agent.statistics.intervals import (
    Bounds,
    Floats,
    hodges_lehmann,
    interval,
    p_of_zero,
    signed_rank_margin,
    student_factor,
)
from probes.errors import UsageError

# A pair is slow beyond noise where it is slower by the threshold and so many robust standard deviations, or by the
# threshold and so many times what the worst pair the other way round is.
SLOW_SPREADS, SLOW_TIMES_OPPOSITE = 3.5, 1.25
DECIMALS = 12
# Of a kind of trial that was never seen, one is taken to last at most so many times as long as those that were. Without
# such a limit a mean has no upper bound, however many trials there are (Bahadur and Savage, 1956).
UNSEEN_TIMES = 3.0


@dataclass(frozen=True, slots=True)
class TrialPair:
    """The primary metric of the two trials of one block, in the metric's own unit.

    Attributes:
        without: Without the neighbours.
        with_: Beside them.
        step: What it is printed or counted in, in the same unit; None: to be taken from the data.
        taken: Which part of either trial's time bystanders took, 0 to 1; None: not known of both.
    """

    without: float
    with_: float
    step: float | None = None
    taken: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Ratios:
    """Pairs as arrays of shape (..., pairs).

    Attributes:
        typical: log(with / without) of each, or log(without / with) where higher is better.
        without: Time of each trial without the neighbours: the metric, or one over it where higher is better.
        with_: The same beside the neighbours.
        slack: By how much each log ratio may be off because its two figures are printed in steps.
    """

    typical: Floats
    without: Floats
    with_: Floats
    slack: Floats


@dataclass(frozen=True, slots=True)
class Slowdown:
    """A slowdown in per cent of the time without neighbours: +100 means twice as slow, -50 twice as fast."""

    pct: float
    ci_pct: tuple[float, float] | None
    """None when a single pair leaves no way to tell noise from effect."""
    pairs: int
    better: Better = "lower"  # of the figure that it is of


@dataclass(frozen=True, slots=True)
class EffectEstimate:
    """The measured effect, as the verdict document reports it.

    Attributes:
        without: Median of the figure without the neighbours; its mean where the estimand is the mean.
        with_: The same beside them.
        slowdown_pct: The estimand.
        ci95_pct: Its interval, which holds the truth at least 19 times in 20, however the run came to stop.
        p_value: Two-sided, of "they change nothing": below 0.05 exactly where the interval leaves out 0.
        noise_floor_pct: Half the interval's width: what the noise of these pairs could pass for.
        threshold_pct: The smallest slowdown that matters.
        pairs: How many there are.
        better: Which direction of the figure is.
        estimand: What the slowdown is of.
        alpha: The two-sided error of this one interval: its part of the 5 %.
        mean: The slowdown of the mean, with an interval of its own.
        seen_mean_most_pct: Its upper end, were all trials like those that were seen.
        slow_trials_pct: Upper bound (97.5 %) of the share of trials slowed by more than threshold and noise.
        slower_pairs: In how many pairs the victim was slower beside the neighbours.
        step_pct: What the figure is printed in, in per cent of it; 0 where that is next to nothing.
        taken_pct: What bystanders took of the time of either arm, where that is left out of the slowdown.
    """

    without: float
    with_: float
    slowdown_pct: float
    ci95_pct: tuple[float, float] | None
    p_value: float
    noise_floor_pct: float | None
    threshold_pct: float
    pairs: int
    better: Better = "lower"
    estimand: Estimand = "typical"
    alpha: float = ALPHA
    mean: Slowdown | None = None
    seen_mean_most_pct: float | None = None
    slow_trials_pct: float | None = None
    slower_pairs: int | None = None
    step_pct: float = 0.0
    taken_pct: tuple[float, float] | None = None


def ratios_of(pairs: Sequence[TrialPair], better: Better) -> Ratios:
    """The pairs as arrays.

    Raises:
        UsageError: no pairs, or a metric that is not a finite number above 0.
    """
    if not pairs:
        raise UsageError("there are no pairs of trials to compare", "run at least one pair")
    values = positive(np.array([(pair.without, pair.with_) for pair in pairs]))
    unknown = resolution(values.ravel())
    steps = np.array([[unknown if pair.step is None else pair.step] for pair in pairs])
    # A figure of v printed in steps of s lies between v - s/2 and v + s/2; v itself may be but one step.
    slack = -np.log1p(-np.minimum(steps / 2 / values, 0.999)).sum(axis=1)
    times = values if better == "lower" else 1 / values
    without, with_ = times.T
    return Ratios(np.log(with_) - np.log(without), without, with_, slack)


def resolution(values: Floats) -> float:
    """The step in which figures are printed, as far as they show it: the last decimal place that any of them uses.

    Where most are equal to another, and the places are finer than that, the smallest difference between two of them:
    a histogram's buckets, a clock's ticks.
    """
    distinct = np.unique(values)
    places = next(
        (
            place
            for place in range(DECIMALS)
            if np.all(np.abs(np.round(distinct, place) - distinct) <= 1e-12 * distinct)
        ),
        DECIMALS,
    )
    step = 10.0**-places
    if len(distinct) > 1 and 2 * len(distinct) <= len(values):
        step = max(step, float(np.diff(distinct).min()))
    return step


def log_ratios(pairs: Sequence[TrialPair], better: Better) -> Floats:
    """log(with / without) of each pair, or log(without / with) when higher is better; shape (pairs,).

    Raises:
        UsageError: no pairs, or a metric that is not a finite number above 0.
    """
    return ratios_of(pairs, better).typical


def positive(values: Floats) -> Floats:
    """The values as they were given, when all of them are finite and above 0.

    Raises:
        UsageError: one is not.
    """
    wrong = values[~(np.isfinite(values) & (values > 0))]
    if wrong.size:
        raise UsageError(
            f"the metric was {wrong[0]:g} in one trial",
            "a duration or a rate must be a finite number above 0: check the metric's reader",
        )
    return values


def typical_interval(of: Ratios, alpha: float) -> Bounds | None:
    """Of the log of the typical slowdown: each trial is taken to lie anywhere in its step."""
    bounds = interval(of.typical, alpha)
    if bounds is None or not np.any(of.slack):
        return bounds
    if signed_rank_margin(of.typical.shape[-1], alpha) is None:
        slack = of.slack.mean(axis=-1)
        return bounds[0] - slack, bounds[1] + slack
    low, high = interval(of.typical - of.slack, alpha), interval(of.typical + of.slack, alpha)
    return None if low is None or high is None else (low[0], high[1])


def mean_interval(of: Ratios, alpha: float) -> Bounds | None:
    """Of the log of the ratio of mean times; None when there is but one pair.

    Its upper end allows for slow trials that are too rare for so many pairs to have shown one: as many as
    `slow_bound_pct` of none, each `UNSEEN_TIMES` as long.
    """
    bounds = seen_mean_interval(of, alpha)
    return None if bounds is None else (bounds[0], bounds[1] + unseen_margin(of.without.shape[-1]))


def unseen_margin(pairs: int) -> float:
    """By how much, on the log scale, trials that are too rare to be seen may lengthen the mean."""
    return math.log1p(slow_bound_pct(0, pairs) / 100 * (UNSEEN_TIMES - 1))


def seen_mean_interval(of: Ratios, alpha: float) -> Bounds | None:
    """The same where all trials are like those that were seen.

    Student's on the residuals of the ratio (Cochran, Sampling Techniques, 1977, chapter 6), and wider on the side to
    which they are skewed (Johnson, J. Am. Statist. Assoc. 73:536, 1978): bursts make a mean lie above what a few
    trials show.
    """
    count = of.without.shape[-1]
    if count < 2:
        return None
    ratio = mean_ratio(of)
    residuals = (of.with_ / ratio[..., np.newaxis] - of.without) / of.without.mean(axis=-1, keepdims=True)
    spread = residuals.std(axis=-1, ddof=1)
    third = ((residuals - residuals.mean(axis=-1, keepdims=True)) ** 3).mean(axis=-1)
    margin = student_factor(count, alpha) * spread
    # skewness · s · (1 + 2 t²) / 6n, with t / √n the factor.
    skew = (
        third / np.where(spread > 0, spread, 1) ** 2 * (1 / count + 2 * student_factor(count, alpha) ** 2) / 6
    )
    slack = of.slack.mean(axis=-1)
    low = np.log(ratio) - margin + np.minimum(skew, 0) - slack
    return low, np.log(ratio) + margin + np.maximum(skew, 0) + slack


def mean_ratio(of: Ratios) -> Floats:
    """Mean time beside the neighbours over mean time without them; shape (...)."""
    ratio: Floats = of.with_.mean(axis=-1) / of.without.mean(axis=-1)
    return ratio


def slow_pairs(of: Ratios, threshold_pct: float) -> Floats:
    """How many pairs are slower than threshold and noise explain; shape (...).

    Noise strikes both ways, so what the worst pair with a slow trial *without* the neighbours shows is no evidence.
    """
    away = np.abs(of.typical - np.median(of.typical, axis=-1, keepdims=True))
    spread = np.median(away, axis=-1) / stats.norm.ppf(0.75)
    opposite = np.max(-of.typical, axis=-1)
    limit = to_log(threshold_pct) + np.maximum(SLOW_SPREADS * spread, SLOW_TIMES_OPPOSITE * opposite)
    slow: Floats = np.sum(of.typical > limit[..., np.newaxis], axis=-1)
    return slow


@lru_cache(maxsize=8192)
def slow_bound_pct(slow: float, trials: int) -> float:
    """Upper bound, missed once in forty, of a share of which `slow` were seen (Clopper and Pearson, 1934)."""
    return 100.0 if slow >= trials else 100 * float(stats.beta.isf(ALPHA / 2, slow + 1, trials - slow))


def measure(
    pairs: Sequence[TrialPair],
    better: Better,
    threshold_pct: float,
    alpha: float,
    *,
    mean_alpha: float = ALPHA,
    unknown_trials: int = 0,
) -> EffectEstimate:
    """The effect on the typical trial, with an interval of two-sided error `alpha`; the pairs in the order they ran.

    `unknown_trials` is how many more trials beside the neighbours came to nothing: they may all have been slow.

    Raises:
        UsageError: no pairs, a metric that is not a finite number above 0, a threshold not above 0.
    """
    if not 0 < threshold_pct < math.inf:
        raise UsageError(
            f"the threshold is {threshold_pct:g} %", "give the smallest slowdown that matters, such as 5"
        )
    of, count = ratios_of(pairs, better), len(pairs)
    slower = slowdown(pairs, better, alpha)
    mean, seen = mean_interval(of, mean_alpha), seen_mean_interval(of, mean_alpha)
    slow = slow_pairs(of, threshold_pct) if count > 1 else 0
    return EffectEstimate(
        without=float(np.median([pair.without for pair in pairs])),
        with_=float(np.median([pair.with_ for pair in pairs])),
        slowdown_pct=slower.pct,
        ci95_pct=slower.ci_pct,
        p_value=p_value(of, alpha),
        noise_floor_pct=half_width_pct(slower.ci_pct),
        threshold_pct=threshold_pct,
        pairs=count,
        better=better,
        alpha=alpha,
        mean=Slowdown(to_pct(float(np.log(mean_ratio(of)))), _pct(mean), count, better),
        seen_mean_most_pct=None if seen is None else to_pct(float(seen[1])),
        slow_trials_pct=slow_bound_pct(float(slow) + unknown_trials, count + unknown_trials),
        slower_pairs=int(np.sum(of.typical > 0)),
        step_pct=100 * float(np.median(np.expm1(of.slack))) if np.any(of.slack > 1e-9) else 0.0,
    )


def of_the_mean(
    effect: EffectEstimate, pairs: Sequence[TrialPair], better: Better, alpha: float
) -> EffectEstimate:
    """The same effect, told of the mean, whose interval has this two-sided error."""
    of = ratios_of(pairs, better)
    ci_pct = _pct(mean_interval(of, alpha))
    without, with_ = of.without.mean(), of.with_.mean()
    if better == "higher":
        without, with_ = 1 / without, 1 / with_
    return replace(
        effect,
        without=float(without),
        with_=float(with_),
        slowdown_pct=to_pct(float(np.log(mean_ratio(of)))),
        ci95_pct=ci_pct,
        p_value=mean_p_value(of, alpha),
        noise_floor_pct=half_width_pct(ci_pct),
        estimand="mean",
        alpha=alpha,
    )


def half_width_pct(ci_pct: tuple[float, float] | None) -> float | None:
    """Half the width of an interval on the log scale, as a slowdown: what noise could pass for."""
    return None if ci_pct is None else to_pct((to_log(ci_pct[1]) - to_log(ci_pct[0])) / 2)


def slowdown(pairs: Sequence[TrialPair], better: Better, alpha: float = ALPHA) -> Slowdown:
    """The typical slowdown and its interval of two-sided error `alpha`.

    Raises:
        UsageError: no pairs, or a metric that is not a finite number above 0.
    """
    of = ratios_of(pairs, better)
    centre = float(hodges_lehmann(of.typical))
    return Slowdown(to_pct(centre), _pct(typical_interval(of, alpha)), len(pairs), better)


def _pct(bounds: Bounds | None) -> tuple[float, float] | None:
    return None if bounds is None else (to_pct(float(bounds[0])), to_pct(float(bounds[1])))


def p_value(of: Ratios, alpha: float) -> float:
    """Two-sided p-value of "the neighbours change nothing", dual to the interval of error `alpha`.

    It is below 0.05 exactly where that interval leaves out 0: the p-value of the test that the interval inverts, times
    the number of looks that its error would pay for (ALPHA / alpha). Figures in steps are taken to lie as near to no
    change as they may.
    """
    towards = np.where(of.typical.mean() > 0, of.typical - of.slack, of.typical + of.slack)
    if towards.mean() * of.typical.mean() <= 0:
        return 1.0
    return min(1.0, p_of_zero(towards, alpha) * ALPHA / alpha)


def mean_p_value(of: Ratios, alpha: float) -> float:
    """The same for the mean: the error at which its interval touches 0, times what its own error would pay for."""

    def nearest(error: float) -> float:
        bounds = mean_interval(of, error)
        return 0.0 if bounds is None else float(max(bounds[0], -bounds[1]))

    least, most = 1e-12, 1 - 1e-9
    if nearest(most) <= 0:
        return 1.0
    raw = least if nearest(least) >= 0 else float(optimize.brentq(nearest, least, most))
    return min(1.0, raw * ALPHA / alpha)


def secondary_effects(
    metrics: Mapping[str, tuple[Sequence[TrialPair], Better]], threshold_pct: float, alpha: float
) -> dict[str, EffectEstimate]:
    """The effect on each secondary metric, at `alpha` for all of them together: Bonferroni, intervals and p-values.

    With that error all of the intervals hold the truth together, and each p-value is the one dual to its interval:
    the sharper correction of Holm has no intervals to go with it.

    Raises:
        UsageError: as for `decide`.
    """
    return {
        name: measure(pairs, better, threshold_pct, alpha / len(metrics))
        for name, (pairs, better) in metrics.items()
    }


def to_pct(log_ratio: float) -> float:
    """A log ratio as a change in per cent; capped far outside any measurement so that `to_log` undoes it."""
    return 100 * math.expm1(min(max(log_ratio, -30.0), 700.0))


def to_log(change_pct: float) -> float:
    """A change in per cent, above -100, as a log ratio."""
    return math.log1p(change_pct / 100)
