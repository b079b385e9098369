"""Which arm of each block runs first: permuted groups of four blocks.

Every group of four consecutive blocks holds two of each order, in one of the six arrangements, drawn with
equal chance. So whatever favours the second trial of a block (warm caches, a spent turbo budget) cancels in
the mean instead of passing for an effect: with independent coins, one run in eight of four pairs would put
the same arm first every time.
"""

import random
from enum import Enum
from itertools import combinations

from probes.errors import UsageError

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
