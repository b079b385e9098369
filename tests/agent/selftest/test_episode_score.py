"""What is told of episodes, against counts made by hand."""

import pytest

from agent.documents.event import EventCause
from agent.documents.selftest_detection import (
    DetectionScore,
    DetectionSetting,
    EpisodeFinding,
    EpisodeLabel,
    ToldIncident,
)
from agent.selftest.episode_score import (
    CULPRIT,
    FALSE_ALARMS,
    IN_TIME,
    OUTSIDE,
    PRECISION,
    QUOTAS,
    RECALL,
    is_right,
    score,
    time_to_tell_s,
)
from tests.agent.selftest.told import ARRIVES, LABELS, OWN, QUIET, QUOTA, blames, finding, selftest, tells

THROTTLED, OWN_LOAD, UNKNOWN = EventCause.THROTTLED, EventCause.OWN_LOAD, EventCause.UNKNOWN


def by_default(*findings: EpisodeFinding) -> DetectionScore:
    return score(LABELS, findings, DetectionSetting.DEFAULT)


def counts(*findings: EpisodeFinding) -> dict[str, tuple[int, int]]:
    return {rate.name: (rate.hits, rate.trials) for rate in by_default(*findings).rates}


def test_all_right() -> None:
    assert counts(*selftest().findings) == {
        RECALL: (1, 1),
        CULPRIT: (1, 1),
        IN_TIME: (1, 1),
        PRECISION: (1, 1),
        FALSE_ALARMS: (0, 3),
        OUTSIDE: (0, 4),
        QUOTAS: (1, 1),
    }


@pytest.mark.parametrize(
    ("label", "told", "right"),
    [
        (ARRIVES, (blames("neighbour-2"),), True),
        (ARRIVES, (tells(OWN_LOAD), blames("neighbour-1")), True),
        (ARRIVES, (), False),
        (ARRIVES, (tells(OWN_LOAD),), False),
        (ARRIVES, (blames("light"),), False),
        (ARRIVES, (blames("neighbour-1"), blames("light")), False),
        (ARRIVES, (blames("neighbour-1", -5.0), blames("neighbour-1")), False),
        (QUOTA, (tells(THROTTLED),), True),
        (QUOTA, (tells(THROTTLED, -5.0),), False),
        (QUOTA, (), False),
        (QUOTA, (tells(THROTTLED), blames("light")), False),
        (OWN, (), True),
        (OWN, (tells(OWN_LOAD), tells(UNKNOWN)), True),
        (OWN, (blames("batch"),), False),
        (QUIET, (), True),
        (QUIET, (tells(UNKNOWN),), False),
        (QUIET, (tells(UNKNOWN, -86_400.0),), False),
    ],
)
def test_what_is_right(label: EpisodeLabel, told: tuple[ToldIncident, ...], *, right: bool) -> None:
    assert is_right(label, told) is right
    assert by_default(finding(label, told)).wrong == (() if right else (0,))


def test_the_wrong_one_named_first_is_found_and_no_culprit() -> None:
    found = counts(finding(ARRIVES, (blames("light"), blames("neighbour-1"))))
    assert (found[RECALL], found[CULPRIT], found[PRECISION]) == ((1, 1), (0, 1), (0, 1))


def test_what_was_told_before_the_change_is_no_recall_but_an_alarm() -> None:
    found = counts(finding(ARRIVES, (blames("neighbour-1", -1.0),)))
    assert (found[RECALL], found[PRECISION]) == ((0, 1), (0, 1))


def test_any_incident_over_nothing_is_an_alarm_and_elsewhere_only_blame() -> None:
    found = counts(finding(QUIET, (tells(UNKNOWN),)), finding(OWN, (tells(UNKNOWN),)), finding(QUOTA))
    assert (found[FALSE_ALARMS], found[PRECISION], found[QUOTAS]) == ((1, 3), (0, 1), (0, 1))


def test_who_has_no_part_in_it_is_counted_apart_and_wrong_all_the_same() -> None:
    found = counts(
        *(finding(QUIET, (blames(whom),)) for whom in ("/", "/cron", "kernel", "light")), finding(OWN)
    )
    assert (found[OUTSIDE], found[FALSE_ALARMS], found[PRECISION]) == ((3, 5), (4, 5), (0, 4))


def test_an_episode_that_failed_does_not_count() -> None:
    found = by_default(finding(QUIET, error="no"), finding(OWN, (blames("batch"),)))
    assert {rate.trials for rate in found.rates if rate.name == FALSE_ALARMS} == {1}
    assert found.wrong == (1,)


def test_time_runs_from_when_it_is_to_be_noticed() -> None:
    assert time_to_tell_s(ARRIVES, (blames("neighbour-1", 92.0),)) == 80.0
    assert time_to_tell_s(ARRIVES, (blames("neighbour-1", 7.0),)) == 0.0
    assert time_to_tell_s(ARRIVES, (tells(OWN_LOAD),)) is None
    assert time_to_tell_s(OWN, (blames("batch"),)) is None


def test_each_setting_has_its_own_limit() -> None:
    late = finding(ARRIVES, (blames("neighbour-1", 33.0),), (blames("neighbour-1", 33.0),))
    in_time = {
        setting: next(rate.hits for rate in score(LABELS, [late], setting).rates if rate.name == IN_TIME)
        for setting in DetectionSetting
    }
    assert in_time == {DetectionSetting.DEFAULT: 1, DetectionSetting.FAST: 0}


def test_times_are_told_as_quantiles() -> None:
    found = by_default(*(finding(ARRIVES, (blames("neighbour-1", 12.0 + k),)) for k in range(11))).time
    assert (found.count, found.median_s, found.p10_s, found.p90_s, found.most_s) == (11, 5.0, 1.0, 9.0, 10.0)
    assert by_default().time.median_s is None


def test_a_rate_has_the_exact_interval() -> None:
    found = {rate.name: rate for rate in by_default(*[finding(QUIET)] * 56).rates}
    # Clopper and Pearson's upper bound at 0 of n is 1 - 0.025 ** (1 / n).
    assert found[FALSE_ALARMS].ci95_pct == pytest.approx((0.0, 100 * (1 - 0.025 ** (1 / 56))))
    assert found[RECALL].pct is None


def test_a_tally_per_kind_in_the_order_of_the_labels() -> None:
    found = by_default(finding(QUIET), finding(ARRIVES, (blames("neighbour-1"),)), finding(ARRIVES)).tallies
    assert [(each.episode, each.right, each.episodes) for each in found] == [("two", 1, 2), ("nothing", 1, 1)]
    assert (found[0].time_s, found[0].contention_after) == (80.0, 0.5)
