"""Cutting a recording into cycles, and pairing within them."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics.cycles import LOAD_STEP, Activity, Cycle, Observed, cut, cycles, lag_1, merged
from agent.statistics.effect import TrialPair

QUIET, BETWEEN, BUSY = Activity.QUIET, Activity.BETWEEN, Activity.BUSY


def series(text: str, values: dict[str, float] | None = None, load: float = 0.5) -> list[Observed]:
    """`q`uiet, `b`usy and `-` windows; values by letter."""
    kinds = {"q": QUIET, "b": BUSY, "-": BETWEEN}
    return [Observed(kinds[letter], load, (values or {}).get(letter, 1.0)) for letter in text]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("qqqq", []),
        ("bbbb", [[0, 1, 2, 3]]),
        ("qbq", [[1, 0, 2]]),
        ("bqqqb", [[0, 1, 2], [4, 3]]),
        ("qb-bq", [[1, 3, 0, 4]]),
    ],
)
def test_each_quiet_window_goes_to_the_nearest_busy_stretch(text: str, parts: list[list[int]]) -> None:
    assert cut(series(text)) == parts


@given(st.text("qb-", max_size=60))
def test_every_decided_window_is_in_one_cycle_at_most(text: str) -> None:
    parts = [index for part in cut(series(text)) for index in part]
    assert len(parts) == len(set(parts))
    assert sorted(parts) == [n for n, letter in enumerate(text) if letter != "-" and "b" in text]


def test_a_cycle_gives_one_pair_however_many_windows_it_has() -> None:
    found = cycles(series("qqqbbbqqq" * 5, {"b": 2.0}))
    assert [(pair.pair.without, pair.pair.with_) for pair in found] == [pytest.approx((1.0, 2.0))] * 5


def test_drift_from_cycle_to_cycle_cancels() -> None:
    windows = [
        Observed(window.kind, window.load, window.value * 1.3 ** (n // 4))
        for n, window in enumerate(series("qbbq" * 8, {"b": 1.5}))
    ]
    assert [cycle.pair.with_ / cycle.pair.without for cycle in cycles(windows)] == pytest.approx([1.5] * 8)


def test_only_windows_of_the_same_load_are_compared() -> None:
    # Under twice the load it is twice as slow, tenant or not; and the tenant is there mostly then.
    light, heavy = [Observed(QUIET, 0.2, 1.0)] * 3, [Observed(BUSY, 0.4, 2.0)] * 3
    assert cycles([*light, *heavy]) == []
    both = cycles([*light, *heavy, Observed(QUIET, 0.4, 2.0), Observed(BUSY, 0.2, 1.0)])
    assert [cycle.pair.with_ / cycle.pair.without for cycle in both] == pytest.approx([1.0])


def test_strata_weigh_by_their_busy_windows() -> None:
    windows = [
        *[Observed(QUIET, 0.1, 1.0), Observed(QUIET, 0.9, 1.0)],
        *[*[Observed(BUSY, 0.1, 2.0)] * 3, Observed(BUSY, 0.9, 8.0)],
    ]
    (cycle,) = cycles(windows)
    assert cycle.pair.with_ == pytest.approx(math.exp((3 * math.log(2) + math.log(8)) / 4))


@given(st.floats(1e-6, 1e6))
def test_a_load_is_alike_itself(load: float) -> None:
    assert len(cycles(series("qb", load=load))) == 1
    assert cycles([Observed(QUIET, load, 1.0), Observed(BUSY, load * LOAD_STEP**2, 1.0)]) == []


def pairs_of(ratios: list[float]) -> list[Cycle]:
    return [Cycle((), (), TrialPair(1.0, ratio)) for ratio in ratios]


def test_independent_cycles_stay_as_they_are() -> None:
    draw = random.Random(4)  # noqa: S311  made-up noise
    found = pairs_of([math.exp(draw.gauss(0, 0.1)) for _ in range(40)])
    assert len(merged(found)) == 40


def test_cycles_that_resemble_their_neighbours_count_as_fewer() -> None:
    draw, level, ratios = random.Random(4), 0.0, []  # noqa: S311  made-up noise
    for _ in range(64):
        level = 0.95 * level + draw.gauss(0, 0.1)
        ratios.append(math.exp(level))
    assert len(merged(pairs_of(ratios))) <= 16


def test_merging_keeps_the_mean() -> None:
    found = pairs_of([1.0] * 8 + [4.0] * 8)
    ratios = [math.log(pair.with_ / pair.without) for pair in merged(found)]
    assert len(ratios) < 16
    assert sum(ratios) / len(ratios) == pytest.approx(math.log(2))


def test_equal_pairs_do_not_resemble_each_other_more_than_others() -> None:
    assert lag_1([TrialPair(1.0, 2.0)] * 5) == 0.0
