"""The whole procedure against known truth: small simulations, with bounds that chance passes once in 10 000.

The full table is `python -m benchmarks.method_error`; here are the claims that must never break.
"""

import math

import numpy as np
import pytest
from scipy import stats

from agent.statistics.design import LookPlan, plan_looks
from benchmarks.method_error import NOISES, THRESHOLD_PCT, Outcome, is_wrong, share_rows, simulate

RUNS = 300
PLAN = plan_looks(4, 24)
CHANCE = 1e-4


def outcomes(
    noise: str, truth_pct: float, plan: LookPlan = PLAN, alpha: float | None = None
) -> list[Outcome]:
    return simulate(np.random.default_rng(11), NOISES[noise], truth_pct, plan, RUNS, alpha=alpha)


def most_hits(rate: float) -> float:
    return float(stats.binom.isf(CHANCE, RUNS, rate))


def fewest_hits(rate: float) -> float:
    return float(stats.binom.ppf(CHANCE, RUNS, rate))


def wrong(found: list[Outcome], truth_pct: float) -> int:
    return sum(is_wrong(outcome.verdict, truth_pct) for outcome in found)


@pytest.mark.parametrize("noise", NOISES)
def test_interference_without_neighbours_is_rarer_than_one_in_a_hundred(noise: str) -> None:
    verdicts = [outcome.verdict for outcome in outcomes(noise, 0)]
    assert verdicts.count("interference") <= most_hits(0.01)


@pytest.mark.parametrize("noise", NOISES)
def test_at_the_threshold_both_verdicts_together_stay_below_five_in_a_hundred(noise: str) -> None:
    assert wrong(outcomes(noise, THRESHOLD_PCT), THRESHOLD_PCT) <= most_hits(0.05)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("truth_pct", [0.0, 8.0])
def test_the_interval_at_the_end_covers_the_truth(noise: str, truth_pct: float) -> None:
    assert sum(outcome.covered for outcome in outcomes(noise, truth_pct)) >= fewest_hits(0.95)


def test_looking_five_times_at_the_full_error_would_break_the_promise() -> None:
    assert wrong(outcomes("normal 3 %", THRESHOLD_PCT, alpha=0.05), THRESHOLD_PCT) > most_hits(0.05)


def test_half_as_slow_again_in_three_per_cent_noise_takes_four_pairs() -> None:
    verdicts = [outcome.verdict for outcome in outcomes("normal 3 %", 50, LookPlan((4,)))]
    assert verdicts.count("interference") >= fewest_hits(0.999)


def test_a_slower_second_trial_is_not_mistaken_for_an_effect() -> None:
    verdicts = [outcome.verdict for outcome in outcomes("second trial + 10 %", 0)]
    assert verdicts.count("interference") == 0


def test_shares_cover_where_the_bootstrap_does_not() -> None:
    _, ratio_pct, bootstrap_pct = next(share_rows(np.random.default_rng(11), RUNS))
    assert float(ratio_pct) >= 100 * fewest_hits(0.95) / RUNS
    assert float(bootstrap_pct) < 100 * fewest_hits(0.95) / RUNS


def test_the_drift_is_thirty_per_cent_a_minute() -> None:
    rng = np.random.default_rng(11)
    minutes = [NOISES["drift 30 %/min"](rng, 31) for _ in range(2000)]
    changes = [minute[30] - minute[0] for minute in minutes]
    assert np.std(changes) == pytest.approx(math.hypot(0.30, 0.03 * math.sqrt(2)), rel=0.1)
