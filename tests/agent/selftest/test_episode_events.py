"""What the detector tells of windows whose truth is known, after a day that was as the windows before the change."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, pairwise

import pytest

from agent.daemon.config import Config
from agent.daemon.detection import settings
from agent.detection.harm import HOUR_NS, LEAST_BUSY_S
from agent.documents.event import EventCause
from agent.documents.selftest_detection import DetectionSetting, ToldIncident
from agent.selftest.episode_events import (
    JUDGEMENTS,
    PAST_HOURS,
    EpisodeRecording,
    in_windows_of,
    incidents,
    merged,
    past,
)
from collectors.windows.sched import SchedWindow, WaitFor
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, VICTIM, cgroup, window
from tests.agent.detection.scenes import EPOCH_NS

NS = 10**9
BEFORE_S, AFTER_S = 60, 180


def recording(usual: SchedWindow, then: SchedWindow, after_s: int = AFTER_S) -> EpisodeRecording:
    """A second each, `usual` first."""
    windows = [
        replace(usual if second <= BEFORE_S else then, end_ns=second * NS)
        for second in range(1, BEFORE_S + after_s + 1)
    ]
    return EpisodeRecording(tuple(windows), BEFORE_S * NS, EPOCH_NS, "/jostle-1", ("victim",))


def second(waits: dict[str, float], *more: str) -> SchedWindow:
    """The victim wants all of a second, and these are in its way."""
    return window(cgroup(1 - sum(waits.values()), waits), *(cgroup(0.5, path=path) for path in more))


def by(setting: DetectionSetting, of: EpisodeRecording) -> Sequence[ToldIncident]:
    return incidents(of, JUDGEMENTS[setting], seed=5)


CALM, SLOWED = second({OTHER: 0.03}), second({OTHER: 0.03, NEIGHBOUR: 0.4})


@pytest.mark.parametrize(
    ("setting", "within_s"), [(DetectionSetting.DEFAULT, 180.0), (DetectionSetting.FAST, 20.0)]
)
def test_who_arrives_is_named_by_the_cgroups_name(setting: DetectionSetting, within_s: float) -> None:
    (told,) = by(setting, recording(CALM, SLOWED))
    assert (told.cause, told.suspect) == (EventCause.NEIGHBOURS, "neighbour-1")
    assert 0 < told.after_s <= within_s


@pytest.mark.parametrize("setting", DetectionSetting)
def test_who_has_always_been_there_is_not(setting: DetectionSetting) -> None:
    assert by(setting, recording(SLOWED, SLOWED)) == ()
    assert by(setting, recording(CALM, CALM)) == ()


def test_one_from_outside_is_named_by_its_path() -> None:
    (told,) = by(DetectionSetting.FAST, recording(CALM, second({OTHER: 0.4})))
    assert told.suspect == OTHER


def test_another_cgroup_is_no_victim() -> None:
    other = replace(cgroup(0.5, {VICTIM: 0.5}), path=NEIGHBOUR)
    beside = window(cgroup(0.97, {OTHER: 0.03}), other)
    assert by(DetectionSetting.FAST, recording(CALM, beside)) == ()


def test_without_a_past_only_starvation_would_be_told() -> None:
    told = incidents(replace(recording(CALM, SLOWED), change_ns=0), JUDGEMENTS[DetectionSetting.FAST], seed=5)
    assert told == ()


def test_the_settings_are_the_configurations() -> None:
    default = Config().detection
    assert JUDGEMENTS[DetectionSetting.DEFAULT].settings == settings(default)
    assert JUDGEMENTS[DetectionSetting.DEFAULT].window_s == Config().agent.window_s
    fast = type(default)(fast=True)
    assert JUDGEMENTS[DetectionSetting.FAST].settings == settings(fast)


def test_windows_are_added_up() -> None:
    whole = merged([replace(CALM, shed=("blame",)), replace(SLOWED, end_ns=9)])
    victim = whole.cgroups[VICTIM]
    assert (whole.end_ns, whole.duration_ns, whole.shed) == (9, 2 * NS, ("blame",))
    assert victim.run_ns == pytest.approx(1.54e9)
    assert victim.waited_for == {OTHER: WaitFor(60_000_000, 2), NEIGHBOUR: WaitFor(400_000_000, 1)}
    assert [each.duration_ns for each in in_windows_of(10, [CALM] * 25)] == [10 * NS] * 2


def test_the_past_is_a_day_with_enough_of_each_hour() -> None:
    until_ns = EPOCH_NS + 7 * 60 * NS
    played = list(past([CALM, SLOWED], until_ns, cycle([0.0, 0.7]).__next__))
    ends = [utc_ns for _, utc_ns in played]
    hours = {utc_ns // HOUR_NS for utc_ns in ends}
    assert all(before < after for before, after in pairwise(ends))
    assert len(hours) == PAST_HOURS
    assert max(hours) == until_ns // HOUR_NS - 1
    assert all(sum(utc_ns // HOUR_NS == hour for utc_ns in ends) >= LEAST_BUSY_S for hour in hours)
    firsts = [next(each for each, utc_ns in played if utc_ns // HOUR_NS == hour) for hour in sorted(hours)]
    assert {id(each) for each in firsts} == {id(CALM), id(SLOWED)}
    assert list(past([], until_ns, cycle([0.0, 0.7]).__next__)) == []


def test_the_contention_of_victims_that_are_not_there_is_unknown() -> None:
    of = recording(CALM, SLOWED)
    assert of.contention(of.before) == pytest.approx(0.03)
    assert of.contention(of.after) == pytest.approx(0.43)
    assert replace(of, victims=("release-1",)).contention(of.before) is None
