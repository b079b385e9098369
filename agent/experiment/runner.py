"""The order of an experiment: warm-up, randomised blocks, void trials repeated, looks at the data, the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent.experiment.plan import Plan
from agent.experiment.trial import TrialResult, VictimFailedError, VictimTimeoutError
from agent.interrupts import Interrupted
from agent.metrics import MetricError
from agent.statistics import Better, Decision, Order, Pair, block_orders, decide, plan_looks
from agent.statistics import Plan as Looks
from agent.verdict import Arm
from probes.errors import JostleError

# So many void trials in a row, in one place of the design, are no accident.
MOST_VOID_IN_A_ROW = 3

RunTrial = Callable[[int, int, Arm], TrialResult]


class Observer(Protocol):
    """Is told how an experiment comes along."""

    def trial_started(self, index: int, block: int, arm: Arm) -> None:
        """A trial begins; index 0 is the warm-up."""

    def trial_ended(self, result: TrialResult) -> None:
        """A trial ended, void or not."""

    def trial_failed(self, index: int, why: str) -> None:
        """The victim failed in a trial, which will be repeated."""

    def looked(self, decision: Decision, planned_pairs: int) -> None:
        """The data were looked at; `planned_pairs` are to be run by the next look (or were, when decided)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All trials, void ones too, and what the last look said.

    Attributes:
        trials: In the order they ran.
        failed: What was wrong where the victim failed; such a trial was repeated.
        decision: None when no pair was complete.
        partial: The experiment was interrupted.
    """

    trials: tuple[TrialResult, ...]
    failed: tuple[str, ...]
    decision: Decision | None
    partial: bool


def run_experiment(plan: Plan, run_trial: RunTrial, observer: Observer) -> Outcome:
    """Run it to a verdict, to the most pairs, or until interrupted.

    Raises:
        JostleError: The victim fails, the metric is not found, or a neighbour does not stay.
    """
    log = _Log()
    looks = plan_looks(plan.pairs, plan.max_pairs)
    decision = None
    partial = False
    try:
        _warm_up(run_trial, observer)
        for block, order in enumerate(block_orders(plan.seed, plan.max_pairs)):
            for arm in arms_of(order):
                _run_until_valid(block, arm, run_trial, observer, log)
            if block + 1 not in looks.looks:
                continue
            decision = _look(plan, looks, log.trials)
            decided = decision.verdict != "inconclusive"
            observer.looked(decision, block + 1 if decided else looks.next_look(block + 1) or block + 1)
            if decided:
                break
    except Interrupted:
        partial = True
        decision = _look(plan, looks, log.trials) if valid_blocks(log.trials) else None
    return Outcome(tuple(log.trials), tuple(log.failed), decision, partial)


def arms_of(order: Order) -> tuple[Arm, Arm]:
    """The two arms of a block in the order they run."""
    return (Arm.WITH, Arm.WITHOUT) if order is Order.WITH_FIRST else (Arm.WITHOUT, Arm.WITH)


def valid_blocks(trials: Sequence[TrialResult]) -> list[tuple[TrialResult, TrialResult]]:
    """(without, with) of every block in which both arms gave a valid trial, in the order they ran."""
    by_block: dict[int, dict[Arm, TrialResult]] = {}
    for trial in trials:
        if trial.void is None:
            by_block.setdefault(trial.block, {})[trial.arm] = trial
    return [(arms[Arm.WITHOUT], arms[Arm.WITH]) for arms in by_block.values() if len(arms) == len(Arm)]


def complete_pairs(trials: Sequence[TrialResult]) -> list[Pair]:
    """The primary metric of every complete block."""
    return [Pair(without.samples[0].value, with_.samples[0].value) for without, with_ in valid_blocks(trials)]


def better(trials: Sequence[TrialResult]) -> Better:
    """Which direction of the primary metric is better."""
    return next(trial.samples[0].metric.better for trial in trials if trial.samples)


@dataclass(slots=True)
class _Log:
    """What has been run so far."""

    trials: list[TrialResult] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def next_index(self) -> int:
        return len(self.trials) + len(self.failed) + 1


def _look(plan: Plan, looks: Looks, trials: Sequence[TrialResult]) -> Decision:
    return decide(complete_pairs(trials), better(trials), plan.threshold_pct, looks)


def _warm_up(run_trial: RunTrial, observer: Observer) -> None:
    """One run without neighbours that does not count: caches fill, and a victim that cannot work shows at once."""
    observer.trial_started(0, 0, Arm.WITHOUT)
    observer.trial_ended(run_trial(0, 0, Arm.WITHOUT))


def _run_until_valid(block: int, arm: Arm, run_trial: RunTrial, observer: Observer, log: _Log) -> None:
    """Repeat a trial while it is void or the victim fails; a victim that takes too long is not tried again."""
    why = ""
    for _ in range(MOST_VOID_IN_A_ROW):
        observer.trial_started(log.next_index, block, arm)
        try:
            result = run_trial(log.next_index, block, arm)
        except VictimTimeoutError:
            raise
        except (VictimFailedError, MetricError) as error:
            why = str(error)
            observer.trial_failed(log.next_index, why)
            log.failed.append(why)
            continue
        log.trials.append(result)
        observer.trial_ended(result)
        if result.void is None:
            return
        why = result.void
    raise JostleError(f"{MOST_VOID_IN_A_ROW} trials {arm} the neighbours failed, one after the other: {why}")
