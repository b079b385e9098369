"""How often the differential runner's method is wrong: simulated runs of known truth, with a goal for each figure.

    .venv/bin/python -m benchmarks.method_error [--quick] [--runs N] [--only WORDS]

Each run is the whole procedure by the project's own functions: orders and pauses drawn, trials simulated, a look at
each planned number of pairs, an end at the first verdict. A row is a rate with its interval (Clopper and Pearson), its
goal, and what it was before there were goals; one that is missed makes the exit code 1. docs/method.md
shows the output.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent.analysis.verdict import attribute
from agent.documents.verdict import Aggressor, CauseKind, Conclusion, first_together
from agent.experiment.design import BESIDE_ALL, orders, pauses, stopped
from agent.experiment.follow_ups import confirmation
from agent.statistics.checks import check_design
from agent.statistics.covariates import adjusted_times, is_better
from agent.statistics.decision import claims, decide, judge
from agent.statistics.design import (
    ALPHA,
    MEAN_ALPHA,
    TYPICAL_ALPHA,
    Order,
    block_orders,
    block_pauses,
    plan_looks,
)
from agent.statistics.effect import (
    Ratios,
    TrialPair,
    half_width_pct,
    mean_interval,
    secondary_effects,
    to_log,
    to_pct,
    typical_interval,
)
from agent.statistics.failures import Trials
from agent.statistics.intervals import Bounds, Floats, hodges_lehmann, proportion
from agent.statistics.shares import jackknife, shares
from agent.statistics.unpaired import unpaired_slowdown

THRESHOLD_PCT = 5.0
PAIRS, MAX_PAIRS = 6, 24
PLAN = plan_looks(PAIRS, MAX_PAIRS)
RNG = np.random.default_rng(1)
DRIFT_PER_TRIAL = 0.30 / math.sqrt(30)  # a random walk of 30 % a minute, in trials of 2 s
BOOLS = npt.NDArray[np.bool_]
INTERFERENCE, HARMLESS, UNDECIDED = 1, 2, 0

Noise = Callable[[Floats], Floats]
"""From the moments at which trials begin, shape (runs, trials) in lengths of a trial, to their log times."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: how often something happened in so many runs, and how often it may.

    `before` is what was measured of the method before these goals, in per cent, where it was.
    """

    name: str
    hits: int
    runs: int
    goal_pct: float
    at_least: bool
    before: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether the rate itself is on the wrong side of its goal."""
        pct = 100 * self.hits / self.runs
        return pct < self.goal_pct if self.at_least else pct > self.goal_pct


def most(name: str, hit: BOOLS, goal_pct: float, before: str = "") -> Row:
    """A rate that should not be exceeded."""
    return Row(name, int(hit.sum()), hit.size, goal_pct, at_least=False, before=before)


def least(name: str, hit: BOOLS, goal_pct: float, before: str = "") -> Row:
    """A rate that should be reached."""
    return Row(name, int(hit.sum()), hit.size, goal_pct, at_least=True, before=before)


@dataclass(frozen=True, slots=True)
class Runs:
    """Simulated experiments: the pairs of each, shape (runs, pairs), and which trial was first."""

    of: Ratios
    without_first: BOOLS
    kept: Floats | None = None
    """What bystanders left of each trial's time, as it is measured, shape (2, runs, pairs)."""


@dataclass(slots=True)
class Ended:
    """How each ended: its verdict, at how many pairs, and the intervals printed (logs)."""

    verdict: npt.NDArray[np.int_]
    pairs: npt.NDArray[np.int_]
    typical: Bounds
    mean: Bounds
    lasts: BOOLS = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def covered(self, truth: float) -> BOOLS:
        """Whether the interval of the typical slowdown holds this log."""
        return (self.typical[0] <= truth) & (truth <= self.typical[1])

    def mean_covered(self, truth: float) -> BOOLS:
        """The same of the mean."""
        return (self.mean[0] <= truth) & (truth <= self.mean[1])


