"""How often the differential runner's method is wrong: simulated runs of known truth, as Markdown tables.

    .venv/bin/python -m benchmarks.method_error [--runs N] [--pairs N] [--max-pairs N] [--seed N]

Each run is the whole procedure: orders drawn, trials simulated, a look at each planned number of pairs, an
end at the first verdict. docs/method.md shows the output of the default settings.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from agent.statistics.decision import Judgement, judge
from agent.statistics.design import ALPHA, LookPlan, Order, block_orders, plan_looks
from agent.statistics.effect import TrialPair, log_ratios, noise_floor, slowdown
from agent.statistics.intervals import Floats, interval, student_interval
from agent.statistics.shares import shares

THRESHOLD_PCT = 5.0
SLOWDOWNS_PCT = (0.0, 3.0, 5.0, 8.0, 15.0, 50.0, 100.0)
SUMMARY = ["interference", "no-interference", "inconclusive", "wrong", "covered", "pairs"]
DRIFT_PER_TRIAL = 0.30 / math.sqrt(30)  # a random walk of 30 % a minute, in trials of 2 s

Noise = Callable[[np.random.Generator, int], Floats]


def normal(spread: float) -> Noise:
    """Independent normal noise of this standard deviation on the log scale."""
    return lambda rng, trials: rng.normal(0, spread, trials)


def long_tails(rng: np.random.Generator, trials: int) -> Floats:
    """Student's t with 3 degrees of freedom, scaled by 3 %."""
    return 0.03 * rng.standard_t(3, trials)


def drift(rng: np.random.Generator, trials: int) -> Floats:
    """3 % noise on a random walk."""
    walk: Floats = np.cumsum(rng.normal(0, DRIFT_PER_TRIAL, trials)) + rng.normal(0, 0.03, trials)
    return walk


def outliers(rng: np.random.Generator, trials: int) -> Floats:
    """3 % noise; one trial in twenty takes twice as long."""
    doubled: Floats = rng.normal(0, 0.03, trials) + math.log(2) * (rng.random(trials) < 0.05)
    return doubled


def tired_second(rng: np.random.Generator, trials: int) -> Floats:
    """3 % noise; the second trial of every block takes 10 % longer, whichever arm it is."""
    late: Floats = rng.normal(0, 0.03, trials) + math.log(1.1) * (np.arange(trials) % 2)
    return late


def in_step(rng: np.random.Generator, trials: int) -> Floats:
    """3 % noise on a wave of ± 20 % whose period is exactly two blocks, the worst case for any rhythm."""
    phase = 2 * math.pi * (np.arange(trials) / 4 + rng.random())
    wave: Floats = 0.20 * np.sin(phase) + rng.normal(0, 0.03, trials)
    return wave


