"""`jostle selftest --detection`: known neighbours arrive beside known victims, and what the agent would tell of it."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.cli import output
from agent.cli.output import say
from agent.cli.report import load
from agent.cli.selftest import choose, show
from agent.documents.selftest_detection import (
    DetectionSelftest,
    DetectionSetting,
    EpisodeFinding,
    EpisodeLabel,
    ToldIncident,
)
from agent.sandbox.interrupts import Interrupts
from agent.selftest.episode_run import EpisodeCampaign, EpisodeObserver, resumed, run_episodes
from agent.selftest.episode_score import is_right
from agent.selftest.episodes import Episode, episodes
from agent.selftest.run import choose_cpus
from agent.store.files import write_whole
from collectors.host.topology import read_topology
from probes.errors import UsageError
from probes.privilege import require_privilege
from reports import json_document, text
from reports.sections import selftest_detection as sections


def selftest(
    repeat: int,
    names: Sequence[str],
    seed: int | None,
    resume: Path | None,
    file: Path | None,
    *,
    list_only: bool,
    json_output: bool,
) -> None:
    """The command, with the options of `jostle selftest`."""
    chosen = choose(episodes(), names, "episode", "jostle selftest --detection --list")
    if list_only:
        labels = tuple(episode.label for episode in chosen)
        listed = sections.episode_list(labels)
        show(
            json_document.render_episodes(labels),
            text.render(listed, width=output.width(), colour=output.colour()),
            json_output=json_output,
        )
        return
    require_privilege()
    cpus = choose_cpus(sorted(os.sched_getaffinity(0)), read_topology())
    campaign = EpisodeCampaign(chosen, repeat, secrets.randbelow(2**31) if seed is None else seed)
    begun = None
    if resume is not None:
        begun, file = _begun(resume), file or resume
        campaign = resumed(begun, episodes())

    def keep(so_far: DetectionSelftest) -> None:
        if file is not None:
            write_whole(file, json_document.render_selftest(so_far))

    with Interrupts() as interrupts:
        with _progress() as observer:
            result = run_episodes(campaign, cpus, observer, interrupts, keep, begun)
        keep(result)
        report = sections.detection_report(result)
        show(
            json_document.render_selftest(result),
            text.render(report, width=output.width(), colour=output.colour()),
            json_output=json_output,
        )
        interrupts.check()


def _begun(path: Path) -> DetectionSelftest:
    found = load(path)
    if not isinstance(found, DetectionSelftest):
        raise UsageError(f"{path} is no self-test of detection", "give the file that -o has written")
    return found


def describe(label: EpisodeLabel, finding: EpisodeFinding) -> str:
    """An episode's end in a line."""
    if finding.error is not None:
        return f"failed: {finding.error}"
    told = (f"{setting}: {_verdict(label, finding.told(setting))}" for setting in DetectionSetting)
    return "; ".join(told)


def _verdict(label: EpisodeLabel, told: Sequence[ToldIncident]) -> str:
    words = ", ".join(sections.told_in_words(each) for each in told) or "nothing told"
    return f"{'as labelled' if is_right(label, told) else f'label {label.expects}'} ({words})"


class _Lines(EpisodeObserver):
    """For logs."""

    def __init__(self) -> None:
        self._done, self._planned = 0, 0

    def round_started(self, done: int, planned: int, episodes: Sequence[Episode], seconds: float) -> None:
        """Say what begins, as it takes minutes."""
        self._done, self._planned = done, planned
        names = " and ".join(episode.name for episode in episodes)
        say(f"{done + 1}/{planned} {names}: for {seconds:g} s")

    def second_over(self) -> None:
        """Say nothing."""

    def episode_ended(self, label: EpisodeLabel, finding: EpisodeFinding) -> None:
        """One line each."""
        self._done += 1
        say(f"{self._done}/{self._planned} {label.episode}: {describe(label, finding)}")


class _Bar(EpisodeObserver):
    """For a person at a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self.progress.add_task("", total=None)

    def round_started(self, done: int, planned: int, episodes: Sequence[Episode], seconds: float) -> None:
        """Show what runs, and how far that is of all."""
        rounds, left = done // 2, -(-(planned - done) // 2)
        names = " and ".join(episode.name for episode in episodes)
        self.progress.update(
            self._task,
            total=(rounds + left) * seconds,
            completed=rounds * seconds,
            description=f"{names} | {done} of {planned} over",
        )

    def second_over(self) -> None:
        """Advance."""
        self.progress.advance(self._task)

    def episode_ended(self, label: EpisodeLabel, finding: EpisodeFinding) -> None:
        """Say what is not as labelled, above the bar."""
        if finding.error or not all(is_right(label, finding.told(each)) for each in DetectionSetting):
            say(f"{label.episode}: {describe(label, finding)}")


@contextlib.contextmanager
def _progress() -> Iterator[EpisodeObserver]:
    """An observer that suits standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bar = _Bar()
    with bar.progress:
        yield bar
