"""Progress of an experiment on standard error: a bar on a terminal, a line per look elsewhere."""

import contextlib
import sys
from collections.abc import Iterator

from agent.analysis.observation import TrialResult
from agent.cli.output import say
from agent.documents.metric import Better, changed, changed_between
from agent.experiment.runner import Observer
from agent.statistics.decision import Decision
from reports.figures import counted


class Lines(Observer):
    """For logs: one line when something was decided or went wrong."""

    def phase_started(self, what: str, trials: int) -> None:
        """What comes after the verdict is worth a line."""
        if what != "warm-up":
            say(f"{what}: {trials} trials")

    def trial_ended(self, result: TrialResult) -> None:
        """Only a void trial is, and not the warm-up, which counts for nothing anyhow."""
        if result.void and result.index:
            say(f"trial {result.index} is void and will be repeated: {result.void}")

    def trial_failed(self, index: int, why: str) -> None:
        """So is a failed one."""
        say(f"trial {index} failed and will be repeated: {why}")

    def looked(self, decision: Decision, planned_pairs: int) -> None:
        """Each look is."""
        more = f"; on to {planned_pairs} pairs" if planned_pairs > decision.effect.pairs else ""
        say(f"{describe(decision)}{more}")


def describe(decision: Decision) -> str:
    """The interval so far, in a few words."""
    effect = decision.effect
    so_far = change_so_far(effect.slowdown_pct, effect.ci95_pct, effect.better)
    return f"{decision.verdict} after {counted(effect.pairs, 'pair')}: {so_far}"


def change_so_far(slowdown_pct: float, bounds_pct: tuple[float, float] | None, better: Better) -> str:
    """The interval, or where there is none yet the one pair's change."""
    what = "slowdown" if better == "lower" else "change"
    if bounds_pct is None:
        return f"{what} {changed(slowdown_pct, better)}"
    return f"{what} {changed_between(bounds_pct, better)}"


@contextlib.contextmanager
def progress() -> Iterator[Observer]:
    """An observer that suits standard error."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from agent.cli.experiment_bar import Bar

    bar = Bar()
    with bar.progress:
        yield bar
