"""The design of short slots: what is a pair, what is independent, and how often interval and p-value are right."""

import math

import numpy as np
import pytest

from agent.documents.metric import Ratio
from agent.statistics.effect import TrialPair
from agent.statistics.switchback import (
    Block,
    carry_over_pct,
    guard_s,
    independent,
    pair_of,
    places,
    randomisation_p_value,
    resemble,
)
from benchmarks.switchback_error import rows, simulate


def block(treated: int, *values: float) -> Block:
    return Block(tuple(Ratio(value, 1.0) for value in values), treated)


def test_a_pair_leaves_the_washout_out() -> None:
    blocks = [block(0, 1, 50, 2, 2), block(2, 2, 2, 1, 50)]
    assert pair_of(blocks, treated_is_without=True) == TrialPair(1.0, 2.0)
    assert pair_of(blocks, treated_is_without=False) == TrialPair(2.0, 1.0)


def test_longer_slots_weigh_more() -> None:
    blocks = [Block((Ratio(1, 1), Ratio(), Ratio(6, 3), Ratio(8, 1)), 0)]
    assert pair_of(blocks, treated_is_without=True).with_ == pytest.approx(14 / 4)


def test_pairs_that_resemble_one_another_are_put_together() -> None:
    def cycle(ratio: float) -> list[Block]:
        return [block(0, 1, 9, ratio, ratio)]

    alternating = [cycle(1 + n % 2) for n in range(16)]
    assert len(independent(alternating, "lower", treated_is_without=True)) == 16
    slow = [cycle(2 if n < 8 else 1) for n in range(17)]
    assert len(independent(slow, "lower", treated_is_without=True)) < 16
    whole = independent(slow, "lower", treated_is_without=True)
    assert all(pair.without == 1 for pair in whole)


def test_noise_does_not_resemble_itself_more_often_than_one_time_in_ten() -> None:
    rng = np.random.default_rng(3)
    assert sum(resemble(rng.normal(size=24)) for _ in range(500)) < 50


def test_the_p_value_is_that_of_all_placements() -> None:
    # Two cycles of three blocks of four slots; every placement by hand, as an oracle.
    from itertools import permutations, product

    rng = np.random.default_rng(5)
    cycles = [[block(t, *rng.uniform(1, 2, 4)) for t in order] for order in ((0, 2, 1), (1, 0, 2))]

    def apart(orders: tuple[tuple[int, ...], ...]) -> float:
        moved = [
            Block(b.slots, t)
            for cycle, order in zip(cycles, orders, strict=True)
            for b, t in zip(cycle, order, strict=True)
        ]
        pair = pair_of(moved, treated_is_without=True)
        return abs(math.log(pair.with_ / pair.without))

    own = apart(((0, 2, 1), (1, 0, 2)))
    every = [apart(orders) for orders in product(permutations(range(3)), repeat=2)]
    exact = np.mean([each >= own - 1e-12 for each in every])
    assert randomisation_p_value(cycles) == pytest.approx(exact, abs=0.03)


def test_what_is_carried_over_is_told_and_what_is_not_is_not() -> None:
    rng = np.random.default_rng(7)
    clean = simulate(rng, 0.0, 0.0, 50.0)
    assert carry_over_pct(clean) is None
    slots = len(clean[0][0].slots)
    late = [
        [
            Block(
                tuple(
                    Ratio(slot.over * (0.5 if place == b.treated + 2 else 1), slot.under)
                    for place, slot in enumerate(b.slots)
                ),
                b.treated,
            )
            for b in cycle
        ]
        for cycle in clean
    ]
    assert places(slots) == len(clean[0])
    assert carry_over_pct(late) == pytest.approx(-50, abs=8)


def test_the_guard_lasts_until_the_figure_has_arrived() -> None:
    edges = (0.005, 0.01, 0.02, 0.04)
    arrived = [Ratio(1.0, 1.0)] * 5
    assert guard_s(edges, arrived) == 0.005
    slow = [Ratio(3, 1), Ratio(2, 1), Ratio(1.5, 1), Ratio(1.05, 1), Ratio(1, 1)]
    assert guard_s(edges, slow) == 0.02
    assert guard_s(edges, [*[Ratio(3, 1)] * 4, Ratio(1, 1)]) == 0.04
    # Where the victim did not run there is nothing to see.
    assert guard_s(edges, [Ratio()] * 5) == 0.005


def test_intervals_hold_the_truth_and_p_values_are_small_by_chance_alone() -> None:
    for _, _, slowdown_pct, covered_pct, _, small_pct in rows(np.random.default_rng(1), 30):
        # Of 30 with 95 %, fewer than 24 are held 1 time in 10,000; of 5 %, more than 8 are small as rarely.
        assert float(covered_pct) >= 100 * 24 / 30
        assert slowdown_pct != "0" or float(small_pct) <= 100 * 8 / 30
