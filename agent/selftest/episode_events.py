"""What the agent's detector tells of an episode: the victim's windows as its past, a day over, then as they came.

The past is made, as nobody can wait for it: what is usual is known after three hours. It is the real windows before the
change, in each hour of the day before from another one on. So it is as even as these are; a real day scatters more.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

from agent.detection.detector import Detector, Settings
from agent.detection.gates import FindQuota
from agent.detection.harm import FAST_LASTING_S, HOUR_NS, LEAST_BUSY_S
from agent.detection.incidents import DEFAULT_COOLDOWN_S, IncidentGrouper
from agent.documents.event import Event, EventState
from agent.documents.selftest_detection import DetectionSetting, ToldIncident
from collectors.host.hierarchy import is_within
from collectors.windows import sched
from collectors.windows.entitlement import FindWeights
from collectors.windows.sched import NS_PER_S, SchedWindow

PAST_HOURS = 24
# Of each hour of the past so much is played; the detector learns from no hour in which a cgroup was busy for less.
PLAYED_S = 1.25 * LEAST_BUSY_S


@dataclass(frozen=True, slots=True)
class Judgement:
    """A setting of the agent: how long its windows are, and by what they are judged."""

    window_s: int
    settings: Settings


JUDGEMENTS = {
    DetectionSetting.DEFAULT: Judgement(10, Settings()),
    DetectionSetting.FAST: Judgement(1, Settings(lasting_s=FAST_LASTING_S)),
}


@dataclass(frozen=True, slots=True)
class EpisodeRecording:
    """An episode as the probe saw it.

    Attributes:
        windows: Of a second, one after the other.
        change_ns: When the change began, by CLOCK_MONOTONIC.
        to_utc_ns: What turns that clock into ns since 1970.
        parent: The cgroup that all of it is in.
        victims: Their names in it.
    """

    windows: tuple[SchedWindow, ...]
    change_ns: int
    to_utc_ns: int
    parent: str
    victims: tuple[str, ...]

    @property
    def before(self) -> tuple[SchedWindow, ...]:
        """Those that ended before the change."""
        return tuple(each for each in self.windows if each.end_ns <= self.change_ns)

    @property
    def after(self) -> tuple[SchedWindow, ...]:
        """Those that ended after it."""
        return tuple(each for each in self.windows if each.end_ns > self.change_ns)

    def contention(self, windows: Sequence[SchedWindow]) -> float | None:
        """The victims' contention ratio over these windows; None: they wanted nothing, or were not there."""
        totals = sched.totals(windows)
        paths = [f"{self.parent}/{name}" for name in self.victims]
        return sched.add(self.parent, (totals[path] for path in paths if path in totals)).contention_ratio


def merged(run: Sequence[SchedWindow]) -> SchedWindow:
    """Windows that follow one another as one, as the agent hands out what its flight recorder read by the second."""
    return replace(
        run[-1],
        duration_ns=sum(window.duration_ns for window in run),
        cgroups=sched.totals(run),
        shed=tuple(dict.fromkeys(name for window in run for name in window.shed)),
    )


def in_windows_of(length: int, windows: Sequence[SchedWindow]) -> list[SchedWindow]:
    """So many windows each as one; what is left over is left out."""
    return [merged(windows[k : k + length]) for k in range(0, len(windows) - length + 1, length)]


def past(
    windows: Sequence[SchedWindow], until_utc_ns: int, draw: Callable[[], float]
) -> Iterator[tuple[SchedWindow, int]]:
    """A day of these windows, each with the time at which it is said to have ended.

    Args:
        windows: What was usual, one after the other.
        until_utc_ns: The day ends before the hour that this lies in.
        draw: A number from 0 to 1, from which of them on an hour plays them.
    """
    if not windows:
        return
    hour_ns = until_utc_ns // HOUR_NS * HOUR_NS
    for ago in range(PAST_HOURS, 0, -1):
        utc_ns, first = hour_ns - ago * HOUR_NS, int(draw() * len(windows))
        end_ns = utc_ns + round(PLAYED_S * NS_PER_S)
        for window in islice(cycle(windows), first, None):
            utc_ns += window.duration_ns
            yield window, utc_ns
            if utc_ns >= end_ns:
                break


def incidents(
    recording: EpisodeRecording,
    judgement: Judgement,
    seed: int,
    find_quota: FindQuota = lambda _: None,
    find_weights: FindWeights = lambda _, __: None,
) -> tuple[ToldIncident, ...]:
    """What is told of the episode's victims, the first first.

    Args:
        recording: The episode.
        judgement: How it is judged.
        seed: Of the past.
        find_quota: As the agent's.
        find_weights: As the agent's.
    """
    detector = Detector(judgement.settings, None, find_quota, find_weights)
    grouper = IncidentGrouper(DEFAULT_COOLDOWN_S)
    live = in_windows_of(judgement.window_s, recording.windows)
    usual = [window for window in live if window.end_ns <= recording.change_ns]
    began_utc_ns = recording.windows[0].end_ns + recording.to_utc_ns
    draw = random.Random(seed).random  # noqa: S311  a written-down order, no secret
    timed = [
        *past(usual, began_utc_ns, draw),
        *((window, window.end_ns + recording.to_utc_ns) for window in live),
    ]
    victims = {f"{recording.parent}/{name}" for name in recording.victims}
    told = []
    for window, utc_ns in timed:
        events = [event for event in detector.step(window, utc_ns) if event.victim in victims]
        told += [each for each in grouper.group(events, utc_ns, window) if each.state is EventState.RAISED]
    return tuple(_told(event, recording) for event in told)


def _told(event: Event, recording: EpisodeRecording) -> ToldIncident:
    first = event.suspects[0].cgroup if event.suspects else None
    if first is not None and first != recording.parent and is_within(first, recording.parent):
        first = first[len(recording.parent) + 1 :].partition("/")[0]
    after_ns = event.utc_ns - recording.to_utc_ns - recording.change_ns
    return ToldIncident(round(after_ns / NS_PER_S, 1), event.indicator, event.cause, first)
