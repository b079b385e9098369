"""When to look, and that the looks share the error rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics import LookPlan, plan_looks
from probes.errors import UsageError


@pytest.mark.parametrize(
    ("pairs", "max_pairs", "looks"),
    [
        (4, 30, (4, 8, 12, 20, 30)),
        (4, 24, (4, 8, 12, 20, 24)),
        (6, 20, (6, 12, 20)),
        (8, 8, (8,)),
        (1, 5, (1, 4, 5)),
    ],
)
def test_planned_looks(pairs: int, max_pairs: int, looks: tuple[int, ...]) -> None:
    assert plan_looks(pairs, max_pairs).looks == looks


@given(st.integers(1, 200), st.integers(0, 1000))
def test_looks_rise_from_first_to_last_and_share_five_per_cent(first: int, more: int) -> None:
    plan = plan_looks(first, first + more)
    assert plan.looks[0] == first
    assert plan.looks[-1] == first + more
    assert all(early < late for early, late in zip(plan.looks, plan.looks[1:], strict=False))
    assert plan.alpha * len(plan.looks) == pytest.approx(0.05)


def test_looks_between_first_and_last_are_at_balanced_orders() -> None:
    assert all(look % 4 == 0 for look in plan_looks(5, 99).looks[1:-1])


@pytest.mark.parametrize(("pairs", "look"), [(0, 4), (3, 4), (4, 8), (11, 12), (12, None), (40, None)])
def test_next_look(pairs: int, look: int | None) -> None:
    assert LookPlan((4, 8, 12)).next_look(pairs) == look


@pytest.mark.parametrize(("pairs", "max_pairs"), [(0, 4), (-1, 4), (5, 4)])
def test_impossible_plans_are_refused(pairs: int, max_pairs: int) -> None:
    with pytest.raises(UsageError):
        plan_looks(pairs, max_pairs)
