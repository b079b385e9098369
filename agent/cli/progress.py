"""Progress of an experiment on standard error: a bar on a terminal, a line per look elsewhere."""

import contextlib
import sys
from collections.abc import Iterator

from agent.analysis.observation import TrialResult
from agent.cli.output import say
from agent.experiment.runner import Observer
from agent.statistics.decision import Decision

KNOWN_NOTHING_PCT = 1000.0


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
    if effect.ci95_pct is None:
        return f"{decision.verdict} after {effect.pairs} pair: slowdown {effect.slowdown_pct:.1f} %"
    low, high = effect.ci95_pct
    return f"{decision.verdict} after {effect.pairs} pairs: slowdown {bounds(low, high)}"


def bounds(low_pct: float, high_pct: float) -> str:
    """An interval so far: two pairs leave room for −100 to 93,775,542 %, which says only that nothing is known yet."""
    if high_pct - low_pct > KNOWN_NOTHING_PCT:
        return "not known yet"
    return f"{low_pct:+.1f} to {high_pct:+.1f} %"


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
