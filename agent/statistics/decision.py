"""From the effect to the verdict.

`interference`: the interval of the typical or of the mean slowdown lies above the threshold, or more fails beside the
neighbours than chance explains; the error is shared between the three. `no-interference` (equivalence by inclusion of
the interval) needs all of it: the typical slowdown wholly within ±threshold, the mean below it, next to no trial that
could be slow, nothing that failed beside the neighbours alone, no effect that outlasts its trial. `inconclusive`:
anything else, with what stands in the way and what more pairs could do.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from agent.documents.metric import Better, changed, changed_between, described_change, tells_nothing
from agent.statistics.checks import CHECK_ALPHA, DesignChecks, check_design
from agent.statistics.covariates import Adjusted, adjust, known_in
from agent.statistics.design import (
    ALPHA,
    FAILURES_ALPHA,
    FEWEST_TO_CLEAR,
    MEAN_ALPHA,
    MOST_SLOW_PCT,
    TYPICAL_ALPHA,
    LookPlan,
    Order,
)
from agent.statistics.effect import (
    UNSEEN_TIMES,
    EffectEstimate,
    Ratios,
    TrialPair,
    measure,
    of_the_mean,
    ratios_of,
    seen_mean_interval,
    slow_bound_pct,
    slow_pairs,
    to_log,
    typical_interval,
)
from agent.statistics.failures import Surplus, Trials, surpluses
from agent.statistics.intervals import student_factor

Judgement = Literal["interference", "no-interference", "inconclusive"]
Bools = npt.NDArray[np.bool_]

MOST_PAIRS = 1000
FEWEST_PAIRS = 4
# A figure in steps above this part of the threshold cannot tell a slowdown of that size.
MOST_STEP_RATIO = 0.2
# What the last of several looks has of the error: about what further looks would have.
_LAST_PART = 0.36


@dataclass(frozen=True, slots=True)
class Claims:
    """What may be claimed of pairs at one look, for each run of many: shape (...).

    Attributes:
        typical: The typical slowdown is above the threshold.
        mean: The mean one is.
        within: The typical slowdown is within ±threshold and the mean below it; False where it is too early to say.
        harmless: So it is, and too few trials can be slow to matter.
    """

    typical: Bools
    mean: Bools
    within: Bools
    harmless: Bools


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict of one look at the data, with the clauses that its reason is made of."""

    verdict: Judgement
    effect: EffectEstimate
    reason: tuple[str, ...]
    """Clauses, each without capital or full stop: what was measured, what follows, what would decide."""
    more_pairs_needed: int | None
    """About how many; 0 when decided, None when no number of pairs up to 1000 would."""
    warnings: tuple[str, ...]
    failures: tuple[Surplus, ...] = ()
    by_failures: bool = False
    """Whether it is interference because of what failed."""
    checks: DesignChecks | None = None


def claims(of: Ratios, threshold_pct: float, plan: LookPlan, clearing: Ratios | None = None) -> Claims:
    """What may be claimed at the look at so many pairs; the pairs are on the last axis.

    `clearing` are those that harmlessness is judged by, where they are not the same.
    """
    clearing = of if clearing is None else clearing
    count = of.typical.shape[-1]
    part, above, below = plan.part(count), to_log(threshold_pct), lower_limit(threshold_pct)
    typical, mean = typical_interval(of, TYPICAL_ALPHA * part), seen_mean_interval(of, MEAN_ALPHA * part)
    none = np.zeros(of.typical.shape[:-1], dtype=bool)
    if typical is None or mean is None:
        return Claims(none, none, none, none)
    within = slow_enough = none
    alpha = plan.equivalence_alpha(count)
    if alpha is not None:
        narrow, narrow_mean = typical_interval(clearing, alpha), seen_mean_interval(clearing, alpha)
        if narrow is not None and narrow_mean is not None:
            within = (narrow[0] > below) & (narrow[1] < above) & (narrow_mean[1] < above)
        most = next((k for k in range(count) if slow_bound_pct(k, count) > MOST_SLOW_PCT), count) - 1
        slow_enough = slow_pairs(clearing, threshold_pct) <= most
    return Claims(typical[0] > above, mean[0] > above, within, within & slow_enough)