def experiments(
    runs: int,
    noise: Noise,
    slowed: Callable[[tuple[int, int]], Floats] | float = 0.0,
    *,
    lasting: float = 0.0,
    pairs: int = MAX_PAIRS,
    step: float = 0.0,
    level: Floats | float = 1.0,
) -> Runs:
    """Run so many experiments, in the orders and with the pauses that the runner would have.

    Args:
        runs: How many.
        noise: Log times of trials without neighbours.
        slowed: The log slowdown beside them, for all trials or drawn for each.
        lasting: What part of it the next trial without them still has.
        pairs: In each.
        step: What times are rounded to.
        level: The time of an undisturbed trial; of each run, shape (runs, 1).
    """
    seeds = RNG.integers(2**32, size=runs)
    first = np.array([[o is Order.WITHOUT_FIRST for o in block_orders(int(s), pairs)] for s in seeds])
    pauses = np.array([block_pauses(int(s), pairs) for s in seeds])
    starts = np.repeat(np.cumsum(2 * pauses, axis=1), 2, axis=1) + np.arange(2.0 * pairs)
    logs = noise(starts)
    beside = np.stack([~first, first], axis=-1).reshape(runs, 2 * pairs)
    effect = slowed if callable(slowed) else (lambda shape: np.full(shape, slowed))
    drawn = effect((runs, 2 * pairs))
    after = np.concatenate([np.zeros((runs, 1), dtype=bool), beside[:, :-1]], axis=1)
    # A trial without neighbours after one beside them still has a part of what that one had.
    last = np.concatenate([np.zeros((runs, 1)), drawn[:, :-1]], axis=1)
    logs = logs + np.where(beside, drawn, np.where(after, np.log1p(lasting * np.expm1(last)), 0.0))
    times = np.exp(logs) * level
    if step:
        times = np.maximum(np.round(times / step), 1) * step
    by_pair = times.reshape(runs, pairs, 2)
    without = np.where(first, by_pair[..., 0], by_pair[..., 1])
    with_ = np.where(first, by_pair[..., 1], by_pair[..., 0])
    slack = -np.log1p(-step / 2 / without) - np.log1p(-step / 2 / with_)
    return Runs(Ratios(np.log(with_ / without), without, with_, slack), first)


def cut(of: Ratios, rows: BOOLS, pairs: int) -> Ratios:
    """The first pairs of some of the runs."""
    return Ratios(*(each[rows, :pairs] for each in (of.typical, of.without, of.with_, of.slack)))


def known(bounds: Bounds | None) -> Bounds:
    """Of two pairs and more there always is an interval."""
    if bounds is None:
        raise ValueError("a single pair has no interval")
    return bounds


def either(chosen: BOOLS, one: Bounds, other: Bounds) -> Bounds:
    """The one interval where it is chosen, else the other."""
    return np.where(chosen, one[0], other[0]), np.where(chosen, one[1], other[1])


def run(simulated: Runs) -> Ended:
    """What `decide` does at each look of the plan, for all runs at once."""
    count = len(simulated.of.typical)
    looks = [look for look in PLAN.looks if look <= simulated.of.typical.shape[1]]
    ended = Ended(
        np.zeros(count, dtype=int),
        np.zeros(count, dtype=int),
        (np.zeros(count), np.zeros(count)),
        (np.zeros(count), np.zeros(count)),
        np.zeros(count, dtype=bool),
    )
    going = np.ones(count, dtype=bool)
    for look in looks:
        of = cut(simulated.of, going, look)
        clearing = of if simulated.kept is None else left_out(of, simulated.kept[:, going, :look])
        found = claims(of, THRESHOLD_PCT, PLAN, clearing)
        lasts = check_design(clearing.typical, simulated.without_first[going, :look]).lasts
        slowed = found.typical | found.mean
        harmless = found.harmless & ~slowed & ~lasts
        narrow = found.within & ~slowed
        part, alpha = PLAN.part(look), PLAN.equivalence_alpha(look)
        typical = known(typical_interval(of, TYPICAL_ALPHA * part))
        mean = known(mean_interval(of, MEAN_ALPHA * part))
        if alpha is not None:
            typical = either(narrow, known(typical_interval(clearing, alpha)), typical)
            mean = either(narrow, known(mean_interval(clearing, alpha)), mean)
        for end in (0, 1):
            ended.typical[end][going] = typical[end]
            ended.mean[end][going] = mean[end]
        ended.verdict[going] = np.where(slowed, INTERFERENCE, np.where(harmless, HARMLESS, UNDECIDED))
        ended.pairs[going], ended.lasts[going] = look, lasts
        going = going & (ended.verdict == UNDECIDED)
        if not going.any():
            break
    return ended


