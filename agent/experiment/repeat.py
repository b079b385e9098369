"""A trial until it counts: void ones and those in which the victim failed are repeated, counted and told."""

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.analysis.trials import TrialResult
from agent.experiment.treatment import Treatment
from agent.experiment.trial import VictimFailedError, VictimTimeoutError
from agent.experiment.victim_metrics import MetricError
from agent.sandbox.freezer import DidNotFreezeError
from agent.statistics import Decision, Slowdown
from probes.errors import JostleError

# So many void trials in a row, in one place of the design, are no accident.
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
