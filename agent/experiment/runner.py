"""The order of an experiment: warm-up, randomised blocks, looks at the data, the end; and rounds that may follow it.

A trial is run until it counts: void ones and those in which the victim failed are repeated, counted and told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.analysis.observation import Blocks, TrialResult
from agent.documents.metric import Better
from agent.documents.verdict_parts import Arm
from agent.experiment.design import ALONE, BESIDE_ALL, Design, Treatment, orders
from agent.experiment.plan import Plan
from agent.experiment.trial import VictimFailedError, VictimTimeoutError
from agent.experiment.victim_metrics import MetricError
from agent.sandbox.freezer import DidNotFreezeError
from agent.sandbox.interrupts import Interrupted
from agent.statistics.decision import Decision, decide
from agent.statistics.design import LookPlan, Order, block_orders, plan_looks
from agent.statistics.effect import Slowdown, TrialPair, slowdown
from probes.errors import JostleError

# So many void trials in a row, in one place of the design, are not an accident.
MOST_VOID_IN_A_ROW = 3

RunTrial = Callable[[int, int, Treatment], TrialResult]


class Observer:
    """Is told how an experiment comes along. This one does nothing with it: to be derived from."""

    def phase_started(self, what: str, trials: int) -> None:
        """What comes now, and of how many trials it is to be."""

    def trial_started(self, index: int, block: int, treatment: Treatment) -> None:
        """A trial begins; index 0 is the warm-up."""

    def trial_ended(self, result: TrialResult) -> None:
        """A trial ended, void or not."""

    def trial_failed(self, index: int, why: str) -> None:
        """The victim failed in a trial, which will be repeated."""

    def narrowed(self, slowdown: Slowdown) -> None:
        """A pair is complete: the slowdown so far, to be shown, not to be acted on."""

    def looked(self, decision: Decision, planned_pairs: int) -> None:
        """The data were looked at; `planned_pairs` are to be run by the next look (or were, when decided)."""


@dataclass(slots=True)
class Log:
    """The trials of one phase so far, void ones too, and why the victim failed where it did."""

    first_index: int = 1
    trials: list[TrialResult] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def next_index(self) -> int:
        """The number of the next trial."""
        return self.first_index + len(self.trials) + len(self.failed)


def run_until_valid(
    block: int, treatment: Treatment, run_trial: RunTrial, observer: Observer, log: Log
) -> TrialResult:
    """A trial that counts. A victim that takes too long is not tried again.

    Raises:
        JostleError: Three in a row did not count, or something else is wrong.
    """
    why = ""
    for _ in range(MOST_VOID_IN_A_ROW):
        observer.trial_started(log.next_index, block, treatment)
        try:
            result = run_trial(log.next_index, block, treatment)
        except VictimTimeoutError:
            raise
        except (VictimFailedError, MetricError, DidNotFreezeError) as error:
            why = str(error)
            observer.trial_failed(log.next_index, why)
            log.failed.append(why)
            continue
        log.trials.append(result)
        observer.trial_ended(result)
        if result.void is None:
            return result
        why = result.void
    raise JostleError(f"{MOST_VOID_IN_A_ROW} trials {treatment} failed, one after the other: {why}")


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
    log = Log()
    looks = plan_looks(plan.pairs, plan.max_pairs)
    decision = None
    partial = False
    try:
        observer.phase_started("warm-up", 2 * plan.pairs + 1)
        _warm_up(run_trial, observer)
        for block, order in enumerate(block_orders(plan.seed, plan.max_pairs)):
            for treatment in treatments_of(order):
                run_until_valid(block, treatment, run_trial, observer, log)
            observer.narrowed(slowdown(complete_pairs(log.trials), better(log.trials), looks.alpha))
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


def treatments_of(order: Order) -> tuple[Treatment, Treatment]:
    """The two trials of a block in the order they run."""
    return (BESIDE_ALL, ALONE) if order is Order.WITH_FIRST else (ALONE, BESIDE_ALL)


def valid_blocks(trials: Sequence[TrialResult]) -> Blocks:
    """(without, with) of every block in which both arms gave a valid trial, in the order they ran."""
    by_block: dict[int, dict[Arm, TrialResult]] = {}
    for trial in trials:
        if trial.void is None:
            by_block.setdefault(trial.block, {})[trial.arm] = trial
    return [(arms[Arm.WITHOUT], arms[Arm.WITH]) for arms in by_block.values() if len(arms) == len(Arm)]


def complete_pairs(trials: Sequence[TrialResult]) -> list[TrialPair]:
    """The primary metric of every complete block."""
    return [TrialPair(_figure(without), _figure(with_)) for without, with_ in valid_blocks(trials)]


def better(trials: Sequence[TrialResult]) -> Better:
    """Which direction of the primary metric is better."""
    return next(trial.seen.sample.metric.better for trial in trials if trial.seen.samples)


def _look(plan: Plan, looks: LookPlan, trials: Sequence[TrialResult]) -> Decision:
    return decide(complete_pairs(trials), better(trials), plan.threshold_pct, looks)


def _warm_up(run_trial: RunTrial, observer: Observer) -> None:
    """One run without neighbours that does not count: caches fill, and a victim that cannot work shows at once."""
    observer.trial_started(0, 0, ALONE)
    observer.trial_ended(run_trial(0, 0, ALONE))


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
        return next(iter(self.whole[0].values())).seen.sample.metric.better

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


def _figure(trial: TrialResult) -> float:
    return trial.seen.sample.value