def left_out(of: Ratios, kept: Floats) -> Ratios:
    """What `decide` clears by: without what bystanders took, in those runs in which that is better."""
    chosen = is_better(of, kept)[:, np.newaxis]
    times = adjusted_times(of, kept)
    without, with_ = (np.where(chosen, a, b) for a, b in zip(times, (of.without, of.with_), strict=True))
    return Ratios(np.log(with_ / without), without, with_, of.slack)


def normal(spread: float) -> Noise:
    """Independent normal noise of this standard deviation on the log scale."""
    return lambda starts: RNG.normal(0, spread, starts.shape)


def long_tails(starts: Floats) -> Floats:
    """Student's t with 3 degrees of freedom, scaled by 3 %."""
    return 0.03 * RNG.standard_t(3, starts.shape)


def drift(starts: Floats) -> Floats:
    """3 % noise on a random walk."""
    steps = RNG.normal(0, DRIFT_PER_TRIAL, starts.shape) * np.sqrt(np.diff(starts, axis=1, prepend=0))
    walk: Floats = np.cumsum(steps, axis=1) + RNG.normal(0, 0.03, starts.shape)
    return walk


def outliers(starts: Floats) -> Floats:
    """3 % noise; one trial in twenty takes twice as long."""
    doubled: Floats = RNG.normal(0, 0.03, starts.shape) + math.log(2) * (RNG.random(starts.shape) < 0.05)
    return doubled


def tired_second(starts: Floats) -> Floats:
    """3 % noise; the second trial of every pair takes 10 % longer, whichever arm it is."""
    late: Floats = RNG.normal(0, 0.03, starts.shape) + math.log(1.1) * (np.arange(starts.shape[1]) % 2)
    return late


