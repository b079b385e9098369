"""Tests of the design itself: does the order within a pair matter, does an effect last into the next trial?

Neither biases the estimate by much while orders are random: an order effect cancels in the mean, and a lasting effect
makes the slowdown smaller than it is. So the first is a warning, the second one that forbids to declare harmless.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from agent.statistics.design import Order
from agent.statistics.intervals import Floats

# In a run in which nothing is wrong, each warns once in so many.
CHECK_ALPHA = 0.005
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class DesignChecks:
    """p-values, arrays where many runs are asked for; 1 where there are too few pairs of a kind to tell.

    Attributes:
        order: Two-sided, of "which trial is first does not matter".
        carry_over: One-sided, of "the neighbours do not slow the trial after theirs".
    """

    order: Floats
    carry_over: Floats

    @property
    def lasts(self) -> npt.NDArray[np.bool_]:
        """Whether an effect was seen to last into the next trial."""
        return np.asarray(self.carry_over < CHECK_ALPHA)


def check_design(log_ratios: Floats, orders: Sequence[Order] | npt.NDArray[np.bool_]) -> DesignChecks:
    """Both tests, of log ratios and orders of shape (..., pairs), in the order they ran.

    A lasting effect slows those trials without the neighbours that follow one beside them (Senn, Cross-over Trials in
    Clinical Research, 2002). Only a pair that begins without them, after a pair that ended without them, is free of it.

    Args:
        log_ratios: Of the pairs.
        orders: Of the pairs; as an array True where the trial without the neighbours was first.
    """
    first = np.asarray(
        [order is Order.WITHOUT_FIRST for order in orders] if isinstance(orders, Sequence) else orders
    )
    before = np.concatenate([np.zeros((*first.shape[:-1], 1), dtype=bool), first[..., :-1]], axis=-1)
    _, p_order = _two_samples(log_ratios, first)
    slowed, p_after = _two_samples(log_ratios, first & ~before)
    return DesignChecks(p_order, np.where(slowed > 0, p_after / 2, 1 - p_after / 2))


def _two_samples(values: Floats, chosen: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Mean of the chosen less that of the others, and Student's two-sided p-value; p is 1 where one is too small."""
    ones, others = chosen.sum(axis=-1), (~chosen).sum(axis=-1)
    mean = np.where(chosen, values, 0).sum(axis=-1) / np.maximum(ones, 1)
    rest = np.where(chosen, 0, values).sum(axis=-1) / np.maximum(others, 1)
    residuals = values - np.where(chosen, mean[..., np.newaxis], rest[..., np.newaxis])
    freedom = np.maximum(values.shape[-1] - 2, 1)
    spread = np.sqrt(
        (residuals**2).sum(axis=-1) / freedom * (1 / np.maximum(ones, 1) + 1 / np.maximum(others, 1))
    )
    enough = (ones >= _FEWEST) & (others >= _FEWEST)
    difference = np.where(enough, mean - rest, 0.0)
    p = 2 * stats.t.sf(np.abs(difference) / np.maximum(spread, 1e-12), freedom)
    return difference, np.where(enough, p, 1.0)
