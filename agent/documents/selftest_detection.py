"""The document of `jostle selftest --detection`, schema `jostle.selftest-detection/1`, as frozen records.

A figure that does not apply is None here and `null` in the document: a rate of nothing, the time of what was not told.
"""

from enum import StrEnum

from agent.documents.codec import Document, Record
from agent.documents.event import EventCause
from agent.documents.selftest import Rate
from agent.documents.verdict_parts import Host


class Expectation(StrEnum):
    """What detection has to tell of an episode."""

    NEIGHBOURS = "neighbours"  # an incident with that cause, and who arrived named first
    THROTTLED = "throttled"  # no neighbour is blamed; that a quota binds is right
    OWN_DOING = "own-doing"  # no neighbour is blamed
    NOTHING = "nothing"  # no incident at all


class DetectionSetting(StrEnum):
    """How windows are judged."""

    DEFAULT = "default"  # windows of 10 s, `detection.fast = false`
    FAST = "fast"  # windows of 1 s, `detection.fast = true`


class EpisodeLabel(Record, frozen=True):
    """What is true of an episode: see `agent.selftest.episodes.Episode`."""

    episode: str
    truth: str
    expects: Expectation
    culprits: tuple[str, ...]  # the cgroups of which one must be named first; empty: nobody is to blame
    onset_s: float  # when its contention ratio has risen by 0.1, after the change began


class ToldIncident(Record, frozen=True):
    """An incident whose victim is the labelled one."""

    after_s: float  # end of the window that raised it, since the change began; below 0: before it
    indicator: str
    cause: EventCause
    suspect: str | None  # named first: the cgroup's name in the episode, or its path outside; null: nobody


class EpisodeFinding(Record, frozen=True):
    """What was told of one episode. `error` says why it does not count, and then nothing else is known of it."""

    episode: str
    seed: int  # of its past, and of when in a window its change began
    contention_before: float | None  # contention ratio of its victim; null: it wanted nothing
    contention_after: float | None  # the same, since the change
    default: tuple[ToldIncident, ...]  # what was told by default
    fast: tuple[ToldIncident, ...]  # what was told with `detection.fast`
    error: str | None = None

    def told(self, setting: DetectionSetting) -> tuple[ToldIncident, ...]:
        """What one setting told."""
        return self.default if setting is DetectionSetting.DEFAULT else self.fast


class DetectionTime(Record, frozen=True):
    """How long it took until what was to be told was told, over all episodes in which it was."""

    count: int  # these episodes
    median_s: float | None  # half of them took less
    p10_s: float | None  # a tenth of them took less
    p90_s: float | None  # nine tenths of them took less
    most_s: float | None  # the longest


class EpisodeTally(Record, frozen=True):
    """One kind of episode: how many were right, and medians of how long that took and how much its victims waited."""

    episode: str
    episodes: int  # of this kind, those that failed left out
    right: int  # of which what was told is as labelled
    time_s: float | None  # until it was told; null: it was not, or nobody arrives
    contention_before: float | None  # contention ratio of the victims
    contention_after: float | None  # the same, since the change


class DetectionScore(Record, frozen=True):
    """How one setting did."""

    setting: DetectionSetting
    rates: tuple[Rate, ...]  # how often it was right, and in what
    time: DetectionTime
    tallies: tuple[EpisodeTally, ...]  # by kind
    wrong: tuple[int, ...]  # the places in `findings`, from 0, of those of which something else was told


class DetectionSelftest(Document, frozen=True):
    """A whole self-test of detection, or what was done of it until it was interrupted."""

    SCHEMA = "jostle.selftest-detection/1"

    partial: bool
    planned: int  # how many episodes there were to be
    seed: int
    repeat: int  # how often each kind was to run
    before_s: float  # how long each victim was watched before the change, at least
    length_s: float  # how long it was watched afterwards
    started: str  # ISO 8601, UTC
    duration_s: float
    jostle_version: str
    host: Host
    scores: tuple[DetectionScore, ...]  # of either setting
    labels: tuple[EpisodeLabel, ...]
    findings: tuple[EpisodeFinding, ...]
    title: str | None = None
    note: str | None = None
