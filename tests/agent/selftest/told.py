"""Episodes' labels and findings to reason about."""

from agent.documents.event import EventCause
from agent.documents.selftest_detection import (
    DetectionSelftest,
    DetectionSetting,
    EpisodeFinding,
    EpisodeLabel,
    Expectation,
    ToldIncident,
)
from agent.selftest.episode_score import score
from tests.agent.analysis.summaries import HOST

ARRIVES = EpisodeLabel("two", "two arrive", Expectation.NEIGHBOURS, ("neighbour-1", "neighbour-2"), 12.0)
QUOTA = EpisodeLabel("own-quota", "its quota", Expectation.THROTTLED, (), 0.0)
OWN = EpisodeLabel("own-load", "it wants more", Expectation.OWN_DOING, (), 0.0)
QUIET = EpisodeLabel("nothing", "nothing changes", Expectation.NOTHING, (), 0.0)
LABELS = (ARRIVES, QUOTA, OWN, QUIET)


def blames(suspect: str | None, after_s: float = 92.0) -> ToldIncident:
    """An incident with the cause neighbours."""
    return ToldIncident(after_s, "contention", EventCause.NEIGHBOURS, suspect)


def tells(cause: EventCause, after_s: float = 30.0) -> ToldIncident:
    """One that blames nobody."""
    return ToldIncident(after_s, "throttled_share", cause, None)


def finding(
    label: EpisodeLabel,
    default: tuple[ToldIncident, ...] = (),
    fast: tuple[ToldIncident, ...] = (),
    error: str | None = None,
) -> EpisodeFinding:
    """An episode of which this was told."""
    return EpisodeFinding(label.episode, 7, 0.05, 0.5, default, fast, error)


def selftest(*findings: EpisodeFinding, partial: bool = False) -> DetectionSelftest:
    """A self-test of the four labels; all as labelled, unless findings are given."""
    right = (blames("neighbour-2"),), (blames("neighbour-1", 21.5),)
    throttled = (tells(EventCause.THROTTLED),)
    found = findings or (
        finding(ARRIVES, *right),
        finding(QUOTA, throttled, throttled),
        finding(OWN, (tells(EventCause.OWN_LOAD),)),
        finding(QUIET),
    )
    return DetectionSelftest(
        partial=partial,
        planned=len(found) + partial,
        seed=1,
        repeat=1,
        before_s=60.0,
        length_s=180.0,
        started="2026-03-01T03:12:00+00:00",
        duration_s=500.0,
        jostle_version="0.1.0",
        host=HOST,
        scores=tuple(score(LABELS, found, setting) for setting in DetectionSetting),
        labels=LABELS,
        findings=found,
    )
