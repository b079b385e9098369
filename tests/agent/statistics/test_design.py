"""The design: orders that are reproducible, balanced and random; looks that share the error rate."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics.design import LookPlan, Order, block_orders, block_pauses, plan_looks
from probes.errors import UsageError

SEEDS = st.integers(min_value=0, max_value=2**64 - 1)


def initials(orders: list[Order]) -> str:
    return "".join("o" if order is Order.WITHOUT_FIRST else "w" for order in orders)


def test_written_down_seeds_give_these_orders_for_ever() -> None:
    assert initials(block_orders(1, 12)) == "owwooowwoowo"


@given(SEEDS, st.integers(0, 40), st.integers(0, 40))
def test_more_blocks_continue_the_same_order(seed: int, fewer: int, more: int) -> None:
    shorter, longer = sorted([fewer, more])
    assert block_orders(seed, longer)[:shorter] == block_orders(seed, shorter)


def test_every_pattern_of_orders_is_equally_likely() -> None:
    """Then every pattern of signs is, and nothing that a host does can be in step with it."""
    counts = Counter(initials(block_orders(seed, 4)) for seed in range(16_000))
    assert len(counts) == 16
    # Binomial(16 000, 1/16) leaves 850 to 1150 less than once in 10^6.
    assert all(850 < count < 1150 for count in counts.values())


@given(SEEDS)
def test_only_the_first_pairs_are_paused_before_and_by_up_to_half_a_pair(seed: int) -> None:
    pauses = block_pauses(seed, 12)
    assert pauses == block_pauses(seed, 12)
    assert all(0 <= pause < 0.5 for pause in pauses)
    assert pauses[8:] == [0.0] * 4
    assert len(set(pauses[:8])) == 8


def test_a_negative_number_of_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot order -1 blocks"):
        block_orders(1, -1)


@pytest.mark.parametrize(
    ("pairs", "max_pairs", "looks"),
    [
        (6, 24, (6, 10, 16, 24)),
        (4, 24, (4, 8, 14, 24)),
        (6, 40, (6, 10, 16, 26, 40)),
        (8, 8, (8,)),
        (1, 5, (1, 2, 4, 5)),
    ],
)
def test_planned_looks(pairs: int, max_pairs: int, looks: tuple[int, ...]) -> None:
    assert plan_looks(pairs, max_pairs).looks == looks


@given(st.integers(1, 200), st.integers(0, 1000))
def test_looks_rise_from_first_to_last_and_share_the_error(first: int, more: int) -> None:
    plan = plan_looks(first, first + more)
    assert plan.looks[0] == first
    assert plan.looks[-1] == first + more
    assert all(early < late for early, late in zip(plan.looks, plan.looks[1:], strict=False))
    parts = [plan.part(look) for look in plan.looks]
    assert sum(parts) == pytest.approx(1)
    assert parts == sorted(parts)
    late = [plan.equivalence_alpha(look) for look in plan.looks if look >= 22]
    assert not late or sum(each or 0 for each in late) == pytest.approx(0.05)
    assert all(plan.equivalence_alpha(look) is None for look in plan.looks if look < 22)


@pytest.mark.parametrize(("pairs", "look"), [(0, 4), (3, 4), (4, 8), (11, 12), (12, None), (40, None)])
def test_next_look(pairs: int, look: int | None) -> None:
    assert LookPlan((4, 8, 12)).next_look(pairs) == look


@pytest.mark.parametrize(("pairs", "max_pairs"), [(0, 4), (-1, 4), (5, 4)])
def test_impossible_plans_are_refused(pairs: int, max_pairs: int) -> None:
    with pytest.raises(UsageError):
        plan_looks(pairs, max_pairs)
