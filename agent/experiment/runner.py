"""The order of an experiment: warm-up, randomised blocks, void trials repeated, looks at the data, the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.analysis.trials import TrialResult
from agent.documents.verdict_parts import Arm
from agent.experiment.plan import Plan
from agent.experiment.repeat import Log, Observer, RunTrial, run_until_valid
from agent.experiment.treatment import ALONE, BESIDE_ALL, Treatment
from agent.sandbox.interrupts import Interrupted
from agent.statistics import Better, Decision, Order, TrialPair, block_orders, decide, plan_looks, slowdown
from agent.statistics import LookPlan as Looks


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


def valid_blocks(trials: Sequence[TrialResult]) -> list[tuple[TrialResult, TrialResult]]:
    """(without, with) of every block in which both arms gave a valid trial, in the order they ran."""
    by_block: dict[int, dict[Arm, TrialResult]] = {}
    for trial in trials:
        if trial.void is None:
            by_block.setdefault(trial.block, {})[trial.arm] = trial
    return [(arms[Arm.WITHOUT], arms[Arm.WITH]) for arms in by_block.values() if len(arms) == len(Arm)]


def complete_pairs(trials: Sequence[TrialResult]) -> list[TrialPair]:
    """The primary metric of every complete block."""
    return [
        TrialPair(without.samples[0].value, with_.samples[0].value) for without, with_ in valid_blocks(trials)
    ]


def better(trials: Sequence[TrialResult]) -> Better:
    """Which direction of the primary metric is better."""
    return next(trial.samples[0].metric.better for trial in trials if trial.samples)


def _look(plan: Plan, looks: Looks, trials: Sequence[TrialResult]) -> Decision:
    return decide(complete_pairs(trials), better(trials), plan.threshold_pct, looks)


def _warm_up(run_trial: RunTrial, observer: Observer) -> None:
    """One run without neighbours that does not count: caches fill, and a victim that cannot work shows at once."""
    observer.trial_started(0, 0, ALONE)
    observer.trial_ended(run_trial(0, 0, ALONE))
