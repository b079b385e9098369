"""The order of the blocks: reproducible, balanced, random."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics import Order, block_orders
from probes.errors import UsageError

SEEDS = st.integers(min_value=0, max_value=2**64 - 1)


def initials(orders: list[Order]) -> str:
    return "".join("o" if order is Order.WITHOUT_FIRST else "w" for order in orders)


def test_written_down_seeds_give_these_orders_for_ever() -> None:
    assert initials(block_orders(1, 12)) == "wwoooowwowow"


@given(SEEDS, st.integers(0, 20))
def test_each_group_of_four_holds_two_of_each(seed: int, groups: int) -> None:
    orders = initials(block_orders(seed, 4 * groups))
    assert all(orders[at : at + 4].count("w") == 2 for at in range(0, 4 * groups, 4))


@given(SEEDS, st.integers(0, 40), st.integers(0, 40))
def test_more_blocks_continue_the_same_order(seed: int, fewer: int, more: int) -> None:
    shorter, longer = sorted([fewer, more])
    assert block_orders(seed, longer)[:shorter] == block_orders(seed, shorter)


def test_every_arrangement_is_equally_likely() -> None:
    counts = Counter(initials(block_orders(seed, 4)) for seed in range(6000))
    assert len(counts) == 6
    # Binomial(6000, 1/6) leaves 850 to 1150 less than once in 10^6.
    assert all(850 < count < 1150 for count in counts.values())


def test_a_negative_number_of_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot order -1 blocks"):
        block_orders(1, -1)