def lower_limit(threshold_pct: float) -> float:
    """The log of as much faster as the threshold is slower; no limit from 100 % on."""
    return to_log(-threshold_pct) if threshold_pct < 100 else -np.inf


def decide(
    pairs: Sequence[TrialPair],
    better: Better,
    threshold_pct: float,
    plan: LookPlan,
    *,
    orders: Sequence[Order] = (),
    trials: Trials | None = None,
    by_hand: bool = False,
) -> Decision:
    """Judge the pairs so far; to be called once per look of the plan, with the pairs in the order they ran.

    Args:
        pairs: At least one.
        better: Which direction of the metric is better.
        threshold_pct: The smallest slowdown that matters.
        plan: Of the looks.
        orders: Of the pairs, to test whether it mattered; empty: not known.
        trials: How the attempts went.
        by_hand: Somebody chose this moment: there is an interval that holds whenever that is, and no verdict.

    Raises:
        UsageError: no pairs, a metric that is not a finite number above 0, a threshold not above 0.
    """
    trials = trials or Trials()
    of, part = ratios_of(pairs, better), plan.part(len(pairs))
    adjusted = adjust(pairs, better, of)
    alpha = plan.by_hand_alpha if by_hand else TYPICAL_ALPHA * part
    mean_alpha = MEAN_ALPHA * part

    def measured_at(
        error: float, error_of_mean: float, leaving_out: Adjusted | None = None
    ) -> EffectEstimate:
        unknown = trials.unknown
        chosen = leaving_out.pairs if leaving_out else pairs
        found = measure(
            chosen, better, threshold_pct, error, mean_alpha=error_of_mean, unknown_trials=unknown
        )
        if leaving_out is None:
            return found
        taken_pct = leaving_out.without_pct, leaving_out.with_pct
        return replace(found, without=effect.without, with_=effect.with_, taken_pct=taken_pct)

    effect = measured_at(alpha, mean_alpha)
    clearing = ratios_of(adjusted.pairs, better) if adjusted else of
    found, failed = claims(of, threshold_pct, plan, clearing), tuple(surpluses(trials))
    checks = check_design(clearing.typical, orders) if orders else None
    by_failures = any(s.with_ > s.without and s.p_value <= FAILURES_ALPHA * part for s in failed)
    slowed = bool(found.typical or found.mean)
    if found.within and not slowed and not by_hand:
        error = plan.equivalence_alpha(len(pairs)) or ALPHA
        effect = measured_at(error, error, adjusted)
    elif found.mean and not found.typical and not by_hand:
        effect = of_the_mean(effect, pairs, better, mean_alpha)
    doubts = obstacles(effect, failed, checks)
    verdict: Judgement = "inconclusive"
    if not by_hand and (slowed or by_failures):
        verdict = "interference"
    elif not by_hand and found.harmless and not doubts:
        verdict = "no-interference"
    by_failures = by_failures and verdict == "interference" and not slowed
    more = 0 if verdict != "inconclusive" else more_pairs_needed(effect, int(slow_pairs(of, threshold_pct)))
    if more != 0 and adjusted:
        sooner = more_pairs_needed(
            measured_at(alpha, mean_alpha, adjusted), int(slow_pairs(clearing, threshold_pct))
        )
        more = min((each for each in (more, sooner) if each is not None), default=None)
    return Decision(
        verdict,
        effect,
        explain(verdict, effect, more, failed, doubts, by_hand=by_hand),
        more,
        (*warn(verdict, effect), *warn_of_bystanders(pairs), *warn_of_design(checks)),
        failed,
        by_failures,
        checks,
    )


def judge(ci_pct: tuple[float, float] | None, threshold_pct: float) -> Judgement:
    """The verdict from where one interval lies, as far as that decides."""
    if ci_pct is None:
        return "inconclusive"
    low, high = ci_pct
    if low > threshold_pct:
        return "interference"
    if -threshold_pct < low and high < threshold_pct:
        return "no-interference"
    return "inconclusive"


