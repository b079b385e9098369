"""Progress of a self-test on standard error: a bar on a terminal, a line per experiment elsewhere."""

import contextlib
import sys
from collections.abc import Iterator

from agent.cli.output import say
from agent.cli.progress import describe
from agent.experiment.trial import TrialResult
from agent.selftest.records import Finding, Label
from agent.selftest.run import SelftestObserver
from agent.selftest.scenarios import Scenario
from agent.statistics import Decision
from agent.verdict import Arm


class _Within:
    """Within an experiment only the looks are worth showing, and only on a bar."""

    def __init__(self, bar: "_Bar | None" = None) -> None:
        self._bar = bar

    def trial_started(self, index: int, block: int, arm: Arm) -> None:
        """Not shown."""

    def trial_ended(self, result: TrialResult) -> None:
        """Not shown."""

    def trial_failed(self, index: int, why: str) -> None:
        """Not shown: what matters of it is in the experiment's end."""

    def looked(self, decision: Decision, planned_pairs: int) -> None:  # noqa: ARG002  the protocol's signature
        """Show the interval so far."""
        if self._bar is not None:
            self._bar.describe(describe(decision))


class _Lines:
    """For logs."""

    def __init__(self) -> None:
        self._position = ""

    def experiment_started(self, number: int, planned: int, scenario: Scenario) -> _Within:
        """Remember where we are."""
        self._position = f"{number}/{planned} {scenario.name}"
        return _Within()

    def experiment_ended(self, label: Label, finding: Finding) -> None:
        """One line each."""
        say(f"{self._position}: {in_words(label, finding)}")


class _Bar:
    """For a person at a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self.progress.add_task("", total=None)
        self._name = ""
        self._wrong = 0

    def experiment_started(self, number: int, planned: int, scenario: Scenario) -> _Within:
        """Show what runs."""
        self._name = scenario.name
        self.progress.update(self._task, total=planned, completed=number - 1)
        self.describe("starts")
        return _Within(self)

    def experiment_ended(self, label: Label, finding: Finding) -> None:
        """Advance; say what went wrong, above the bar."""
        self.progress.advance(self._task)
        if finding.verdict is not label.verdict:
            self._wrong += 1
            say(f"{label.scenario}: {in_words(label, finding)}")

    def describe(self, state: str) -> None:
        """Show how the present experiment comes along."""
        self.progress.update(self._task, description=f"{self._name}: {state} | {self._wrong} not as labelled")


def in_words(label: Label, finding: Finding) -> str:
    """An experiment's end in a line."""
    if finding.error is not None:
        return f"failed: {finding.error}"
    right = "as labelled" if finding.verdict is label.verdict else f"label {label.verdict}"
    effect = (
        "" if finding.slowdown_pct is None else f", {finding.slowdown_pct:+.1f} % in {finding.pairs} pairs"
    )
    return f"{finding.verdict} ({right}){effect}, {finding.duration_s:.0f} s"


@contextlib.contextmanager
def progress() -> Iterator[SelftestObserver]:
    """An observer that suits standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bar = _Bar()
    with bar.progress:
        yield bar
