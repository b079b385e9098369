"""The design of an experiment: which arm of each block runs first, and when to look at the data.

Permuted groups of four blocks: every group holds two of each order, in one of the six arrangements, drawn with equal
chance. So whatever favours the second trial of a block (warm caches, a spent turbo budget) cancels in the mean instead
of passing for an effect: with independent coins, one run in eight of four pairs would put the same arm first every
time.

Stopping as soon as an ordinary 95 % interval allows it would be wrong far more often than 5 % of the time. Instead the
number of looks is fixed beforehand and each look gets an equal part of the 5 %. By the union bound all the intervals of
a run hold the truth together with at least 95 %, whatever the dependence between them, so the one at which the run
stops does too, however it came to stop: these are repeated confidence intervals (Jennison and Turnbull, J. R. Statist.
Soc. B 51:305, 1989) with Bonferroni spending.
"""

import random
from dataclasses import dataclass
from enum import Enum
from itertools import combinations

from probes.errors import UsageError

ALPHA = 0.05
GROUP = 4


class Order(Enum):
    """The order of the two trials of a block."""

    WITHOUT_FIRST = "without-first"
    WITH_FIRST = "with-first"


ARRANGEMENTS = [
    tuple(Order.WITH_FIRST if block in chosen else Order.WITHOUT_FIRST for block in range(GROUP))
    for chosen in combinations(range(GROUP), GROUP // 2)
]


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
    orders: list[Order] = []
    while len(orders) < blocks:
        orders.extend(ARRANGEMENTS[int(uniform() * len(ARRANGEMENTS))])
    return orders[:blocks]


@dataclass(frozen=True, slots=True)
class LookPlan:
    """At how many pairs the data may be looked at; fixed before the first trial.

    What counts is the number of looks: should trials be discarded, a look may come a few pairs earlier or
    later than written here, as long as there are no more looks than planned.
    """

    looks: tuple[int, ...]

    @property
    def alpha(self) -> float:
        """The two-sided error of the interval at each look."""
        return ALPHA / len(self.looks)

    def next_look(self, pairs: int) -> int | None:
        """How many pairs the next look wants when there are `pairs`; None after the last look."""
        return next((look for look in self.looks if look > pairs), None)


def plan_looks(pairs: int, max_pairs: int) -> LookPlan:
    """Looks at `pairs`, then each half as many again, at whole groups of balanced order, then at `max_pairs`.

    `plan_looks(4, 30).looks == (4, 8, 12, 20, 30)`. Few looks that grow: each costs some width of every
    interval, and one more pair changes little when there are twenty already.

    Raises:
        UsageError: fewer than one pair, or a maximum below the beginning.
    """
    if pairs < 1:
        raise UsageError(f"cannot decide from {pairs} pairs", "ask for at least 1, better 4 to 8")
    if max_pairs < pairs:
        raise UsageError(
            f"the most pairs ({max_pairs}) are fewer than the first ({pairs})", f"ask for at least {pairs}"
        )
    looks = [pairs]
    while looks[-1] < max_pairs:
        looks.append(min(next_whole_group(looks[-1] * 3 / 2), max_pairs))
    return LookPlan(tuple(looks))


def next_whole_group(pairs: float) -> int:
    """The smallest multiple of the order's group size that is at least `pairs`."""
    return int(-(-pairs // GROUP)) * GROUP