def obstacles(
    effect: EffectEstimate, failed: Sequence[Surplus], checks: DesignChecks | None
) -> tuple[str, ...]:
    """What stands in the way of calling it harmless, however small the typical slowdown is."""
    mean_pct = effect.seen_mean_most_pct
    slow_pct, limit_pct = effect.slow_trials_pct, effect.threshold_pct
    found = []
    if judge(effect.ci95_pct, limit_pct) == "no-interference":
        if mean_pct is not None and mean_pct >= limit_pct:
            found.append(f"the mean time could be {mean_pct:.1f} % longer")
        if slow_pct is not None and slow_pct > MOST_SLOW_PCT:
            found.append(f"up to {slow_pct:.0f} % of the trials could be slower by more")
    found += [describe_surplus(each) for each in failed if each.is_doubtful]
    if checks is not None and checks.lasts:
        found.append(
            "what the neighbours do lasts into the next trial, so the slowdown is larger than measured"
        )
    return tuple(found)


def describe_surplus(failed: Surplus) -> str:
    """What failed, in both arms: `trials that failed: 0 without the neighbours, 9 with them`."""
    return f"{failed.what}: {failed.without:,.0f} without the neighbours, {failed.with_:,.0f} with them"


def more_pairs_needed(effect: EffectEstimate, slow: int = 0) -> int | None:
    """How many more pairs would decide if estimate and spread stayed as they are; None beyond 1000 in all.

    The interval of n pairs is taken to be as wide as Student's at the spread that the present one implies.
    A single pair shows no spread: then the answer is what brings it to four. `slow` trials were seen.
    """
    if effect.ci95_pct is None:
        return FEWEST_PAIRS - effect.pairs
    centre = to_log(effect.slowdown_pct)
    low, high = (to_log(max(bound, -99.999)) for bound in effect.ci95_pct)
    spread = (high - low) / 2 / student_factor(effect.pairs, effect.alpha)
    above, below = to_log(effect.threshold_pct), lower_limit(effect.threshold_pct)

    def would_decide(total: int) -> bool:
        if centre - spread * student_factor(total, TYPICAL_ALPHA * _LAST_PART) > above:
            return True
        margin = spread * student_factor(total, ALPHA)
        is_within = below < centre - margin and centre + margin < above
        few = total >= FEWEST_TO_CLEAR and slow_bound_pct(slow, total) <= MOST_SLOW_PCT
        return is_within and few

    # Each of the conditions holds from some number of pairs on.
    totals = range(effect.pairs + 1, MOST_PAIRS + 1)
    first = bisect_left(totals, x=True, key=would_decide)
    return totals[first] - effect.pairs if first < len(totals) else None


def explain(
    verdict: Judgement,
    effect: EffectEstimate,
    more: int | None,
    failed: Sequence[Surplus] = (),
    doubts: Sequence[str] = (),
    *,
    by_hand: bool = False,
) -> tuple[str, ...]:
    """The clauses of the reason: what was measured, what follows, and what would decide if nothing did."""
    if verdict == "interference" and judge(effect.ci95_pct, effect.threshold_pct) != "interference":
        told = [describe_surplus(each) for each in failed if each.is_doubtful]
        return (*told, f"{measured(effect)}, where it worked")
    clauses = (measured(effect), follows(verdict, effect))
    if verdict != "inconclusive":
        return clauses
    if by_hand:
        return (*clauses, "it was ended between two looks, which gives no verdict")
    return (*clauses, *doubts, outlook(more))


def measured(effect: EffectEstimate, when: str = "with the neighbours", unit: str = "pair") -> str:
    """The effect in words, `57.8 % slower with the neighbours (…, 8 pairs)`; `unit` names one of the pairs."""
    change, bounds = described_change(effect.slowdown_pct, effect.ci95_pct, effect.better)
    size = f"{'on average ' if effect.estimand == 'mean' else ''}{change} {when}"
    return (
        f"{size} (95 % interval {bounds}, {effect.pairs} {unit}s)"
        if bounds
        else f"{size}, by a single {unit}"
    )


