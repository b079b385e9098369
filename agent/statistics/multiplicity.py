"""Several metrics: the primary alone decides; the others are reported so that all claims hold together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.statistics.effect import Better, EffectEstimate, TrialPair, measure
from agent.statistics.sequential import LookPlan


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
