"""Running the episodes, two at a time on a CPU each, while the probe reads every second, as the agent's does."""

import contextlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Protocol

from agent.documents.selftest_detection import (
    DetectionSelftest,
    DetectionSetting,
    EpisodeFinding,
    EpisodeLabel,
)
from agent.documents.times import moment
from agent.recording import recorder
from agent.recording.budget import DEFAULT_BUDGET_PCT, Governor
from agent.recording.host import describe_host
from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import Command, interrupted_within, start
from agent.sandbox.interrupts import Interrupted, Interrupts
from agent.sandbox.janitor import Janitor
from agent.selftest.episode_events import JUDGEMENTS, EpisodeRecording, incidents
from agent.selftest.episode_score import score
from agent.selftest.episodes import Episode, Part
from agent.selftest.scenarios import TwoCpus
from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.placement import weights
from collectors.sources.throttling import binding_quota
from collectors.sources.tiers import open_source
from collectors.windows.sched import SchedWindow
from probes.errors import UsageError

BEFORE_S, LENGTH_S = 60, 160
# The change comes up to so much later: it is not to begin with one of the agent's windows.
LATER_S = 10
# Until what runs as usual has started.
_SETTLE_S = 2.0
_WINDOW_S = 1.0


class EpisodeObserver(Protocol):
    """Is told how the self-test comes along."""

    def round_started(self, done: int, planned: int, episodes: Sequence[Episode], seconds: float) -> None:
        """Some episodes begin, which take so long; `done` of all that are planned are over."""

    def second_over(self) -> None:
        """One more second of them is."""

    def episode_ended(self, label: EpisodeLabel, finding: EpisodeFinding) -> None:
        """One of them was judged."""


@dataclass(frozen=True, slots=True)
class EpisodeCampaign:
    """What to run: all episodes `repeat` times over, each time in another order drawn from `seed`.

    Each is watched for `before_s` to `before_s + LATER_S` before the change, and for `length_s` or longer after it.
    """

    episodes: tuple[Episode, ...]
    repeat: int
    seed: int
    before_s: int = BEFORE_S
    length_s: int = LENGTH_S

    def order(self) -> list[tuple[Episode, int]]:
        """(episode, its seed) in the order they run; `random.Random(seed).random()` alone is promised to stay."""
        draw = random.Random(self.seed).random  # noqa: S311  a written-down order, no secret
        drawn = [
            (time_over, draw(), episode) for time_over in range(self.repeat) for episode in self.episodes
        ]
        shuffled = [episode for _, _, episode in sorted(drawn, key=lambda each: each[:2])]
        return [(episode, int(draw() * 2**31)) for episode in shuffled]


def run_episodes(  # noqa: PLR0917  which, where, who is told, and what there is
    campaign: EpisodeCampaign,
    cpus: TwoCpus,
    observer: EpisodeObserver,
    interrupts: Interrupts,
    keep: Callable[[DetectionSelftest], None] = lambda _: None,
    begun: DetectionSelftest | None = None,
) -> DetectionSelftest:
    """Run all episodes, or as many as there is time for until an interrupt; one that was interrupted does not count.

    Args:
        campaign: Of which episodes.
        cpus: Where.
        observer: Is told of each.
        interrupts: Ends it.
        keep: Is given the document after each episode.
        begun: What there is already, to be gone on with; see `resumed`.

    Raises:
        HostError: This host cannot run any.
    """
    layout = detect_layout()
    started, start_s = begun.started if begun else moment(time.time()), time.monotonic()
    before_s = begun.duration_s if begun else 0.0
    order, host = campaign.order(), describe_host(layout)
    labels = tuple(episode.label for episode in campaign.episodes)
    findings = list(begun.findings if begun else ())

    def so_far() -> DetectionSelftest:
        return DetectionSelftest(
            partial=len(findings) < len(order),
            planned=len(order),
            seed=campaign.seed,
            repeat=campaign.repeat,
            before_s=campaign.before_s,
            length_s=campaign.length_s,
            started=started,
            duration_s=before_s + time.monotonic() - start_s,
            jostle_version=version("jostle"),
            host=host,
            scores=tuple(score(labels, findings, setting) for setting in DetectionSetting),
            labels=labels,
            findings=tuple(findings),
        )

    with contextlib.suppress(Interrupted):
        while len(findings) < len(order):
            interrupts.check()
            chosen = order[len(findings) : len(findings) + 2]
            seconds = campaign.before_s + LATER_S + campaign.length_s
            observer.round_started(len(findings), len(order), [episode for episode, _ in chosen], seconds)
            for finding in _round(campaign, chosen, cpus, layout, observer, interrupts):
                findings.append(finding)
                observer.episode_ended(
                    next(each for each in labels if each.episode == finding.episode), finding
                )
                keep(so_far())
    return so_far()


