"""What bystanders took of the trials is left out to clear the neighbours, where that is right, and told."""

from dataclasses import replace

import numpy as np
import pytest

from agent.documents.metric import Better
from agent.statistics.covariates import kept_of
from agent.statistics.decision import decide
from agent.statistics.design import plan_looks
from agent.statistics.effect import TrialPair

PLAN = plan_looks(6, 24)
RNG = np.random.default_rng(15)


def beside_bystanders(slowed: float = 1.0, *, more: float = 0.0, better: Better = "lower") -> list[TrialPair]:
    """24 pairs of 1 s, slowed by this factor, of which bystanders take 10 to 50 %, and so much more with neighbours."""
    found = []
    for own in np.exp(RNG.normal(0, 0.01, (24, 2))):
        took = RNG.uniform(0.1, 0.5, 2) + np.array([0.0, more])
        without, with_ = (own * np.array([1.0, slowed]) / (1 - took)).tolist()
        if better == "higher":
            without, with_ = 1 / without, 1 / with_
        found.append(TrialPair(without, with_, 0.0, (float(took[0]), float(took[1]))))
    return found


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_neighbours_that_do_nothing_are_cleared_beside_bystanders_that_do(better: Better) -> None:
    pairs = beside_bystanders(better=better)
    blind = decide([replace(pair, taken=None) for pair in pairs], better, 5, PLAN)
    assert blind.verdict == "inconclusive"
    found = decide(pairs, better, 5, PLAN)
    assert found.verdict == "no-interference"
    assert found.effect.taken_pct == pytest.approx((30, 30), abs=8)
    assert "the time that bystanders took is left out" in found.reason[1]
    # What was measured stays what was measured.
    assert (found.effect.without, found.effect.with_) == (blind.effect.without, blind.effect.with_)


def test_a_slowdown_by_the_neighbours_is_not_cleared() -> None:
    assert decide(beside_bystanders(1.06), "lower", 5, PLAN).verdict == "inconclusive"


def test_what_the_neighbours_make_bystanders_take_is_not_left_out() -> None:
    found = decide(beside_bystanders(more=0.2), "lower", 5, PLAN)
    assert found.verdict != "no-interference"
    assert found.effect.taken_pct is None


def test_interference_is_judged_with_all_of_the_time() -> None:
    found = decide(beside_bystanders(2.0), "lower", 5, PLAN)
    assert (found.verdict, found.effect.taken_pct) == ("interference", None)


def test_where_it_is_not_known_in_some_trials_that_is_said_and_nothing_left_out() -> None:
    pairs = beside_bystanders()
    pairs[3] = replace(pairs[3], taken=None)
    found = decide(pairs, "lower", 5, PLAN)
    assert found.verdict == "inconclusive"
    assert found.effect.taken_pct is None
    assert (
        "what bystanders took of the time is known in 23 of 24 pairs only, so nothing is left out for it"
        in (found.warnings)
    )


def test_what_makes_pairs_no_more_alike_is_not_left_out() -> None:
    quiet = [
        TrialPair(a, b, 0.0, (float(RNG.uniform(0, 0.3)), float(RNG.uniform(0, 0.3))))
        for a, b in np.exp(RNG.normal(0, 0.01, (24, 2))).tolist()
    ]
    found = decide(quiet, "lower", 5, PLAN)
    assert (found.verdict, found.effect.taken_pct) == ("no-interference", None)


def test_of_a_trial_that_was_all_taken_a_tenth_is_kept() -> None:
    kept = kept_of([TrialPair(1.0, 2.0, None, (0.0, 1.0))])
    assert kept is not None
    assert kept.ravel().tolist() == pytest.approx([1.0, 0.1])
