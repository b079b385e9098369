"""What fails beside the neighbours alone is a finding, and never drops out."""

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics.decision import decide
from agent.statistics.design import plan_looks
from agent.statistics.effect import TrialPair
from agent.statistics.failures import Trials, fisher, flips, surpluses

PLAN = plan_looks(6, 24)
SAME = [TrialPair(1.0 + k / 1e4, 1.0 + k / 1e4, 0.0) for k in range(24)]


@given(st.integers(1, 4), st.integers(0, 4), st.data())
def test_fishers_test_counts_the_ways_to_place_the_failures(
    of_each: int, failed: int, data: st.DataObject
) -> None:
    failed_with = data.draw(st.integers(0, min(failed, of_each)))
    failed_without = min(failed - failed_with, of_each)
    places = list(combinations(range(2 * of_each), failed_without + failed_with))
    as_many = [sum(place >= of_each for place in each) >= failed_with for each in places]
    assert fisher(failed_without, of_each, failed_with, of_each) == pytest.approx(sum(as_many) / len(places))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=7))
def test_counts_are_compared_by_all_flips_of_their_signs(differences: list[int]) -> None:
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    assert flips(differences) == pytest.approx(sum(each >= sum(differences) for each in sums) / len(sums))


def test_beyond_16_pairs_flips_are_drawn_and_never_impossible() -> None:
    assert flips([1.0] * 24) == pytest.approx(1 / (2**16 + 1))


def test_errors_in_one_arm_alone_are_interference_by_themselves_as_soon_as_the_test_can_say() -> None:
    """Ten pairs that all fail one way: once in 1,024 by chance. Six: once in 64, which is not enough."""
    few, enough = (Trials(count, count, counts={"errors": [(0, 9000)] * count}) for count in (6, 10))
    early = decide(SAME[:6], "lower", 5, PLAN, trials=few)
    assert early.verdict == "inconclusive"
    assert "errors: 0 without the neighbours, 54,000 with them" in early.reason
    found = decide(SAME[:10], "lower", 5, PLAN, trials=enough)
    assert (found.verdict, found.by_failures) == ("interference", True)
    assert found.reason[0] == "errors: 0 without the neighbours, 90,000 with them"


def test_trials_that_fail_beside_the_neighbours_are_interference_by_themselves() -> None:
    found = decide(SAME, "lower", 5, PLAN, trials=Trials(24, 40, 0, 16, unknown=16))
    assert (found.verdict, found.by_failures) == ("interference", True)
    assert found.reason[0] == "trials that failed: 0 without the neighbours, 16 with them"


@pytest.mark.parametrize(
    "trials", [Trials(24, 25, 0, 1, unknown=1), Trials(24, 24, counts={"errors": [(0, 0)] * 23 + [(0, 1)]})]
)
def test_a_single_failure_in_one_arm_alone_is_not_harmless(trials: Trials) -> None:
    assert decide(SAME, "lower", 5, PLAN).verdict == "no-interference"
    assert decide(SAME, "lower", 5, PLAN, trials=trials).verdict == "inconclusive"


def test_what_fails_in_both_arms_alike_stands_in_the_way_of_nothing() -> None:
    trials = Trials(26, 26, 2, 2, counts={"errors": [(3, 2), (2, 3)] * 12})
    assert decide(SAME, "lower", 5, PLAN, trials=trials).verdict == "no-interference"


def test_of_two_kinds_of_failure_each_is_corrected_for_the_other() -> None:
    alone = surpluses(Trials(10, 10, 0, 5))
    both = surpluses(Trials(10, 10, 0, 5, counts={"errors": [(1, 0)] * 10}))
    assert both[0].p_value == pytest.approx(2 * alone[0].p_value)
    assert surpluses(Trials(10, 10, counts={"errors": [(0, 0)] * 10})) == []