def resumed(begun: DetectionSelftest, known: Sequence[Episode]) -> EpisodeCampaign:
    """The campaign that a document is a part of.

    Raises:
        UsageError: It is whole, of another version, or of episodes that are others today.
    """
    by_name = {episode.name: episode for episode in known}
    chosen = tuple(by_name[label.episode] for label in begun.labels if label.episode in by_name)
    campaign = EpisodeCampaign(chosen, begun.repeat, begun.seed, int(begun.before_s), int(begun.length_s))
    if not begun.partial:
        raise UsageError("this self-test is whole: there is nothing to go on with", "start another one")
    done = [(finding.episode, finding.seed) for finding in begun.findings]
    ran = [(episode.name, seed) for episode, seed in campaign.order()[: len(done)]]
    same = tuple(episode.label for episode in chosen) == begun.labels
    if begun.jostle_version != version("jostle") or not same or done != ran:
        raise UsageError("this self-test was begun by another jostle", "start it anew")
    return campaign


def _round(  # noqa: PLR0917  what runs, where, and who is told
    campaign: EpisodeCampaign,
    chosen: Sequence[tuple[Episode, int]],
    cpus: TwoCpus,
    layout: CgroupLayout,
    observer: EpisodeObserver,
    interrupts: Interrupts,
) -> Iterator[EpisodeFinding]:
    """Some episodes side by side, a CPU each, judged while their cgroups are still there.

    Raises:
        Interrupted: Before the end.
        HostError: This host cannot run them.
    """
    with contextlib.ExitStack() as stack:
        stages = [
            stack.enter_context(_Stage(episode, seed, cpu, layout))
            for (episode, seed), cpu in zip(chosen, (cpus.here, cpus.there), strict=False)
        ]
        source = stack.enter_context(open_source(layout, "ebpf"))
        if interrupted_within(interrupts, _SETTLE_S):
            raise Interrupted
        governor, windows = Governor(source, DEFAULT_BUDGET_PCT), list[SchedWindow]()
        length_s = campaign.before_s + LATER_S + campaign.length_s
        wait = partial(interrupted_within, interrupts)
        for window in recorder.windows(governor, _WINDOW_S, length_s, wait):
            windows.append(window)
            observer.second_over()
            for stage in stages:
                if len(windows) == campaign.before_s + stage.later_s:
                    stage.change()
        interrupts.check()
        for stage in stages:
            yield stage.judged(windows)


class _Stage:
    """The cgroups and processes of one episode; a context manager that leaves none behind."""

    def __init__(self, episode: Episode, seed: int, cpu: int, layout: CgroupLayout) -> None:
        self._episode, self._seed, self._cpu, self._layout = episode, seed, cpu, layout
        self._workspace = Workspace(layout)
        self._stack = contextlib.ExitStack()
        self._running: list[tuple[Part, Command]] = []
        self._change_ns = 0
        self.later_s = int(random.Random(seed).random() * LATER_S)  # noqa: S311  written down, no secret

    def __enter__(self) -> "_Stage":
        with contextlib.ExitStack() as stack:
            stack.enter_context(Janitor(self._workspace.directories))
            stack.enter_context(self._workspace)
            parts = (*self._episode.usual, *self._episode.change)
            self._groups = {
                name: self._workspace.make(name) for name in dict.fromkeys(part.cgroup for part in parts)
            }
            self._start(stack, self._episode.usual)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def change(self) -> None:
        """What changes, changes."""
        self._change_ns = time.monotonic_ns()
        for name in self._episode.ends:
            self._groups[name].stop()
        self._start(self._stack, self._episode.change)

    def judged(self, windows: Sequence[SchedWindow]) -> EpisodeFinding:
        """What both settings tell of it; nothing, should one of its processes have failed."""
        name, seed = self._episode.name, self._seed
        failed = next((each for each in self._running if self._has_failed(*each)), None)
        if failed is not None:
            part, command = failed
            return EpisodeFinding(name, seed, None, None, (), (), f"{part.cgroup} {command.ending()}")
        recording = EpisodeRecording(
            tuple(windows),
            self._change_ns,
            time.time_ns() - time.monotonic_ns(),
            f"/{self._workspace.name}",
            self._episode.victims,
        )
        told = {
            setting: incidents(
                recording,
                judgement,
                seed,
                partial(binding_quota, self._layout),
                partial(weights, self._layout),
            )
            for setting, judgement in JUDGEMENTS.items()
        }
        return EpisodeFinding(
            name,
            seed,
            recording.contention(recording.before),
            recording.contention(recording.after),
            told[DetectionSetting.DEFAULT],
            told[DetectionSetting.FAST],
        )

    def _has_failed(self, part: Part, command: Command) -> bool:
        return part.cgroup not in self._episode.ends and bool(command.popen.poll())

    def _start(self, stack: contextlib.ExitStack, parts: Sequence[Part]) -> None:
        held = []
        for part in parts:
            command = start(
                part.command, self._groups[part.cgroup], [self._cpu], subprocess.DEVNULL, subprocess.DEVNULL
            )
            stack.callback(command.close)
            stack.callback(command.group.stop)
            held.append((part, command))
        for part, command in held:
            command.release()
            self._running.append((part, command))
