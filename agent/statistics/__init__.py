"""The statistics of the differential runner: pure functions over numbers, no input or output.

    design.py          which arm of each block runs first; when to look, and how the error is shared between looks
    intervals.py       estimate and interval of the centre of a few noisy numbers, and of a proportion
    effect.py          pairs of trials, or windows -> slowdown, interval, p-value, noise floor; several metrics
    decision.py        effect -> verdict, reason, how many more pairs
    shares.py          where the extra time went, per cause
    dose_response.py   slowdown against the neighbours' level; the largest harmless level
    cycles.py          windows in which a tenant was busy beside those in which it was not, as pairs

The method, its sources and its simulated error rates: docs/method.md. numpy and scipy are imported in this
package alone, so a command that needs no statistics never pays for them. It imports nothing else of jostle but errors
and which direction of a metric is better, and must not know where its numbers come from.
"""

from agent.statistics.decision import Decision, Judgement, decide
from agent.statistics.design import LookPlan, Order, block_orders, plan_looks
from agent.statistics.dose_response import DoseCurve, fit_dose_curve, largest_harmless_level
from agent.statistics.effect import (
    EffectEstimate,
    Slowdown,
    TrialPair,
    holm,
    measure_unpaired,
    noise_floor,
    p_value,
    secondary_effects,
    slowdown,
)
from agent.statistics.intervals import Proportion, proportion
from agent.statistics.shares import RESIDUAL_LIMIT_PCT, CauseShare, residual_pct, shares

__all__ = [
    "RESIDUAL_LIMIT_PCT",
    "CauseShare",
    "Decision",
    "DoseCurve",
    "EffectEstimate",
    "Judgement",
    "LookPlan",
    "Order",
    "Proportion",
    "Slowdown",
    "TrialPair",
    "block_orders",
    "decide",
    "fit_dose_curve",
    "holm",
    "largest_harmless_level",
    "measure_unpaired",
    "noise_floor",
    "p_value",
    "plan_looks",
    "proportion",
    "residual_pct",
    "secondary_effects",
    "shares",
    "slowdown",
]
