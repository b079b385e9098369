"""From pairs of trials, or windows that were not paired, to the slowdown: estimate, interval, p-value and noise floor.

Everything is computed on log ratios within pairs, positive when the neighbours slow the victim down, and
only handed out in per cent: drift slower than a pair cancels in the ratio, and twice as fast is as far from
no change as twice as slow.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from agent.documents.metric import Better
from agent.statistics.design import ALPHA, LookPlan
from agent.statistics.intervals import Floats, hodges_lehmann, interval, student_factor
from probes.errors import UsageError

EXACT_FLIPS = 2**16
FLIP_SEED = 20240229


@dataclass(frozen=True, slots=True)
class TrialPair:
    """The primary metric of the two trials of one block, in the metric's own unit."""

    without: float
    with_: float


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
    """The measured effect, as the verdict document reports it. `without` and `with_` are medians."""

    without: float
    with_: float
    slowdown_pct: float
    ci95_pct: tuple[float, float] | None
    p_value: float
    noise_floor_pct: float | None
    threshold_pct: float
    pairs: int
    better: Better = "lower"


def measure(pairs: Sequence[TrialPair], better: Better, threshold_pct: float, alpha: float) -> EffectEstimate:
    """The effect with an interval of two-sided error `alpha`; the pairs in the order they ran.

    Raises:
        UsageError: no pairs, a metric that is not a finite number above 0, a threshold not above 0.
    """
    if not 0 < threshold_pct < math.inf:
        raise UsageError(
            f"the threshold is {threshold_pct:g} %", "give the smallest slowdown that matters, such as 5"
        )
    slower = slowdown(pairs, better, alpha)
    without = [pair.without for pair in pairs]
    return EffectEstimate(
        without=float(np.median(without)),
        with_=float(np.median([pair.with_ for pair in pairs])),
        slowdown_pct=slower.pct,
        ci95_pct=slower.ci_pct,
        p_value=p_value(pairs),
        noise_floor_pct=noise_floor(without),
        threshold_pct=threshold_pct,
        pairs=len(pairs),
        better=better,
    )


def slowdown(pairs: Sequence[TrialPair], better: Better, alpha: float = ALPHA) -> Slowdown:
    """The slowdown and its interval of two-sided error `alpha`.

    Raises:
        UsageError: no pairs, or a metric that is not a finite number above 0.
    """
    ratios = log_ratios(pairs, better)
    bounds = interval(ratios, alpha)
    ci_pct = None if bounds is None else (to_pct(bounds[0]), to_pct(bounds[1]))
    return Slowdown(to_pct(hodges_lehmann(ratios)), ci_pct, len(pairs), better)


def log_ratios(pairs: Sequence[TrialPair], better: Better) -> Floats:
    """log(with / without) of each pair, or log(without / with) when higher is better; shape (pairs,).

    Raises:
        UsageError: no pairs, or a metric that is not a finite number above 0.
    """
    if not pairs:
        raise UsageError("there are no pairs of trials to compare", "run at least one pair")
    without, with_ = np.log(positive(np.array([(pair.without, pair.with_) for pair in pairs]))).T
    ratios: Floats = with_ - without if better == "lower" else without - with_
    return ratios


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


def noise_floor(without: Sequence[float]) -> float | None:
    """The slowdown, in per cent, that as many pairs without any neighbour would pass by chance 1 time in 40.

    Takes the metric of the trials without neighbours, in the order they ran. The spread of a pair is read
    from the differences between successive trials (von Neumann et al., Ann. Math. Statist. 12:153, 1941), so
    drift over many trials does not count as noise; by their median, so a few outliers do not either.
    None for fewer than two trials.

    Raises:
        UsageError: a metric that is not a finite number above 0.
    """
    if len(without) < 2:
        return None
    steps = np.abs(np.diff(np.log(positive(np.array(without)))))
    spread = float(np.median(steps)) / float(stats.norm.ppf(0.75))
    return to_pct(spread * student_factor(len(without), ALPHA))


def p_value(pairs: Sequence[TrialPair]) -> float:
    """Two-sided p-value of "the neighbours change nothing", by flipping the sign of each pair's log ratio.

    Fisher's randomisation test on the mean log ratio (The Design of Experiments, 1935). Exact up to 16 pairs;
    beyond, from 65 536 flips drawn with a fixed seed. It cannot be smaller than 2 / 2^pairs (0.125 at four
    pairs, 0.0078 at eight), nor than 0.00003. It is for a single look and does not decide the verdict.

    Raises:
        UsageError: no pairs, or a metric that is not a finite number above 0.
    """
    ratios = log_ratios(pairs, "lower")
    if len(ratios) == 1:
        return 1.0
    result = stats.permutation_test(
        (ratios,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXACT_FLIPS,
        batch=EXACT_FLIPS // 16,
        random_state=np.random.default_rng(FLIP_SEED),
    )
    return float(result.pvalue)


def secondary_effects(
    metrics: Mapping[str, tuple[Sequence[TrialPair], Better]], threshold_pct: float, plan: LookPlan
) -> dict[str, EffectEstimate]:
    """The effect on each secondary metric: p-values by Holm, intervals by Bonferroni.

    With 95 % probability all of the intervals hold the truth together. Holm's correction, the sharper one,
    has no simple intervals of its own.

    Raises:
        UsageError: as for `decide`.
    """
    effects = {
        name: measure(pairs, better, threshold_pct, plan.alpha / len(metrics))
        for name, (pairs, better) in metrics.items()
    }
    adjusted = holm({name: effect.p_value for name, effect in effects.items()})
    return {name: replace(effect, p_value=adjusted[name]) for name, effect in effects.items()}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Each p-value adjusted by Holm's step-down rule (Scand. J. Statist. 6:65, 1979), in the order given."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def measure_unpaired(
    without: Sequence[float], with_: Sequence[float], threshold_pct: float
) -> EffectEstimate:
    """The effect between two samples that were not taken in pairs, such as the windows of two recordings.

    `without` and `with_` are means here, and a "pair" is a value of the smaller sample.

    Raises:
        UsageError: A value that is not a finite number above 0.
    """
    slower = unpaired_slowdown(without, with_)
    return EffectEstimate(
        without=sum(without) / len(without),
        with_=sum(with_) / len(with_),
        slowdown_pct=slower.pct,
        ci95_pct=slower.ci_pct,
        p_value=unpaired_p_value(without, with_),
        noise_floor_pct=noise_floor(without),
        threshold_pct=threshold_pct,
        pairs=slower.pairs,
    )


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


def to_pct(log_ratio: float) -> float:
    """A log ratio as a change in per cent; capped far outside any measurement so that `to_log` undoes it."""
    return 100 * math.expm1(min(max(log_ratio, -30.0), 700.0))


def to_log(change_pct: float) -> float:
    """A change in per cent, above -100, as a log ratio."""
    return math.log1p(change_pct / 100)
