"""The statistics of the differential runner: pure functions over numbers, no input or output.

    order.py           which arm of each block runs first, from a written-down seed
    sequential.py      when to look, and how the error rate is shared between the looks
    location.py        estimate and interval of the centre of a few noisy numbers
    effect.py          pairs of trials -> slowdown, interval, p-value, noise floor
    decision.py        effect -> verdict, reason, how many more pairs
    multiplicity.py    several metrics: Holm and Bonferroni
    decomposition.py   where the extra time went, per cause or per aggressor
    sweep.py           slowdown against the neighbours' level; the largest harmless level
    proportions.py     how often a verdict is right, with an exact interval

The method, its sources and its simulated error rates: docs/method.md. numpy and scipy are imported in this
package alone, so a command that needs no statistics never pays for them. It imports nothing else of jostle but errors,
and must not know where its numbers come from.
"""

from agent.statistics.decision import Decision, Judgement, decide
from agent.statistics.decomposition import CauseShare, residual_pct, shares
from agent.statistics.effect import (
    Better,
    EffectEstimate,
    Slowdown,
    TrialPair,
    noise_floor,
    p_value,
    slowdown,
)
from agent.statistics.multiplicity import holm, secondary_effects
from agent.statistics.order import Order, block_orders
from agent.statistics.proportions import Proportion, proportion
from agent.statistics.sequential import LookPlan, plan_looks
from agent.statistics.sweep import SweepFit, fit_sweep, largest_harmless_level

__all__ = [
    "Better",
    "CauseShare",
    "Decision",
    "EffectEstimate",
    "Judgement",
    "LookPlan",
    "Order",
    "Proportion",
    "Slowdown",
    "SweepFit",
    "TrialPair",
    "block_orders",
    "decide",
    "fit_sweep",
    "holm",
    "largest_harmless_level",
    "noise_floor",
    "p_value",
    "plan_looks",
    "proportion",
    "residual_pct",
    "secondary_effects",
    "shares",
    "slowdown",
]
