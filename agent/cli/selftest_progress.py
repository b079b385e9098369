"""Progress of a self-test on standard error: a bar on a terminal, a line per experiment elsewhere."""

import contextlib
import sys
from collections.abc import Iterator

from agent.cli.output import say
from agent.documents.metric import signed
from agent.documents.selftest import Label, SelftestFinding
from agent.experiment.runner import Observer
from agent.selftest.run import SelftestObserver
from agent.selftest.scenarios import Scenario
from agent.statistics.effect import Slowdown


class _Lines(SelftestObserver):
    """For logs."""

    def __init__(self) -> None:
        self._position = ""

    def experiment_started(self, number: int, planned: int, scenario: Scenario) -> Observer:
        """Remember where we are."""
        self._position = f"{number}/{planned} {scenario.name}"
        return Observer()

    def experiment_ended(self, label: Label, finding: SelftestFinding) -> None:
        """One line each."""
        say(f"{self._position}: {describe(label, finding)}")


class _Bar(SelftestObserver, Observer):
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
        self.progress = Progress(
            *columns, console=Console(stderr=True), transient=True, speed_estimate_period=600
        )
        self._task = self.progress.add_task("", total=None)
        self._name = ""
        self._wrong = 0

    def experiment_started(self, number: int, planned: int, scenario: Scenario) -> Observer:
        """Show what runs."""
        self._name = scenario.name
        self.progress.update(self._task, total=planned, completed=number - 1)
        self._describe("starts")
        return self

    def narrowed(self, slowdown: Slowdown) -> None:
        """Show the slowdown so far."""
        self._describe(f"{signed(slowdown.pct)} % after {slowdown.pairs}")

    def experiment_ended(self, label: Label, finding: SelftestFinding) -> None:
        """Advance; say what is not as labelled, above the bar."""
        self.progress.advance(self._task)
        if finding.verdict is not label.verdict:
            self._wrong += 1
            say(f"{label.scenario}: {describe(label, finding)}")

    def _describe(self, state: str) -> None:
        self.progress.update(self._task, description=f"{self._name}: {state} | {self._wrong} not as labelled")


def describe(label: Label, finding: SelftestFinding) -> str:
    """An experiment's end in a line."""
    if finding.error is not None:
        return f"failed: {finding.error}"
    right = "as labelled" if finding.verdict is label.verdict else f"label {label.verdict}"
    size = (
        "" if finding.slowdown_pct is None else f", {signed(finding.slowdown_pct)} % in {finding.pairs} pairs"
    )
    blame = "" if finding.cause is None else f", {finding.cause} {finding.cause_share_pct:.0f} %"
    return f"{finding.verdict} ({right}){size}{blame}, {finding.duration_s:.0f} s"


@contextlib.contextmanager
def progress() -> Iterator[SelftestObserver]:
    """An observer that suits standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bar = _Bar()
    with bar.progress:
        yield bar
