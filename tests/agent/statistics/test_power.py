"""What a plan is foreseen to show, against many simulated runs of it."""

import math

import numpy as np
import pytest

from agent.statistics.design import ALPHA, TYPICAL_ALPHA, plan_looks
from agent.statistics.effect import TrialPair, to_log
from agent.statistics.intervals import interval
from agent.statistics.power import foresee, spread_of, spread_to_clear
from probes.errors import UsageError

PLAN = plan_looks(6, 24)


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_a_slowdown_of_that_size_is_found_by_the_last_look_four_times_in_five(noise: float) -> None:
    spread = noise * math.sqrt(2)
    found_pct = foresee(spread, 5.0, PLAN).found_pct
    assert found_pct is not None
    pairs = np.random.default_rng(1).normal(to_log(found_pct), spread, (1000, 24))
    bounds = interval(pairs, TYPICAL_ALPHA * PLAN.part(24))
    assert bounds is not None
    assert np.mean(bounds[0] > to_log(5.0)) == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("noise", [0.05, 0.08])
def test_so_many_pairs_clear_what_changes_nothing_four_times_in_five(noise: float) -> None:
    spread = noise * math.sqrt(2)
    count = foresee(spread, 5.0, PLAN).pairs_to_clear
    assert count is not None
    pairs = np.random.default_rng(2).normal(0, spread, (500, count))
    bounds = interval(pairs, ALPHA)
    assert bounds is not None
    cleared = (bounds[0] > to_log(-5.0)) & (bounds[1] < to_log(5.0))
    assert np.mean(cleared) == pytest.approx(0.8, abs=0.07)


def test_quiet_trials_need_as_few_as_a_verdict_does_and_wild_ones_more_than_anybody_has() -> None:
    assert foresee(0.001, 5.0, PLAN).pairs_to_clear == 22
    assert foresee(3.0, 5.0, PLAN).pairs_to_clear is None
    assert foresee(0.01, 5.0, plan_looks(1, 1)).found_pct is None


def test_the_spread_of_two_pairs_is_that_of_their_trials() -> None:
    rng = np.random.default_rng(3)
    found = [
        spread_of([TrialPair(*times) for times in np.exp(rng.normal(0, 0.03, (2, 2))).tolist()], "lower")
        for _ in range(500)
    ]
    assert math.sqrt(np.mean(np.square(found))) == pytest.approx(0.03 * math.sqrt(2), rel=0.1)


def test_one_pair_shows_none() -> None:
    with pytest.raises(UsageError, match="one pair shows no noise"):
        spread_of([TrialPair(1.0, 2.0)], "lower")


def test_bystanders_do_not_stand_in_the_way_of_clearing() -> None:
    """Trials of 1 s, of which bystanders take a tenth or a half."""
    pairs = [TrialPair(1 / 0.9, 1.01 / 0.5, 0.0, (0.1, 0.5)), TrialPair(1.01 / 0.5, 1 / 0.9, 0.0, (0.5, 0.1))]
    assert spread_to_clear(pairs, "lower") < 0.02
    assert spread_of(pairs, "lower") > 0.3
    unknown = [TrialPair(1 / 0.9, 1.01 / 0.5, 0.0), *pairs[1:]]
    assert spread_to_clear(unknown, "lower") == spread_of(unknown, "lower")
    blind, seeing = foresee(0.3, 5, PLAN), foresee(0.3, 5, PLAN, 0.02)
    assert (blind.found_pct, seeing.pairs_to_clear) == (seeing.found_pct, 22)
