"""The whole procedure against known truth: small simulations, with bounds that chance passes once in 10 000.

The full table is `python -m benchmarks.method_error`; here are the claims that must never break.
"""

import math

import numpy as np
import pytest
from scipy import stats

from agent.statistics.effect import to_log
from benchmarks import method_error
from benchmarks.method_error import (
    HARMLESS,
    INTERFERENCE,
    NOISES,
    Row,
    bursts,
    experiments,
    in_table,
    normal,
    run,
)

RUNS = 300
CHANCE = 1e-4


@pytest.fixture(autouse=True)
def same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_error, "RNG", np.random.default_rng(11))


def most_hits(rate: float) -> float:
    return float(stats.binom.isf(CHANCE, RUNS, rate))


def fewest_hits(rate: float) -> float:
    return float(stats.binom.ppf(CHANCE, RUNS, rate))


@pytest.mark.parametrize("noise", NOISES)
def test_just_below_the_threshold_interference_is_rare_and_both_intervals_hold_the_truth(noise: str) -> None:
    truth = to_log(4.9)
    ended = run(experiments(RUNS, NOISES[noise], truth))
    assert (ended.verdict == INTERFERENCE).sum() <= most_hits(0.025)
    assert ended.covered(truth).sum() >= fewest_hits(0.95)
    assert ended.mean_covered(truth).sum() >= fewest_hits(0.95)


def test_figures_in_coarse_steps_make_no_interference() -> None:
    ended = run(experiments(RUNS, normal(0.01), to_log(4.9), step=0.05))
    assert (ended.verdict == INTERFERENCE).sum() <= most_hits(0.025)


@pytest.mark.parametrize(
    ("part", "times", "rate"), [(0.2, 1.5, 0.025), (0.5, 1.1, 0.025), (0.1, 3.0, 0.15), (0.05, 3.0, 0.35)]
)
def test_bursts_are_rarely_called_harmless(part: float, times: float, rate: float) -> None:
    ended = run(experiments(RUNS, normal(0.03), bursts(part, times)))
    assert (ended.verdict == HARMLESS).sum() <= most_hits(rate)


def test_what_does_nothing_is_cleared_and_what_does_much_is_found_at_the_first_look() -> None:
    quiet, slow = run(experiments(RUNS, normal(0.03))), run(experiments(RUNS, normal(0.03), to_log(50)))
    assert (quiet.verdict == HARMLESS).sum() >= fewest_hits(0.99)
    assert ((slow.verdict == INTERFERENCE) & (slow.pairs == 6)).sum() >= fewest_hits(0.99)


def test_what_lasts_is_found_and_not_called_harmless() -> None:
    ended = run(experiments(RUNS, normal(0.01), to_log(6), lasting=0.8))
    assert ended.lasts.sum() >= fewest_hits(0.8)
    assert (ended.verdict == HARMLESS).sum() <= most_hits(0.025)


def test_the_drift_is_thirty_per_cent_a_minute() -> None:
    """31 trials of 2 s."""
    minutes = NOISES["drift 30 %/min"](np.tile(np.arange(31.0), (2000, 1)))
    changes = minutes[:, 30] - minutes[:, 0]
    assert np.std(changes) == pytest.approx(math.hypot(0.30, 0.03 * math.sqrt(2)), rel=0.1)


def test_a_row_is_missed_by_its_rate_and_says_so() -> None:
    assert not Row("false", 25, 1000, 2.5, at_least=False).is_missed
    assert Row("false", 26, 1000, 2.5, at_least=False).is_missed
    assert Row("covered", 939, 1000, 94, at_least=True).is_missed
    assert "**missed**" in in_table(Row("covered", 939, 1000, 94, at_least=True))
