"""Randomised rounds: each runs every one of several treatments once, so that any two of them make a pair.

What `--confirm` and `--sweep` are made of. The order within a round is drawn from the experiment's seed; every
second round runs the order of the one before backwards, so that over two rounds no treatment is earlier than another.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from agent.analysis.trials import TrialResult
from agent.experiment.repeat import Log, Observer, RunTrial, run_until_valid
from agent.experiment.treatment import Treatment
from agent.sandbox.interrupts import Interrupted
from agent.statistics import Better, TrialPair
from probes.errors import JostleError

FEWEST_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Design:
    """What is to be run.

    Attributes:
        what: It in words, for the progress.
        treatments: What each round runs, in an order of its own.
        rounds: How many.
        seed: Of the orders.
    """

    what: str
    treatments: tuple[Treatment, ...]
    rounds: int
    seed: str


@dataclass(frozen=True, slots=True)
class Rounds:
    """What was run.

    Attributes:
        whole: The complete rounds, each treatment's trial that counts.
        log: All trials, void ones too.
        partial: There was a signal before the last round.
        broken: What ended it before the last round, if something did.
    """

    whole: tuple[dict[Treatment, TrialResult], ...]
    log: Log
    partial: bool = False
    broken: str | None = None

    def pairs(self, without: Treatment, with_: Treatment) -> list[TrialPair]:
        """The primary metric under two treatments, a pair from each round."""
        return [TrialPair(_figure(trials[without]), _figure(trials[with_])) for trials in self.whole]

    @property
    def better(self) -> Better:
        """Which direction of the primary metric is better; there must be a complete round."""
        return next(iter(self.whole[0].values())).samples[0].metric.better

    @property
    def discarded(self) -> list[str]:
        """Why trials did not count."""
        return [*(trial.void for trial in self.log.trials if trial.void), *self.log.failed]


def run_rounds(design: Design, first_index: int, run_trial: RunTrial, observer: Observer) -> Rounds:
    """Run them all, or until a signal or a failure: the verdict that was reached before is not lost to either."""
    observer.phase_started(design.what, design.rounds * len(design.treatments))
    log = Log(first_index)
    whole: list[dict[Treatment, TrialResult]] = []
    try:
        for number, order in enumerate(orders(design)):
            trials = {each: run_until_valid(number, each, run_trial, observer, log) for each in order}
            whole.append(trials)
    except Interrupted:
        return Rounds(tuple(whole), log, partial=True)
    except JostleError as error:
        return Rounds(tuple(whole), log, broken=str(error))
    return Rounds(tuple(whole), log)


def orders(design: Design) -> Iterator[list[Treatment]]:
    """The order of each round. Of the generator only `random()` is used, which never changes between versions."""
    uniform = random.Random(design.seed).random  # noqa: S311  a randomised design, not a secret
    order: list[Treatment] = []
    for number in range(design.rounds):
        order = order[::-1] if number % 2 else sorted(design.treatments, key=lambda _: uniform())
        yield order


def _figure(trial: TrialResult) -> float:
    return trial.samples[0].value