NOISES: Mapping[str, Noise] = {
    "normal 1 %": normal(0.01),
    "normal 3 %": normal(0.03),
    "normal 10 %": normal(0.10),
    "normal 20 %": normal(0.20),
    "long tails (t3)": long_tails,
    "drift 30 %/min": drift,
    "5 % of trials × 2": outliers,
    "second trial + 10 %": tired_second,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one simulated run ended."""

    verdict: Judgement
    pairs: int
    covered: bool


def simulate_pairs(
    rng: np.random.Generator, noise: Noise, slowdown_pct: float, count: int
) -> list[TrialPair]:
    """Pairs of trials, each pair in the order that the runner would use."""
    times = np.exp(noise(rng, 2 * count)).reshape(count, 2).tolist()
    orders = block_orders(int(rng.integers(2**32)), count)
    factor = 1 + slowdown_pct / 100
    return [
        TrialPair(first, factor * second)
        if order is Order.WITHOUT_FIRST
        else TrialPair(second, factor * first)
        for (first, second), order in zip(times, orders, strict=True)
    ]


def run(pairs: list[TrialPair], truth_pct: float, plan: LookPlan, alpha: float) -> Outcome:
    """What `decide` does at each look, without the p-value, which decides nothing and takes most time."""
    verdict: Judgement = "inconclusive"
    for look in plan.looks:
        seen = pairs[:look]
        bounds = slowdown(seen, "lower", alpha).ci_pct
        verdict = judge(bounds, noise_floor([pair.without for pair in seen]), THRESHOLD_PCT)
        if verdict != "inconclusive":
            break
    return Outcome(verdict, look, bounds is not None and bounds[0] <= truth_pct <= bounds[1])


def simulate(
    rng: np.random.Generator,
    noise: Noise,
    truth_pct: float,
    plan: LookPlan,
    runs: int,
    *,
    alpha: float | None = None,
) -> list[Outcome]:
    """Independent runs; `alpha` is the error of the interval at each look, the plan's own unless given."""
    error = plan.alpha if alpha is None else alpha
    return [
        run(simulate_pairs(rng, noise, truth_pct, plan.looks[-1]), truth_pct, plan, error)
        for _ in range(runs)
    ]


def is_wrong(verdict: Judgement, truth_pct: float) -> bool:
    """A slowdown of exactly the threshold is not above it, and not wholly inside it either."""
    if verdict == "interference":
        return truth_pct <= THRESHOLD_PCT
    return verdict == "no-interference" and truth_pct >= THRESHOLD_PCT


def verdict_rows(rng: np.random.Generator, plan: LookPlan, runs: int) -> Iterator[list[str]]:
    """One row per kind of noise and true slowdown."""
    for name, noise in NOISES.items():
        for truth_pct in SLOWDOWNS_PCT:
            yield [name, f"{truth_pct:g}", *summary(simulate(rng, noise, truth_pct, plan, runs), truth_pct)]


def naive_rows(rng: np.random.Generator, plan: LookPlan, runs: int) -> Iterator[list[str]]:
    """What sharing the error between the looks is worth, where it matters most: at the threshold."""
    noise = NOISES["normal 3 %"]
    for name, alpha in (("shared between the looks", plan.alpha), ("5 % at every look", ALPHA)):
        yield [name, *summary(simulate(rng, noise, THRESHOLD_PCT, plan, runs, alpha=alpha), THRESHOLD_PCT)]


def limit_rows(rng: np.random.Generator, plan: LookPlan, runs: int) -> Iterator[list[str]]:
    """Where the method fails: a disturbance in step with the trials, by the pairs at the first look."""
    for first in (4, 8, 12):
        stricter = plan_looks(first, max(first, plan.looks[-1]))
        for truth_pct in (0.0, THRESHOLD_PCT):
            outcomes = simulate(rng, in_step, truth_pct, stricter, runs)
            yield [str(first), f"{truth_pct:g}", *summary(outcomes, truth_pct)]


def summary(outcomes: list[Outcome], truth_pct: float) -> list[str]:
    """The columns of `SUMMARY`."""
    runs, verdicts = len(outcomes), [outcome.verdict for outcome in outcomes]
    return [
        percent(verdicts.count("interference"), runs),
        percent(verdicts.count("no-interference"), runs),
        percent(verdicts.count("inconclusive"), runs),
        percent(sum(is_wrong(verdict, truth_pct) for verdict in verdicts), runs),
        percent(sum(outcome.covered for outcome in outcomes), runs),
        f"{sum(outcome.pairs for outcome in outcomes) / runs:.1f}",
    ]


def interval_rows(rng: np.random.Generator, runs: int) -> Iterator[list[str]]:
    """Coverage and half the mean width of a single look's 95 % interval: this method's and two others."""
    for name in ("normal 3 %", "long tails (t3)", "5 % of trials × 2"):
        for count in (4, 8, 12, 20):
            samples = [log_ratios(simulate_pairs(rng, NOISES[name], 0, count), "lower") for _ in range(runs)]
            methods = (
                [interval(sample, ALPHA) or (math.nan, math.nan) for sample in samples],
                [student_interval(sample, ALPHA) for sample in samples],
                [percentile_bootstrap(rng, sample, np.ones(count)) for sample in samples],
            )
            yield [name, str(count), *(covered_and_width(bounds) for bounds in methods)]


def covered_and_width(bounds: list[tuple[float, float]]) -> str:
    """Such as `95.0, ± 4.2`, when the truth is 0."""
    covered = sum(low <= 0 <= high for low, high in bounds)
    return f"{percent(covered, len(bounds))}, ± {50 * np.mean([high - low for low, high in bounds]):.1f}"


def percentile_bootstrap(rng: np.random.Generator, part: Floats, whole: Floats) -> tuple[float, float]:
    """The 95 % interval of mean(part) / mean(whole) that most would try first, by resampling pairs."""
    draws = rng.integers(len(part), size=(1000, len(part)))
    low, high = np.quantile(part[draws].mean(axis=1) / whole[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def share_rows(rng: np.random.Generator, runs: int) -> Iterator[list[str]]:
    """Coverage of the interval of a cause that truly has 70 %, against the percentile bootstrap."""
    for count in (4, 6, 8, 20):
        ratio = bootstrap = 0
        for _ in range(runs):
            wait, io = rng.normal([[0.35], [0.10]], 0.03, (2, count))
            total = wait + io + rng.normal(0.05, 0.03, count)
            rows = shares({"wait": wait.tolist(), "io": io.tolist()}, total.tolist())
            bounds = next(row.ci95_pct for row in rows if row.cause == "wait")
            ratio += bounds is not None and bounds[0] <= 70 <= bounds[1]
            low, high = percentile_bootstrap(rng, wait, total)
            bootstrap += low <= 0.7 <= high
        yield [str(count), percent(ratio, runs), percent(bootstrap, runs)]


def percent(hits: int, runs: int) -> str:
    """A share as text in per cent, with one decimal."""
    return f"{100 * hits / runs:.1f}"


def print_table(head: list[str], rows: Iterator[list[str]]) -> None:
    """Print rows as a Markdown table."""
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Simulate every case and print the tables of error rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000, help="simulated runs per row")
    parser.add_argument("--pairs", type=int, default=4, help="pairs at the first look")
    parser.add_argument("--max-pairs", type=int, default=24, help="pairs at the last look")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    plan, rng = plan_looks(options.pairs, options.max_pairs), np.random.default_rng(options.seed)
    print(
        f"Looks at {', '.join(map(str, plan.looks))} pairs; {options.runs} runs per row; all in per cent.\n"
    )
    print_table(["noise", "slowdown", *SUMMARY], verdict_rows(rng, plan, options.runs))
    print(
        "\nAt a true slowdown of 5 %, the threshold, with 3 % noise, by the error allowed to an interval:\n"
    )
    print_table(["error", *SUMMARY], naive_rows(rng, plan, options.runs))
    print("\nA wave in step with the trials, by the pairs at the first look:\n")
    print_table(["first look", "slowdown", *SUMMARY], limit_rows(rng, plan, options.runs))
    print("\nA single look: coverage in per cent, and half the mean width in hundredths of log units:\n")
    print_table(
        ["noise", "pairs", "this one", "Student's", "percentile bootstrap"], interval_rows(rng, options.runs)
    )
    print("\nCoverage of the 95 % interval of a cause's share:\n")
    print_table(["pairs", "ratio interval", "percentile bootstrap"], share_rows(rng, options.runs))


if __name__ == "__main__":
    main()
