"""Progress of an experiment on standard error: a bar on a terminal, a line per look elsewhere."""

import contextlib
import sys
from collections.abc import Iterator

from agent.cli.output import say
from agent.experiment.plan import Plan
from agent.experiment.runner import Observer
from agent.experiment.trial import TrialResult
from agent.statistics import Decision
from agent.verdict import Arm


class _Lines:
    """For logs: one line when something was decided or went wrong."""

    def trial_started(self, index: int, block: int, arm: Arm) -> None:
        """Not worth a line."""

    def trial_ended(self, result: TrialResult) -> None:
        """Only a void trial is worth a line."""
        if result.void:
            say(f"trial {result.index} is void and will be repeated: {result.void}")

    def trial_failed(self, index: int, why: str) -> None:
        """So is a failed one."""
        _say_failed(index, why)

    def looked(self, decision: Decision, planned_pairs: int) -> None:
        """Each look is."""
        more = f"; on to {planned_pairs} pairs" if planned_pairs > decision.effect.pairs else ""
        say(f"{describe(decision)}{more}")


class _Bar:
    """For a person at a terminal."""

    def __init__(self, plan: Plan) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self.progress.add_task("warm-up", total=2 * plan.pairs + 1)
        self._look = ""

    def trial_started(self, index: int, block: int, arm: Arm) -> None:
        """Show what runs."""
        what = f"pair {block + 1}, {arm} neighbours" if index else "warm-up"
        self.progress.update(self._task, description=f"{what}{self._look}")

    def trial_ended(self, result: TrialResult) -> None:
        """Advance."""
        if result.void:
            say(f"trial {result.index} is void and will be repeated: {result.void}")
        else:
            self.progress.advance(self._task)

    def trial_failed(self, index: int, why: str) -> None:
        """Say so, above the bar."""
        _say_failed(index, why)

    def looked(self, decision: Decision, planned_pairs: int) -> None:
        """Show the interval so far, and how far there is still to go."""
        self._look = f" | {describe(decision)}"
        self.progress.update(self._task, total=2 * planned_pairs + 1)


def _say_failed(index: int, why: str) -> None:
    say(f"trial {index} failed and will be repeated: {why}")


def describe(decision: Decision) -> str:
    """The interval so far, in a few words."""
    effect = decision.effect
    if effect.ci95_pct is None:
        return f"{decision.verdict} after {effect.pairs} pair: slowdown {effect.slowdown_pct:.1f} %"
    low, high = effect.ci95_pct
    return f"{decision.verdict} after {effect.pairs} pairs: slowdown {low:.1f} to {high:.1f} %"


@contextlib.contextmanager
def progress(plan: Plan) -> Iterator[Observer]:
    """An observer that suits standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bar = _Bar(plan)
    with bar.progress:
        yield bar
