"""The bar of an experiment, for a person at a terminal: what runs, the interval as it narrows, the time left."""

import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from agent.analysis.observation import TrialResult
from agent.cli.output import say
from agent.cli.progress import change_so_far, describe
from agent.experiment.design import Treatment
from agent.experiment.runner import Observer
from agent.statistics.decision import Decision
from agent.statistics.effect import Slowdown
from reports.escape import for_terminal

_BAR_WIDTH = 10  # what 80 columns leave beside the longest words


class Bar(Observer):
    """One bar per phase; what is worth keeping is said above it."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=_BAR_WIDTH),
            _TimeLeft(),
            TextColumn("{task.fields[interval]}", markup=False),
        )
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self.progress.add_task("", total=None, interval="")
        self._phase = ""
        self._counted = ""
        self._pace = Pace(time.monotonic())

    def phase_started(self, what: str, trials: int) -> None:
        """Begin again at 0."""
        self._counted = "round" if self._phase else "pair"
        self._phase = what
        self._pace = Pace(time.monotonic())
        self.progress.reset(self._task, total=trials, description=what, interval="", pace=self._pace)

    def trial_started(self, index: int, block: int, treatment: Treatment) -> None:
        """Show what runs."""
        what = f"{self._counted} {block + 1} {treatment}".replace(" the ", " ") if index else self._phase
        self.progress.update(self._task, description=for_terminal(what))

    def trial_ended(self, result: TrialResult) -> None:
        """Advance, unless it has to be repeated."""
        self._pace.trial_ended(time.monotonic())
        if result.void and result.index:
            say(f"trial {result.index} is void and will be repeated: {result.void}")
        else:
            self.progress.advance(self._task)

    def trial_failed(self, index: int, why: str) -> None:
        """Say so, above the bar."""
        self._pace.trial_ended(time.monotonic())
        say(f"trial {index} failed and will be repeated: {why}")

    def narrowed(self, slowdown: Slowdown) -> None:
        """Show the interval so far."""
        so_far = change_so_far(slowdown.pct, slowdown.ci_pct, slowdown.better)
        self.progress.update(self._task, interval=so_far)

    def looked(self, decision: Decision, planned_pairs: int) -> None:
        """How far there is still to go."""
        say(describe(decision))
        self.progress.update(self._task, total=2 * planned_pairs + 1)


class Pace:
    """How long a trial takes, with all that belongs to it, on average since `began_s`."""

    def __init__(self, began_s: float) -> None:
        self._began_s = self._last_s = began_s
        self._trials = 0

    def trial_ended(self, now_s: float) -> None:
        """One more."""
        self._trials += 1
        self._last_s = now_s

    def left_s(self, trials: float, now_s: float) -> float | None:
        """Until so many more have ended; None before the first has."""
        if not self._trials:
            return None
        mean_s = (self._last_s - self._began_s) / self._trials
        return max(0.0, trials * mean_s - (now_s - self._last_s))


class _TimeLeft(ProgressColumn):
    """Rich's own forgets all that is older than 30 s, which may be less than one trial."""

    def render(self, task: Task) -> Text:
        pace, left = task.fields.get("pace"), task.remaining
        seconds = pace.left_s(left, time.monotonic()) if pace and left is not None else None
        return Text("" if seconds is None else f"{clock(seconds)} left")


def clock(seconds: float) -> str:
    """Minutes and seconds, such as 2:05."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}:{rest:02d}"