def follows(verdict: Judgement, effect: EffectEstimate, unit: str = "pair") -> str:
    """Where the interval lies, in words; `unit` as for `measured`."""
    limit, within, above = f"{effect.threshold_pct:g} %", f"±{effect.threshold_pct:g} %", "above"
    if effect.better == "higher":
        limit, above = changed(effect.threshold_pct, "higher"), "beyond"
        within = changed_between((-effect.threshold_pct, effect.threshold_pct), "higher")
    if effect.ci95_pct is None:
        return f"one {unit} cannot tell an effect from noise"
    if verdict == "interference":
        return f"all of it {above} the threshold of {limit}"
    if verdict == "no-interference":
        return f"all of it within {within}{on_average(effect)}{left_out(effect)}"
    where = judge(effect.ci95_pct, effect.threshold_pct)
    if where == "inconclusive":
        is_faster = effect.ci95_pct[1] < -effect.threshold_pct
        neither = f"neither all {above} {limit} nor all within {within}"
        return "the victim became faster, which is neither verdict" if is_faster else neither
    lies = f"within {within}" if where == "no-interference" else f"{above} {limit}"
    return f"all of it {lies}, which is not yet a verdict"


def on_average(effect: EffectEstimate) -> str:
    """Of the mean and of slow trials what an effect within the threshold leaves open."""
    seen_pct, slow_pct = effect.seen_mean_most_pct, effect.slow_trials_pct
    ci_pct = None if effect.mean is None else effect.mean.ci_pct
    mean = "" if seen_pct is None else f", the mean time of trials like these at most {seen_pct:.1f} % longer"
    if slow_pct is None:
        return mean
    slow = f"{mean}; up to {slow_pct:.0f} % of the trials could be slower by more"
    if ci_pct is None:
        return slow
    return f"{slow}, and the mean up to {ci_pct[1]:.0f} % longer if they took {UNSEEN_TIMES:g} times as long"


def left_out(effect: EffectEstimate) -> str:
    """What of the time the slowdown does not have in it."""
    if effect.taken_pct is None:
        return ""
    without, with_ = effect.taken_pct
    took = f"{without:.0f} % without the neighbours, {with_:.0f} % with them"
    return f"; the time that bystanders took is left out ({took})"


def outlook(more: int | None) -> str:
    """What more pairs would do."""
    if more is None:
        return f"even {MOST_PAIRS} pairs would not decide unless the effect or the noise changed"
    return f"about {more} more {'pair' if more == 1 else 'pairs'} would decide"


def warn(verdict: Judgement, effect: EffectEstimate) -> tuple[str, ...]:
    """What a reader should know before trusting the verdict."""
    floor_pct, threshold_pct = effect.noise_floor_pct, effect.threshold_pct
    found = []
    if effect.step_pct > MOST_STEP_RATIO * threshold_pct:
        found.append(
            f"the figure is known in steps of {effect.step_pct:.2g} % of it, which is more than a fifth of the "
            f"threshold of {threshold_pct:g} %: print more digits, or make the trials longer"
        )
    if effect.ci95_pct is not None and tells_nothing(effect.ci95_pct):
        found.append(
            "the trials differ so much that so few pairs tell nothing: run more pairs, longer trials or a quieter host"
        )
    elif verdict == "inconclusive" and floor_pct is not None and floor_pct > threshold_pct:
        found.append(
            f"the threshold of {threshold_pct:g} % is below the noise floor of {floor_pct:.1f} %: "
            "run more pairs, longer trials or a quieter host to see slowdowns that small"
        )
    return tuple(found)


def warn_of_bystanders(pairs: Sequence[TrialPair]) -> tuple[str, ...]:
    """That nothing is left out of the time, as it is known of some pairs only what bystanders took."""
    known = known_in(pairs)
    if known in {0, len(pairs)}:
        return ()
    where = f"{known} of {len(pairs)} pairs only"
    return (f"what bystanders took of the time is known in {where}, so nothing is left out for it",)


def warn_of_design(checks: DesignChecks | None) -> tuple[str, ...]:
    """What the tests of the design found."""
    if checks is None:
        return ()
    found = []
    if checks.order < CHECK_ALPHA:
        found.append(
            f"which trial of a pair ran first made a difference (p = {float(checks.order):.2g}): the interval is wider "
            "for it; warm the victim up, or make the trials longer"
        )
    if checks.lasts:
        found.append(
            f"trials that followed one beside the neighbours were slower (p = {float(checks.carry_over):.2g}): what "
            "they do lasts, and the slowdown is larger than measured; make the trials longer"
        )
    return tuple(found)
