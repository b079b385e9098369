"""The design of an experiment: which arm of each pair runs first, when to look at the data, at which error.

Each pair tosses a coin of its own for its order, so under "the neighbours change nothing" every pattern of signs of the
pairs' ratios is equally likely, whatever the machine does meanwhile: waves, drift, a first trial that warms the caches.
Nothing in the order has a period that something on the host could be in step with. The price is that an order that
matters may lean to one side; a test of it is in every verdict (`checks.py`).

Stopping as soon as an ordinary 95 % interval allows it would be wrong far more often than 5 % of the time. Instead the
number of looks is fixed beforehand and each look gets a part of the error, the later ones more (Lan and DeMets,
Biometrika 70:659, 1983; Jennison and Turnbull, J. R. Statist. Soc. B 51:305, 1989). By the union bound all the
intervals of a run hold the truth together, whatever the dependence between them, so the one at which it stops does too.
"""

import math
import random
from dataclasses import dataclass
from enum import Enum

from probes.errors import UsageError

ALPHA = 0.05
# The two-sided error of all looks together, shared between what may be claimed: one-sided 0.016, 0.003 and 0.006 make
# the 0.025 by which `interference` may be claimed in error. The typical trial has most: it is what most effects change.
TYPICAL_ALPHA, MEAN_ALPHA, FAILURES_ALPHA = 0.032, 0.006, 0.006
# Each look has this many times the error of the one before (.004, .006, .009, .013, .018 of five looks).
GROWTH = 1.45
# Each look has this many times the pairs of the one before: one more pair changes little when there are twenty.
STEP = 1.6
# Harmless is declared when at most this part of the trials could be slowed and nobody has seen one: from 22 pairs on.
MOST_SLOW_PCT = 16.0
FEWEST_TO_CLEAR = 22
# A random pause before each of the first pairs, of up to this part of a pair: four pairs in step with a wave of the
# host would look like certainty, later on the orders see to it.
PAUSED_PAIRS, LONGEST_PAUSE = 8, 0.5


class Order(Enum):
    """The order of the two trials of a block."""

    WITHOUT_FIRST = "without-first"
    WITH_FIRST = "with-first"


def block_orders(seed: int, blocks: int) -> list[Order]:
    """The order of each of `blocks` blocks; a longer list begins with the shorter one of the same seed.

    The generator is Python's Mersenne Twister, and only its `random()`, the one method whose sequence the
    `random` module promises never to change between versions ("Notes on Reproducibility").

    Raises:
        UsageError: negative number of blocks.
    """
    if blocks < 0:
        raise UsageError(f"cannot order {blocks} blocks", "ask for 0 or more")
    uniform = random.Random(seed).random  # noqa: S311  a randomised design, not a secret
    return [Order.WITHOUT_FIRST if uniform() < 0.5 else Order.WITH_FIRST for _ in range(blocks)]


def block_pauses(seed: int, blocks: int) -> list[float]:
    """How long to pause before each block, as a part of the time that a block takes; 0 from `PAUSED_PAIRS` on."""
    uniform = random.Random(f"{seed} pauses").random  # noqa: S311  as above
    return [LONGEST_PAUSE * uniform() if block < PAUSED_PAIRS else 0.0 for block in range(blocks)]


@dataclass(frozen=True, slots=True)
class LookPlan:
    """At how many pairs the data may be looked at; fixed before the first trial.

    What counts is the number of looks: should trials be discarded, a look may come a few pairs earlier or
    later than written here, as long as there are no more looks than planned.
    """

    looks: tuple[int, ...]

    def part(self, pairs: int) -> float:
        """The part of the error that the look at so many pairs has; all parts sum to 1."""
        number = max(0, sum(look <= pairs for look in self.looks) - 1)
        return GROWTH**number / sum(GROWTH**each for each in range(len(self.looks)))

    def equivalence_alpha(self, pairs: int) -> float | None:
        """Two-sided error of the interval that may lie within the threshold; None where that is too early to say.

        The looks from `FEWEST_TO_CLEAR` on share the whole error between them: before, nothing can be cleared.
        """
        late = [look for look in self.looks if look >= FEWEST_TO_CLEAR]
        if pairs < FEWEST_TO_CLEAR or not late:
            return None
        return ALPHA * self.part(pairs) / sum(self.part(look) for look in late)

    @property
    def by_hand_alpha(self) -> float:
        """The error of an interval at a number of pairs that somebody chose while the run went on: any of them."""
        return TYPICAL_ALPHA / self.looks[-1]

    def next_look(self, pairs: int) -> int | None:
        """How many pairs the next look wants when there are `pairs`; None after the last look."""
        return next((look for look in self.looks if look > pairs), None)


def plan_looks(pairs: int, max_pairs: int) -> LookPlan:
    """Looks at `pairs`, then at 1.6 times as many again, an even number, then at `max_pairs`.

    `plan_looks(6, 24).looks == (6, 10, 16, 24)`. Few looks that grow: each costs some width of every interval.

    Raises:
        UsageError: fewer than one pair, or a maximum below the beginning.
    """
    if pairs < 1:
        raise UsageError(f"cannot decide from {pairs} pairs", "ask for at least 1, better 6 to 8")
    if max_pairs < pairs:
        raise UsageError(
            f"the most pairs ({max_pairs}) are fewer than the first ({pairs})", f"ask for at least {pairs}"
        )
    looks = [pairs]
    while looks[-1] < max_pairs:
        looks.append(min(2 * math.ceil(looks[-1] * STEP / 2), max_pairs))
    return LookPlan(tuple(looks))