def one_of_two(starts: Floats) -> Floats:
    """1 % noise; one trial of each pair, at random, takes half as long again."""
    runs, trials = starts.shape
    which = RNG.random((runs, trials // 2)) < 0.5
    hit = np.stack([which, ~which], axis=-1).reshape(runs, trials)
    return RNG.normal(0, 0.01, starts.shape) + np.where(hit, math.log(1.5), 0.0)


def wave(height: float, period: float, spread: float) -> Noise:
    """A wave of the host, in lengths of a trial, with a phase of its own in each run."""

    def noise(starts: Floats) -> Floats:
        phase = RNG.random((len(starts), 1))
        sine: Floats = height * np.sin(2 * math.pi * (starts / period + phase))
        return sine + RNG.normal(0, spread, starts.shape)

    return noise


def bursts(part: float, times: float) -> Callable[[tuple[int, int]], Floats]:
    """The log slowdown where this part of the trials beside neighbours takes so many times as long."""
    return lambda shape: np.where(RNG.random(shape) < part, math.log(times), 0.0)


NOISES: dict[str, Noise] = {
    "CV 1 %": normal(0.01),
    "CV 3 %": normal(0.03),
    "CV 5 %": normal(0.05),
    "CV 10 %": normal(0.10),
    "CV 20 %": normal(0.20),
    "long tails (t3)": long_tails,
    "drift 30 %/min": drift,
    "5 % of trials x 2": outliers,
    "second trial + 10 %": tired_second,
    "one trial of each pair x 1.5": one_of_two,
    "wave of 4 trials, 20 %, CV 1 %": wave(0.20, 4, 0.01),
    "wave of 4 trials, 30 %, CV 3 %": wave(0.30, 4, 0.03),
    "wave of 8 trials, 20 %, CV 1 %": wave(0.20, 8, 0.01),
}
BEFORE_FALSE = {"wave of 4 trials, 30 %, CV 3 %": "4.4 / 5.2"}
BEFORE_COVERED = {
    "one trial of each pair x 1.5": "87.4",
    "wave of 4 trials, 20 %, CV 1 %": "68.8",
    "wave of 4 trials, 30 %, CV 3 %": "93.5",
}
# What the method found before: looks at 4, 8, 12, 20, 24 pairs, 1,500 runs each.
BEFORE_FOUND = {
    "CV 3 %": {8: 70.3, 10: 99.1, 20: 100.0},
    "CV 5 %": {8: 25.5, 10: 68.3, 20: 100.0},
    "CV 10 %": {8: 3.1, 10: 9.0, 20: 87.3},
    "CV 20 %": {8: 0.6, 10: 0.9, 20: 8.5},
}


def null_rows(runs: int) -> Iterator[Row]:
    """No effect, and one just below the threshold: `interference` is wrong; the intervals hold the truth."""
    for name, noise in NOISES.items():
        for truth_pct in (0.0, 4.9):
            ended = run(experiments(runs, noise, to_log(truth_pct)))
            what = f"{name}, true +{truth_pct:g} %"
            yield most(
                f"false interference: {what}", ended.verdict == INTERFERENCE, 2.5, BEFORE_FALSE.get(name, "")
            )
            truth = to_log(truth_pct)
            yield least(f"covered: {what}", ended.covered(truth), 94, BEFORE_COVERED.get(name, ""))
            yield least(f"covered, mean: {what}", ended.mean_covered(truth), 94)


def coarse_rows(runs: int) -> Iterator[Row]:
    """Figures in steps."""
    truth = to_log(4.9)
    ms = run(experiments(runs, normal(0.01), truth, step=0.05))
    yield most("false interference: 1 ms steps, 20 ms, CV 1 %", ms.verdict == INTERFERENCE, 2.5, "99.7")
    yield least("covered: 1 ms steps, 20 ms, CV 1 %", ms.covered(truth), 94)
    for spread, before in ((0.01, "17.9"), (0.003, "37.6")):
        level = np.exp(RNG.uniform(0, math.log(9), (runs, 1))) / 10
        ended = run(experiments(runs, normal(spread), truth, step=0.01, level=level))
        what = f"two digits, CV {100 * spread:g} %"
        yield most(f"false interference: {what}", ended.verdict == INTERFERENCE, 2.5, before)
        yield least(f"covered: {what}", ended.covered(truth), 94)


def harm_rows(runs: int) -> Iterator[Row]:
    """Harmful neighbours: `no-interference` is wrong."""
    for name in ("CV 1 %", "CV 3 %", "CV 5 %", "CV 10 %", "long tails (t3)", "drift 30 %/min"):
        ended = run(experiments(runs, NOISES[name], to_log(5)))
        yield most(f"false no-interference: {name}, true +5 %", ended.verdict == HARMLESS, 2.5)
    carried = ((0.2, 1.5, "36.9"), (0.2, 1.25, ""), (0.3, 1.17, ""), (0.5, 1.1, ""), (0.2, 3.0, ""))
    for part, times, before in carried:
        for spread in (0.01, 0.03, 0.05):
            what = f"x {times:g} in {100 * part:g} % of trials, CV {100 * spread:g} %"
            row = (part, times, spread)
            yield from burst_rows(runs, what, row, 2.5, before if spread == 0.01 else "")
    for part, goal_pct, at_1_pct, at_3_pct in ((0.1, 15.0, "74.0", "49.9"), (0.05, 35.0, "", "")):
        for spread, was in ((0.01, at_1_pct), (0.03, at_3_pct)):
            what = f"x 3 in {100 * part:g} % of trials, CV {100 * spread:g} %"
            yield from burst_rows(runs, what, (part, 3.0, spread), goal_pct, was)


def burst_rows(
    runs: int, what: str, bursting: tuple[float, float, float], goal_pct: float, before: str
) -> Iterator[Row]:
    """One kind of burst (part of the trials, times as long, noise): whether cleared, whether both are covered."""
    part, times, spread = bursting
    slowed = bursts(part, times)
    ended = run(experiments(runs, normal(spread), slowed))
    yield most(f"false no-interference: {what}", ended.verdict == HARMLESS, goal_pct, before)
    # The pseudo-median of one pair's log ratio, by a large sample; the mean is known.
    sample = RNG.normal(0, spread * math.sqrt(2), (8, 1000)) + slowed((8, 1000))
    yield least(f"covered: {what}", ended.covered(float(hodges_lehmann(sample).mean())), 94)
    yield least(f"covered, mean: {what}", ended.mean_covered(math.log1p(part * (times - 1))), 94)


def carry_over_rows(runs: int) -> Iterator[Row]:
    """What lasts into the next trial."""
    half = run(experiments(runs, normal(0.01), to_log(8), lasting=0.5))
    yield least("carry-over found by its test: half of 8 %, CV 1 %", half.lasts, 80, "0")
    yield most("false no-interference: half of 8 % lasts, CV 1 %", half.verdict == HARMLESS, 2.5)
    most_lasts = run(experiments(runs, normal(0.01), to_log(6), lasting=0.8))
    yield most(
        "false no-interference: 80 % of 6 % lasts, CV 1 %", most_lasts.verdict == HARMLESS, 2.5, "94.4"
    )
    for spread in (0.01, 0.03, 0.05):
        decayed = run(experiments(runs, normal(spread), to_log(5.3), lasting=0.05))
        what = f"false no-interference: 5 % of 5.3 % lasts, CV {100 * spread:g} %"
        yield most(what, decayed.verdict == HARMLESS, 2.5)
    quiet = run(experiments(runs, normal(0.03)))
    yield most("carry-over found where there is none, CV 3 %", quiet.lasts, 2.5)


def power_rows(runs: int) -> Iterator[Row]:
    """What is found, and what is cleared."""
    for name, found in BEFORE_FOUND.items():
        for truth_pct, before_pct in found.items():
            ended = run(experiments(runs, NOISES[name], to_log(truth_pct)))
            # As much as the interval of what was measured then allows.
            goal_pct = proportion(round(15 * before_pct), 1500).ci95_pct[0]
            found_it = ended.verdict == INTERFERENCE
            yield least(f"found: +{truth_pct} %, {name}", found_it, goal_pct, f"{before_pct:g}")
    for name, goal_pct, before in (
        ("CV 1 %", 99.0, "100"),
        ("CV 3 %", 99.0, "99.7"),
        ("CV 5 %", 75.0, "49.7"),
        ("CV 10 %", 0.0, "0.1"),
    ):
        ended = run(experiments(runs, NOISES[name]))
        yield least(f"cleared: {name}", ended.verdict == HARMLESS, goal_pct, before)


def beside_bystanders(
    runs: int,
    slowed: Callable[[tuple[int, int]], Floats] | float = 0.0,
    *,
    caused: float = 0.0,
    known: bool = True,
    spread: float = 0.02,
) -> Runs:
    """Bystanders take 30 % of a trial's time, with a spread of 12 %, and are known to a twentieth of it.

    Args:
        runs: How many.
        slowed: The log slowdown by the neighbours.
        caused: What of the time the neighbours make them take more.
        known: Whether what is taken for their part has to do with it.
        spread: Of all other noise.
    """
    quiet = experiments(runs, normal(spread), slowed)
    shape = (2, *quiet.of.typical.shape)
    mean = 0.3 + np.array([0.0, caused]).reshape(2, 1, 1)
    took = np.clip(RNG.normal(mean, 0.12, shape), 0, 0.8)
    measured = took * RNG.normal(1, 0.05, shape) if known else np.clip(RNG.normal(0.3, 0.12, shape), 0, 0.8)
    without, with_ = (
        times / (1 - part) for times, part in zip((quiet.of.without, quiet.of.with_), took, strict=True)
    )
    of = Ratios(np.log(with_ / without), without, with_, quiet.of.slack)
    return Runs(of, quiet.without_first, 1 - np.clip(measured, 0, 0.9))


def bystander_rows(runs: int) -> Iterator[Row]:
    """What bystanders take is left out to clear the neighbours."""
    what = "bystanders take 30 % ± 12 %"
    yield least(f"cleared: {what}, CV 2 %", run(beside_bystanders(runs)).verdict == HARMLESS, 75, "0")
    for truth_pct in (0.0, 4.9):
        ended, truth = run(beside_bystanders(runs, to_log(truth_pct))), to_log(truth_pct)
        true = f"{what}, true +{truth_pct:g} %"
        yield most(f"false interference: {true}", ended.verdict == INTERFERENCE, 2.5)
        yield least(f"covered: {true}", ended.covered(truth), 94)
        yield least(f"covered, mean: {true}", ended.mean_covered(truth), 94)
    ended = run(beside_bystanders(runs, to_log(5)))
    yield most(f"false no-interference: {what}, true +5 %", ended.verdict == HARMLESS, 2.5)
    for part, times, goal_pct in ((0.2, 1.5, 2.5), (0.1, 3.0, 15.0)):
        ended = run(beside_bystanders(runs, bursts(part, times)))
        burst = f"x {times:g} in {100 * part:g} % of trials"
        yield most(f"false no-interference: {what}, {burst}", ended.verdict == HARMLESS, goal_pct)
    for truth_pct in (0.0, 5.0):
        noise = run(beside_bystanders(runs, to_log(truth_pct), known=False, spread=0.01))
        true = f"what is taken for bystanders is noise, true +{truth_pct:g} %"
        yield least(f"covered: {true}", noise.covered(to_log(truth_pct)), 94)
        if truth_pct:
            yield most(f"false no-interference: {true}", noise.verdict == HARMLESS, 2.5)
    # What the neighbours make bystanders take is left out where it is too small to be told from the noise.
    for caused in (0.035, 0.1):
        ended = run(beside_bystanders(runs, caused=caused))
        true = f"bystanders take {100 * caused:g} % more of the time for the neighbours"
        yield most(f"false no-interference: {true}", ended.verdict == HARMLESS, 2.5)


def screen_rows(runs: int) -> Iterator[Row]:
    """Figures that stand together: p beside a verdict, the noise floor, an interval at a moment chosen by hand."""
    few = max(200, runs // 10)
    slow = [decide(pairs_of(row), "lower", THRESHOLD_PCT, PLAN) for row in rows_of(few, to_log(100), PAIRS)]
    contradicted = [d.verdict == "interference" and d.effect.p_value > 0.05 for d in slow]
    yield most("p > 0.05 beside interference, +100 %, CV 3 %", np.array(contradicted), 0, "100")
    null = experiments(runs, normal(0.03))
    passed = np.zeros(runs, dtype=bool)
    for look in PLAN.looks:
        of = cut(null.of, np.ones(runs, dtype=bool), look)
        bounds = known(typical_interval(of, TYPICAL_ALPHA * PLAN.part(look)))
        centre = hodges_lehmann(of.typical)
        floors = [half_width_pct((to_pct(a), to_pct(b))) or 0 for a, b in zip(*bounds, strict=True)]
        passed |= centre > np.log1p(np.array(floors) / 100)
    yield most("noise floor passed by null pairs at any look", passed, 2.5, "3.4 to 8.8")
    missed = np.zeros(runs, dtype=bool)
    for count in range(2, MAX_PAIRS + 1):
        bounds = known(typical_interval(cut(null.of, np.ones(runs, dtype=bool), count), PLAN.by_hand_alpha))
        missed |= (bounds[0] > 0) | (bounds[1] < 0)
    yield most("Ctrl-C at the worst pair: the interval misses the truth", missed, 5, "7.0")


def rows_of(runs: int, slowed: float, pairs: int, spread: float = 0.03) -> Iterator[tuple[Floats, Floats]]:
    """The times of both arms, run by run."""
    of = experiments(runs, normal(spread), slowed, pairs=pairs).of
    yield from zip(of.without, of.with_, strict=True)


def pairs_of(times: tuple[Floats, Floats]) -> list[TrialPair]:
    """The same as pairs."""
    return [TrialPair(float(a), float(b), 0.0) for a, b in zip(*times, strict=True)]


def failure_rows(runs: int) -> Iterator[Row]:
    """Trials that fail and are repeated."""
    few = max(200, runs // 10)
    verdicts = [failing(0.0, 0.3, 0.0) for _ in range(few)]
    cleared = np.array([verdict == "no-interference" for verdict in verdicts])
    yield most("false no-interference: 30 % fail beside the neighbours", cleared, 2.5, "86.5")
    for truth_pct in (0.0, 4.9):
        both = [failing(0.1, 0.1, to_log(truth_pct)) for _ in range(few)]
        wrong = np.array([verdict == "interference" for verdict in both])
        yield most(f"false interference: 10 % fail in both arms, true +{truth_pct:g} %", wrong, 2.5)


def failing(without: float, with_: float, slowed: float) -> str:
    """The verdict of one run in which these parts of the attempts fail, at CV 1 %."""
    (times,) = rows_of(1, slowed, MAX_PAIRS, 0.01)
    pairs = pairs_of(times)
    attempts = RNG.geometric(1 - np.array([[without], [with_]]), (2, MAX_PAIRS)).cumsum(axis=1)
    for look in PLAN.looks:
        made = [int(each[look - 1]) for each in attempts]
        failed = [each - look for each in made]
        trials = Trials(made[0], made[1], failed[0], failed[1], unknown=max(0, failed[1] - failed[0]))
        decision = decide(pairs[:look], "lower", THRESHOLD_PCT, PLAN, trials=trials)
        if decision.verdict != "inconclusive":
            break
    return decision.verdict


def share_rows(runs: int) -> Iterator[Row]:
    """Where the time went, and whose doing it was."""
    few = max(200, runs // 10)
    before = {4: "14.8", 8: "0.2", 12: "0.0"}
    for count in (4, 6, 8, 12, 16, 24):
        held = [mixed_shares_hold(count) for _ in range(few)]
        what = f"covered, shares: a fifth of the pairs lose 4 times as much, to I/O, {count} pairs"
        yield least(what, np.array(held), 94, before.get(count, ""))
    held = [unexplained_holds(8) for _ in range(few)]
    yield least(
        "covered, shares: unexplained beside seven causes of noise, 8 pairs", np.array(held), 94, "64 to 83"
    )
    own = [own_doing(0.45, 0.15, PAIRS) for _ in range(few)]
    yield most("self-inflicted at an own share of 45 %, spread 15 %", np.array(own), 2.5, "18.4")
    alone = [named_alone(8) for _ in range(runs)]
    yield most("two equally guilty: one named alone", np.array(alone), 5, "100")
    ended = run(experiments(runs, normal(0.01)))
    blamed = (ended.verdict == INTERFERENCE) & (ended.typical[0] > 0)
    yield most("causes and a culprit where there is no effect", blamed, 0, "53")


def mixed_shares_hold(count: int) -> bool:
    """Whether all intervals hold the half that each cause has: 80 % of pairs lose 0.3 s, the others 1.2 s to I/O."""
    to_io = RNG.random(count) < 0.2
    lost = np.where(to_io, 1.2, 0.3) * np.exp(RNG.normal(0, 0.03, count))
    rows = shares(
        {"cpu-wait": np.where(to_io, 0, lost).tolist(), "io": np.where(to_io, lost, 0).tolist()},
        lost.tolist(),
    )
    return all(holds(row.ci95_pct, 50.0) for row in rows[:2])


def holds(bounds: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval was given, and the truth is in it."""
    return bounds is not None and bounds[0] <= truth <= bounds[1]


def unexplained_holds(count: int) -> bool:
    """Half a second is lost to nothing that is known, beside seven causes that are noise."""
    noise = RNG.normal(0, 0.05, (7, count))
    total = 0.5 + noise.sum(axis=0) + RNG.normal(0, 0.03, count)
    rows = shares({f"cause {k}": each.tolist() for k, each in enumerate(noise)}, total.tolist())
    return holds(rows[-1].ci95_pct, 100.0)


def own_doing(share: float, spread: float, count: int) -> bool:
    """Whether this share of its own, different from pair to pair, is called self-inflicted."""
    own, total = RNG.normal(share, spread, count), np.ones(count)
    found = shares({"self": own.tolist()}, total.tolist())
    return attribute("interference", found[0].seen_ci95_pct) is Conclusion.SELF_INFLICTED


def named_alone(count: int) -> bool:
    """Whether of two that cost the same one is named and the other not."""
    cost = RNG.normal(0.5, 0.1, (2, count))

    def first_pct(kept: Floats) -> float:
        return float(100 * kept[0].sum() / kept.sum())

    left_out = [first_pct(np.delete(cost, at, axis=1)) for at in range(count)]
    pct = first_pct(cost)
    both = [
        Aggressor("/a", "a", pct, CauseKind.CPU_WAIT, jackknife(pct, left_out, 1)),
        Aggressor(
            "/b", "b", 100 - pct, CauseKind.CPU_WAIT, jackknife(100 - pct, [100 - p for p in left_out], 1)
        ),
    ]
    return len(first_together(sorted(both, key=lambda entry: -entry.share_pct))) == 1


def compare_rows(runs: int) -> Iterator[Row]:
    """Two recordings of 60 windows."""
    few = max(300, runs // 10)
    for lag_1, before in ((0.0, ""), (0.5, "73"), (0.8, "48"), (0.95, "22")):
        bounds = [unpaired_slowdown(windows(60, lag_1), windows(60, lag_1)).ci_pct for _ in range(few)]
        held = np.array([holds(each, 0.0) for each in bounds if each is not None])
        yield least(f"covered, compare: lag-1 {lag_1:g}", held, 94, before)
    for lag_1 in (0.5, 0.95):
        shifts = np.exp(RNG.normal(0, math.log(1.1), few))
        found = [
            judge(
                unpaired_slowdown(windows(60, lag_1), (shift * np.array(windows(60, lag_1))).tolist()).ci_pct,
                5,
            )
            for shift in shifts
        ]
        wrong = np.array([verdict == "interference" for verdict in found])
        yield most(
            f"false interference, compare: 10 % apart for other reasons, lag-1 {lag_1:g}", wrong, 2.5, "33"
        )


def windows(count: int, lag_1: float) -> list[float]:
    """The stretch in successive windows: a first-order autoregression of logs with a spread of 10 %."""
    logs = RNG.normal(0, 0.1 * math.sqrt(1 - lag_1**2), count)
    logs[0] = RNG.normal(0, 0.1)
    for at in range(1, count):
        logs[at] += lag_1 * logs[at - 1]
    return [math.exp(value) for value in logs]


def confirm_rows(runs: int) -> Iterator[Row]:
    """Each of five innocents stopped alone, while the host goes up and down every four trials."""
    few = max(200, runs // 10)
    confirmed = []
    for _ in range(few):
        suspects = [f"/suspect-{k}" for k in range(5)]
        design = confirmation(suspects, PAIRS, int(RNG.integers(2**32)))
        rounds = list(orders(design))
        begin = np.cumsum(
            [pause + (number > 0) * len(rounds[0]) for number, pause in enumerate(pauses(design))]
        )
        starts = np.concatenate([at + np.arange(float(len(rounds[0]))) for at in begin])
        logs = wave(0.30, 4, 0.03)(starts[np.newaxis, :])[0]
        times = [
            dict(zip(each, np.exp(part).tolist(), strict=True))
            for each, part in zip(rounds, logs.reshape(len(rounds), -1), strict=True)
        ]
        pairs = {s: [TrialPair(t[stopped(s)], t[BESIDE_ALL], 0.0) for t in times] for s in suspects}
        effects = secondary_effects({s: (each, "lower") for s, each in pairs.items()}, THRESHOLD_PCT, ALPHA)
        confirmed.append(any(e.ci95_pct is not None and e.ci95_pct[0] > 0 for e in effects.values()))
    yield most("--confirm: one of five innocents, wave of 4 trials, 30 %", np.array(confirmed), 2.5, "15.3")


SECTIONS = (
    *(null_rows, coarse_rows, harm_rows, carry_over_rows, power_rows, bystander_rows),
    *(screen_rows, failure_rows, share_rows, compare_rows, confirm_rows),
)


def main() -> None:
    """Print every row; exit with 1 where one is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=40000, help="simulated runs per row (40000)")
    parser.add_argument("--quick", action="store_true", help="5000 runs per row, in under two minutes")
    parser.add_argument("--only", default="", help="only the rows whose name has these words")
    options = parser.parse_args()
    runs = 5000 if options.quick else options.runs
    print(f"Looks at {', '.join(map(str, PLAN.looks))} pairs; {runs} runs per row; in per cent.\n")
    print("| what | rate | 95 % interval | goal | before | |\n|---|---|---|---|---|---|")
    missed = 0
    for section in SECTIONS:
        for row in section(runs):
            if options.only in row.name:
                missed += row.is_missed
                print(in_table(row), flush=True)
    print(f"\n{missed or 'No'} row{'' if missed == 1 else 's'} missed.")
    sys.exit(1 if missed else 0)


def in_table(row: Row) -> str:
    """A row in Markdown."""
    found = proportion(row.hits, row.runs)
    low, high = found.ci95_pct
    goal = f"{'≥' if row.at_least else '≤'} {row.goal_pct:.3g}"
    state = "**missed**" if row.is_missed else ""
    return f"| {row.name} | {found.pct:.2f} | {low:.2f} to {high:.2f} | {goal} | {row.before} | {state} |"


if __name__ == "__main__":
    main()
