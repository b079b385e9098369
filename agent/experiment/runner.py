"""The order of an experiment: warm-up, randomised blocks, looks at the data, the end; and rounds that may follow it.

A trial is run until it counts: void ones and those in which the victim failed are repeated, counted and told.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.analysis.observation import Blocks, TrialResult
from agent.documents.metric import Better
from agent.documents.verdict_parts import Arm
from agent.experiment.around import TrialVoidedError
from agent.experiment.design import ALONE, BESIDE_ALL, Design, Treatment, orders, pauses
from agent.experiment.plan import Plan
from agent.experiment.trial import VictimFailedError, VictimTimeoutError
from agent.experiment.victim_metrics import MetricError, failure_counts
from agent.sandbox.freezer import DidNotFreezeError
from agent.sandbox.interrupts import Interrupted
from agent.statistics.decision import Decision, decide
from agent.statistics.design import LookPlan, Order, block_orders, block_pauses, plan_looks
from agent.statistics.effect import Slowdown, TrialPair, slowdown
from agent.statistics.failures import Trials
from probes.errors import JostleError

# So many void trials in a row, in one place of the design, are not an accident.
MOST_VOID_IN_A_ROW = 3

RunTrial = Callable[[int, int, Treatment], TrialResult]


class KeepsFailingError(JostleError):
    """So many trials in a row did not count that one more would not either."""


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
    """The trials of one phase so far, void ones too.

    Why others came to nothing is `failed`; in which arms `lost_arms`, and `failed_arms` where it was the victim.
    """

    first_index: int = 1
    trials: list[TrialResult] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    failed_arms: list[Arm] = field(default_factory=list)
    lost_arms: list[Arm] = field(default_factory=list)

    @property
    def next_index(self) -> int:
        """The number of the next trial."""
        return self.first_index + len(self.trials) + len(self.failed)


def run_until_valid(
    block: int, treatment: Treatment, run_trial: RunTrial, observer: Observer, log: Log
) -> TrialResult:
    """A trial that counts. A victim that takes too long is not tried again: that is counted, and costs too much.

    Raises:
        VictimTimeoutError: It took too long.
        JostleError: Three in a row did not count, or something else is wrong.
    """
    why = ""
    for _ in range(MOST_VOID_IN_A_ROW):
        observer.trial_started(log.next_index, block, treatment)
        try:
            result = run_trial(log.next_index, block, treatment)
        except (VictimFailedError, TrialVoidedError, MetricError, DidNotFreezeError) as error:
            why = str(error)
            observer.trial_failed(log.next_index, why)
            log.failed.append(why)
            log.lost_arms.append(treatment.arm)
            # What somebody else voided, or what did not freeze, is lost, but no failure of the victim's.
            if isinstance(error, VictimFailedError | MetricError):
                log.failed_arms.append(treatment.arm)
            if isinstance(error, VictimTimeoutError):
                raise
            continue
        log.trials.append(result)
        observer.trial_ended(result)
        if result.void is None:
            return result
        why = result.void
    raise KeepsFailingError(f"{MOST_VOID_IN_A_ROW} trials {treatment} failed, one after the other: {why}")


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


def run_experiment(
    plan: Plan, run_trial: RunTrial, observer: Observer, rest: Callable[[float], None] = lambda _: None
) -> Outcome:
    """Run it to a verdict, to the most pairs, or until interrupted; `rest` lets so many seconds pass.

    A victim that has worked beside the neighbours and then fails there three times in a row, or takes too long once,
    loses that pair, and the failures are counted against the neighbours. What takes too long without them is counted
    as well, up to three times.

    Raises:
        JostleError: The victim fails, the metric is not found, or a neighbour does not stay.
    """
    log = Log()
    looks = plan_looks(plan.pairs, plan.max_pairs)
    decision = None
    partial = False
    try:
        observer.phase_started("warm-up", 2 * plan.pairs + plan.warmup)
        pair_s = 0.0
        for number in range(plan.warmup):
            pair_s = max(pair_s, 2 * _warm_up(number, run_trial, observer))
        orders, pauses = block_orders(plan.seed, plan.max_pairs), block_pauses(plan.seed, plan.max_pairs)
        for block, (order, pause) in enumerate(zip(orders, pauses, strict=True)):
            rest(pause * pair_s)
            _run_block(block, order, run_trial, observer, log)
            pairs = complete_pairs(log.trials)
            observer.narrowed(slowdown(pairs, better(log.trials), looks.by_hand_alpha))
            if block + 1 not in looks.looks:
                continue
            decision = _look(plan, looks, log)
            decided = decision.verdict != "inconclusive"
            observer.looked(decision, block + 1 if decided else looks.next_look(block + 1) or block + 1)
            if decided:
                break
    except Interrupted:
        partial = True
        pairs = complete_pairs(log.trials)
        if pairs and (decision is None or decision.effect.pairs < len(pairs)):
            decision = _look(plan, looks, log, by_hand=True)
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
    return [_pair(without, with_) for without, with_ in valid_blocks(trials)]


def trials_of(log: Log) -> Trials:
    """How the attempts of both arms went, and what failed within the trials that count."""
    valid, void = (
        {arm: sum(t.arm is arm and (t.void is not None) is is_void for t in log.trials) for arm in Arm}
        for is_void in (False, True)
    )
    failed = {arm: log.failed_arms.count(arm) for arm in Arm}
    lost = {arm: log.lost_arms.count(arm) + void[arm] for arm in Arm}
    return Trials(
        valid[Arm.WITHOUT] + failed[Arm.WITHOUT],
        valid[Arm.WITH] + failed[Arm.WITH],
        failed[Arm.WITHOUT],
        failed[Arm.WITH],
        unknown=max(0, lost[Arm.WITH] - lost[Arm.WITHOUT]),
        counts=failure_counts((a.seen.samples, b.seen.samples) for a, b in valid_blocks(log.trials)),
    )


def better(trials: Sequence[TrialResult]) -> Better:
    """Which direction of the primary metric is better."""
    return next(trial.seen.sample.metric.better for trial in trials if trial.seen.samples)


def _look(plan: Plan, looks: LookPlan, log: Log, *, by_hand: bool = False) -> Decision:
    orders = block_orders(plan.seed, plan.max_pairs)
    return decide(
        complete_pairs(log.trials),
        better(log.trials),
        plan.threshold_pct,
        looks,
        orders=[orders[without.block] for without, _ in valid_blocks(log.trials)],
        trials=trials_of(log),
        by_hand=by_hand,
    )


def _run_block(block: int, order: Order, run_trial: RunTrial, observer: Observer, log: Log) -> None:
    for treatment in treatments_of(order):
        try:
            run_until_valid(block, treatment, run_trial, observer, log)
        except VictimTimeoutError:
            works_alone = treatment == BESIDE_ALL or log.failed_arms.count(Arm.WITHOUT) < MOST_VOID_IN_A_ROW
            if not (works_alone and valid_blocks(log.trials)):
                raise
        except KeepsFailingError:
            failed = log.failed_arms[-MOST_VOID_IN_A_ROW:]
            if (
                treatment != BESIDE_ALL
                or failed.count(Arm.WITH) < MOST_VOID_IN_A_ROW
                or not valid_blocks(log.trials)
            ):
                raise


def _warm_up(number: int, run_trial: RunTrial, observer: Observer) -> float:
    """One run without neighbours that does not count: caches fill, and a victim that cannot work shows at once.

    Returns how many seconds it took, 0 for one that was voided: it would not have counted either.
    """
    observer.trial_started(0, number, ALONE)
    with contextlib.suppress(TrialVoidedError):
        result = run_trial(0, number, ALONE)
        observer.trial_ended(result)
        return result.seen.duration_s
    return 0.0


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
        return [_pair(trials[without], trials[with_]) for trials in self.whole]

    @property
    def better(self) -> Better:
        """Which direction of the primary metric is better; there must be a complete round."""
        return next(iter(self.whole[0].values())).seen.sample.metric.better

    @property
    def discarded(self) -> list[str]:
        """Why trials did not count."""
        return [*(trial.void for trial in self.log.trials if trial.void), *self.log.failed]


def run_rounds(
    design: Design,
    first_index: int,
    run_trial: RunTrial,
    observer: Observer,
    rest: Callable[[float], None] = lambda _: None,
) -> Rounds:
    """Run them all, or until a signal or a failure: the verdict that was reached before is not lost to either."""
    observer.phase_started(design.what, design.rounds * len(design.treatments))
    log = Log(first_index)
    whole: list[dict[Treatment, TrialResult]] = []
    try:
        for number, (order, pause) in enumerate(zip(orders(design), pauses(design), strict=True)):
            rest(pause * (log.trials[-1].seen.duration_s if log.trials else 0.0))
            trials = {each: run_until_valid(number, each, run_trial, observer, log) for each in order}
            whole.append(trials)
    except Interrupted:
        return Rounds(tuple(whole), log, partial=True)
    except JostleError as error:
        return Rounds(tuple(whole), log, broken=str(error))
    return Rounds(tuple(whole), log)


def _pair(without: TrialResult, with_: TrialResult) -> TrialPair:
    before, after = without.seen.sample, with_.seen.sample
    step = None if before.step is None or after.step is None else max(before.step, after.step)
    taken = without.seen.taken_ratio, with_.seen.taken_ratio
    return TrialPair(
        before.value,
        after.value,
        step,
        None if taken[0] is None or taken[1] is None else (taken[0], taken[1]),
    )
