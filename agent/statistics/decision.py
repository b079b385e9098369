"""From the effect to the verdict. One interval decides, by where it lies.

`interference`: above the threshold and above the noise floor. `no-interference`: wholly inside ±threshold
(equivalence by inclusion of the interval). `inconclusive`: anything else, with what more pairs could do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.documents.metric import Better, changed, changed_between, told
from agent.statistics.design import ALPHA, LookPlan
from agent.statistics.effect import EffectEstimate, TrialPair, measure, to_log, to_pct
from agent.statistics.intervals import student_factor

Judgement = Literal["interference", "no-interference", "inconclusive"]

MOST_PAIRS = 1000
FEWEST_PAIRS = 4


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


def decide(pairs: Sequence[TrialPair], better: Better, threshold_pct: float, plan: LookPlan) -> Decision:
    """Judge the pairs so far; to be called once per look of the plan, with the pairs in the order they ran.

    Raises:
        UsageError: no pairs, a metric that is not a finite number above 0, a threshold not above 0.
    """
    effect = measure(pairs, better, threshold_pct, plan.alpha)
    verdict = judge(effect.ci95_pct, effect.noise_floor_pct, threshold_pct)
    more = 0 if verdict != "inconclusive" else more_pairs_needed(effect, plan.alpha)
    return Decision(verdict, effect, explain(verdict, effect, more), more, warn(effect))


def judge(ci_pct: tuple[float, float] | None, floor_pct: float | None, threshold_pct: float) -> Judgement:
    """The verdict from where the interval lies."""
    if ci_pct is None or floor_pct is None:
        return "inconclusive"
    low, high = ci_pct
    if low > max(threshold_pct, floor_pct):
        return "interference"
    if -threshold_pct < low and high < threshold_pct:
        return "no-interference"
    return "inconclusive"


def more_pairs_needed(effect: EffectEstimate, alpha: float) -> int | None:
    """How many more pairs would decide if estimate and spread stayed as they are; None beyond 1000 in all.

    The interval of n pairs is taken to be as wide as Student's at the spread that the present one implies.
    A single pair shows no spread: then the answer is what brings it to four.
    """
    if effect.ci95_pct is None or effect.noise_floor_pct is None:
        return FEWEST_PAIRS - effect.pairs
    centre = to_log(effect.slowdown_pct)
    low, high = (to_log(bound) for bound in effect.ci95_pct)
    spread = (high - low) / 2 / student_factor(effect.pairs, alpha)
    noise = to_log(effect.noise_floor_pct) / student_factor(effect.pairs, ALPHA)
    for total in range(effect.pairs + 1, MOST_PAIRS + 1):
        margin = spread * student_factor(total, alpha)
        expected = (to_pct(centre - margin), to_pct(centre + margin))
        floor_pct = to_pct(noise * student_factor(total, ALPHA))
        if judge(expected, floor_pct, effect.threshold_pct) != "inconclusive":
            return total - effect.pairs
    return None


def explain(verdict: Judgement, effect: EffectEstimate, more: int | None) -> tuple[str, ...]:
    """The clauses of the reason: what was measured, what follows, and what would decide if nothing did."""
    clauses = (measured(effect), follows(verdict, effect))
    return clauses if verdict != "inconclusive" else (*clauses, outlook(more))


def measured(effect: EffectEstimate, when: str = "with the neighbours", unit: str = "pair") -> str:
    """The effect in words, `57.8 % slower with the neighbours (…, 8 pairs)`; `unit` names one of the pairs."""
    change, bounds = told(effect.slowdown_pct, effect.ci95_pct, effect.better)
    size = f"{change} {when}"
    return (
        f"{size} (95 % interval {bounds}, {effect.pairs} {unit}s)"
        if bounds
        else f"{size}, by a single {unit}"
    )


def follows(verdict: Judgement, effect: EffectEstimate, unit: str = "pair") -> str:
    """Where the interval lies, in words; `unit` as for `measured`."""
    limit, within, above = f"{effect.threshold_pct:g} %", f"±{effect.threshold_pct:g} %", "above"
    floor = "" if effect.noise_floor_pct is None else f"the noise floor of {effect.noise_floor_pct:.1f} %"
    if effect.better == "higher":
        limit, above = changed(effect.threshold_pct, "higher"), "beyond"
        within = changed_between((-effect.threshold_pct, effect.threshold_pct), "higher")
        floor = f"the noise floor of {changed(effect.noise_floor_pct or 0.0, 'higher')}"
    if effect.ci95_pct is None or effect.noise_floor_pct is None:
        return f"one {unit} cannot tell an effect from noise"
    if verdict == "interference":
        return f"all of it {above} the threshold of {limit} and {floor}"
    if verdict == "no-interference":
        return f"all of it within {within}"
    if effect.ci95_pct[1] < -effect.threshold_pct:
        return "the victim became faster, which is neither verdict"
    if effect.ci95_pct[0] > effect.threshold_pct:
        return f"not all of it {above} {floor}"
    return f"neither all {above} {limit} nor all within {within}"


def outlook(more: int | None) -> str:
    """What more pairs would do."""
    if more is None:
        return f"even {MOST_PAIRS} pairs would not decide unless the effect or the noise changed"
    return f"about {more} more {'pair' if more == 1 else 'pairs'} would decide"


def warn(effect: EffectEstimate) -> tuple[str, ...]:
    """What a reader should know before trusting the verdict."""
    floor_pct, threshold_pct = effect.noise_floor_pct, effect.threshold_pct
    if floor_pct is None or floor_pct <= threshold_pct:
        return ()
    warning = (
        f"the threshold of {threshold_pct:g} % is below the noise floor of {floor_pct:.1f} %: "
        "run more pairs, longer trials or a quieter host to see slowdowns that small"
    )
    return (warning,)
