"""What was told of episodes against their labels: how often it was right, and how soon."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median, quantiles

from agent.documents.event import EventCause
from agent.documents.selftest import Rate
from agent.documents.selftest_detection import (
    DetectionScore,
    DetectionSetting,
    DetectionTime,
    EpisodeFinding,
    EpisodeLabel,
    EpisodeTally,
    Expectation,
    ToldIncident,
)
from agent.selftest.score import rate
from collectors.windows.sched import KERNEL

RECALL, CULPRIT, IN_TIME = "recall", "culprit", "in time"
PRECISION, FALSE_ALARMS, OUTSIDE, QUOTAS = "precision", "false alarms", "outsiders", "quotas"
# What is told later than this is not told in time.
MOST_S = {DetectionSetting.DEFAULT: 180.0, DetectionSetting.FAST: 20.0}

MEANINGS = {
    RECALL: "of the episodes in which a neighbour arrives: an incident with the cause neighbours",
    CULPRIT: "of these: one that arrived is named first",
    IN_TIME: "of these: told within {most_s:g} s",
    PRECISION: "of the episodes in which neighbours were blamed, or anything told where nothing happens: rightly",
    FALSE_ALARMS: "of the episodes in which nobody is to blame: the same",
    OUTSIDE: "of all episodes: somebody blamed who has no part in it; of what they do there is no label",
    QUOTAS: "of the episodes with a quota: an incident with the cause throttled, and no neighbour blamed",
}

Pair = tuple[EpisodeLabel, Sequence[ToldIncident]]


def score(
    labels: Sequence[EpisodeLabel], findings: Sequence[EpisodeFinding], setting: DetectionSetting
) -> DetectionScore:
    """How one setting did. An episode that failed does not count."""
    known = {label.episode: label for label in labels}
    valid = [(place, each) for place, each in enumerate(findings) if each.error is None]
    pairs = [(known[each.episode], each.told(setting)) for _, each in valid]
    times = [seconds for pair in pairs if (seconds := time_to_tell_s(*pair)) is not None]
    wrong = tuple(place for (place, _), pair in zip(valid, pairs, strict=True) if not is_right(*pair))
    return DetectionScore(
        setting,
        _rates(pairs, MOST_S[setting]),
        _time(times),
        tuple(_tallies(labels, [each for _, each in valid], setting)),
        wrong,
    )


def blamed(label: EpisodeLabel, told: Sequence[ToldIncident]) -> Sequence[ToldIncident]:
    """The incidents that blame somebody: those with the cause neighbours, and where nothing happens all of them."""
    if label.expects is Expectation.NOTHING:
        return told
    return [each for each in told if each.cause is EventCause.NEIGHBOURS]


def found(label: EpisodeLabel, told: Sequence[ToldIncident]) -> ToldIncident | None:
    """The first incident since the change that blames neighbours, of an episode in which one arrives."""
    if label.expects is not Expectation.NEIGHBOURS:
        return None
    return next((each for each in blamed(label, told) if each.after_s >= 0), None)


def is_right(label: EpisodeLabel, told: Sequence[ToldIncident]) -> bool:
    """Whether all was told as labelled.

    Where neighbours arrive, one of them is named first by every incident that blames anybody, and there is one; where a
    quota comes, that it binds is told; where nobody is to blame, nobody is blamed.
    """
    accused = blamed(label, told)
    if label.expects is Expectation.NEIGHBOURS:
        return found(label, told) is not None and all(
            each.suspect in label.culprits and each.after_s >= 0 for each in accused
        )
    return not accused and (label.expects is not Expectation.THROTTLED or _tells_quota(told))


def time_to_tell_s(label: EpisodeLabel, told: Sequence[ToldIncident]) -> float | None:
    """How long after the neighbour was to be noticed it was told, in seconds; None: it was not, or none arrived."""
    first = found(label, told)
    return None if first is None else max(0.0, first.after_s - label.onset_s)


def _is_outside(told: ToldIncident) -> bool:
    return told.suspect is not None and (told.suspect.startswith("/") or told.suspect == KERNEL)


def _tells_quota(told: Sequence[ToldIncident]) -> bool:
    return any(each.cause is EventCause.THROTTLED and each.after_s >= 0 for each in told)


def _rates(pairs: Sequence[Pair], most_s: float) -> tuple[Rate, ...]:
    arrivals = [pair for pair in pairs if pair[0].expects is Expectation.NEIGHBOURS]
    others = [pair for pair in pairs if pair[0].expects is not Expectation.NEIGHBOURS]
    quotas = [pair for pair in pairs if pair[0].expects is Expectation.THROTTLED]
    firsts = [(label, first) for label, told in arrivals if (first := found(label, told))]
    accused = [pair for pair in pairs if blamed(*pair)]
    counted = {
        RECALL: (len(firsts), len(arrivals)),
        CULPRIT: (sum(first.suspect in label.culprits for label, first in firsts), len(firsts)),
        IN_TIME: (sum(first.after_s - label.onset_s <= most_s for label, first in firsts), len(firsts)),
        PRECISION: (sum(is_right(*pair) for pair in accused), len(accused)),
        FALSE_ALARMS: (sum(bool(blamed(*pair)) for pair in others), len(others)),
        OUTSIDE: (sum(any(map(_is_outside, told)) for _, told in pairs), len(pairs)),
        QUOTAS: (sum(is_right(*pair) for pair in quotas), len(quotas)),
    }
    return tuple(
        rate(name, MEANINGS[name].format(most_s=most_s), *counts) for name, counts in counted.items()
    )


def _time(times: Sequence[float]) -> DetectionTime:
    if not times:
        return DetectionTime(0, None, None, None, None)
    tenths = quantiles(times, n=10, method="inclusive") if len(times) > 1 else [times[0]] * 9
    return DetectionTime(len(times), median(times), tenths[0], tenths[-1], max(times))


def _tallies(
    labels: Sequence[EpisodeLabel], findings: Sequence[EpisodeFinding], setting: DetectionSetting
) -> Iterator[EpisodeTally]:
    """Each kind of which there was one, in the order of the labels."""
    for label in labels:
        of = [each for each in findings if each.episode == label.episode]
        if of:
            told = [each.told(setting) for each in of]
            yield EpisodeTally(
                label.episode,
                len(of),
                sum(is_right(label, each) for each in told),
                _median(time_to_tell_s(label, each) for each in told),
                _median(each.contention_before for each in of),
                _median(each.contention_after for each in of),
            )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
