"""Whether the order of a pair mattered, and whether an effect outlasts its trial."""

import numpy as np
import pytest
from scipy import stats

from agent.statistics.checks import check_design
from agent.statistics.decision import decide
from agent.statistics.design import Order, block_orders, plan_looks
from agent.statistics.effect import TrialPair

ORDERS = block_orders(3, 24)
FIRST = np.array([order is Order.WITHOUT_FIRST for order in ORDERS])
NOISE = np.random.default_rng(4).normal(0, 0.01, 24)


def test_the_order_is_tested_by_students_test_on_two_samples() -> None:
    late = NOISE + np.where(FIRST, 0.05, -0.05)  # the second trial takes 5 % longer
    expected = stats.ttest_ind(late[FIRST], late[~FIRST]).pvalue
    found = check_design(late, ORDERS)
    assert float(found.order) == pytest.approx(expected, rel=1e-6)
    assert float(found.order) < 1e-6
    assert float(check_design(NOISE, ORDERS).order) > 0.01


def test_what_lasts_into_the_next_trial_is_found_and_forbids_to_call_it_harmless() -> None:
    """8 % beside the neighbours, of which half is left in a trial that follows without them."""
    follows = np.concatenate([[False], FIRST[:-1]])  # the pair before ended beside them
    clean = FIRST & ~follows
    log_ratios = NOISE + np.where(clean, np.log(1.04), np.log(1.04 / 1.02))
    expected = stats.ttest_ind(log_ratios[clean], log_ratios[~clean], alternative="greater").pvalue
    found = check_design(log_ratios, ORDERS)
    assert float(found.carry_over) == pytest.approx(expected, rel=1e-6)
    assert bool(found.lasts)
    pairs = [TrialPair(1.0, float(np.exp(ratio)), 0.0) for ratio in log_ratios]
    plan = plan_looks(6, 24)
    assert decide(pairs, "lower", 5, plan).verdict == "no-interference"
    decision = decide(pairs, "lower", 5, plan, orders=ORDERS)
    assert decision.verdict == "inconclusive"
    assert any("followed one beside the neighbours" in warning for warning in decision.warnings)


def test_too_few_pairs_of_a_kind_say_nothing() -> None:
    found = check_design(NOISE[:4], [Order.WITHOUT_FIRST] * 4)
    assert (float(found.order), bool(found.lasts)) == (1.0, False)
