"""What is usual by the hour, what is harm where nothing is known, and how long it must last."""

from collections.abc import Iterable

import pytest

from agent.detection.detector import Detector, Settings
from agent.detection.harm import FAST_LASTING_S, LASTING_S, Harm, moment_of, reach_of
from agent.detection.indicators import INDICATORS, even, uneven
from agent.detection.rules import Rule
from agent.documents.event import Event, EventCause, EventState
from collectors.windows.sched import CgroupWindow
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window
from tests.agent.detection.scenes import EPOCH_NS

NS = 10**9
CONTENTION = Rule("contention", "budget", 1.0)
HOUR = 360  # windows


def waits(ratio: float) -> CgroupWindow:
    """Wants a CPU for 5 of 10 seconds, and waits behind its neighbour for this part of them."""
    return cgroup(5 * (1 - ratio), {NEIGHBOUR: 5 * ratio})


def told(
    ratios: Iterable[float | None], *, window_s: float = 10.0, lasting_s: float = LASTING_S
) -> list[tuple[float, Event]]:
    """(seconds since the begin, event) of each event; None: the cgroup does nothing."""
    detector = Detector(Settings((CONTENTION,), lasting_s=lasting_s))
    kept: dict[float, CgroupWindow] = {}
    found = []
    for number, ratio in enumerate(ratios, 1):
        parts = () if ratio is None else (kept.setdefault(ratio, waits(ratio)),)
        ended_s = number * window_s
        seen = window(*parts, duration_s=window_s)
        found += [(ended_s, event) for event in detector.step(seen, EPOCH_NS + round(ended_s) * NS)]
    return found


def test_who_is_starved_from_the_first_window_on_is_told_within_three_minutes() -> None:
    (seconds, event), *more = told([0.997] * 60)
    assert seconds <= 180
    assert (event.victim, event.cause, event.state) == (VICTIM, EventCause.NEIGHBOURS, EventState.RAISED)
    assert event.suspects[0].cgroup == NEIGHBOUR
    assert event.baseline is None
    assert event.limit == pytest.approx(0.95)
    assert event.since_utc_ns == EPOCH_NS
    assert more == []


@pytest.mark.parametrize(
    ("window_s", "lasting_s", "within_s"),
    [(10, LASTING_S, 180), (1, LASTING_S, 180), (1, FAST_LASTING_S, 20)],
)
def test_how_long_it_lasts_decides_and_not_how_many_windows(
    window_s: float, lasting_s: float, within_s: float
) -> None:
    quiet, spike, episode = (round(seconds / window_s) for seconds in (4 * 3600, lasting_s / 3, 4 * within_s))
    assert (
        told([0.05] * quiet + [0.9] * spike + [0.05] * episode, window_s=window_s, lasting_s=lasting_s) == []
    )
    scene = [0.05] * quiet + [0.3] * episode + [0.05] * episode
    began_s = window_s * quiet
    (raised_s, raised), (cleared_s, cleared) = told(scene, window_s=window_s, lasting_s=lasting_s)
    assert began_s < raised_s <= began_s + within_s
    assert began_s + window_s * episode < cleared_s
    assert (raised.state, cleared.state) == (EventState.RAISED, EventState.CLEARED)
    assert raised.baseline == pytest.approx(0.05, abs=0.01)


def test_a_rise_by_a_tenth_is_told_on_a_quiet_host() -> None:
    for usually in (0.0, 0.2, 0.5, 0.8):
        scene = [usually] * 25 * HOUR + [usually + 0.101] * 18
        assert [event.state for _, event in told(scene) if event.baseline is not None] == [
            EventState.RAISED
        ], usually


def test_a_job_of_every_hour_and_one_of_every_night_become_usual() -> None:
    hour = [0.1] * (HOUR - 30) + [0.5] * 30
    assert told(hour * 24) == []
    day = [0.1] * 20 * HOUR + [0.7] * (HOUR // 2) + [0.1] * (3 * HOUR + HOUR // 2)
    times = [seconds for seconds, event in told(day * 4) if event.state is EventState.RAISED]
    assert len(times) == 1
    assert times[0] < 24 * 3600


def test_one_bad_hour_does_not_make_it_usual() -> None:
    day = [0.1] * 24 * HOUR
    bad = [0.1] * 10 * HOUR + [0.7] * 60 + [0.1] * (14 * HOUR - 60)
    times = [
        seconds / 86_400 for seconds, event in told(day * 3 + bad * 2) if event.state is EventState.RAISED
    ]
    assert [int(time) for time in times] == [3, 4]


def test_what_has_come_to_stay_is_usual_within_a_working_day() -> None:
    scene = [0.1] * 24 * HOUR + [0.5] * 24 * HOUR
    (raised_s, _), (cleared_s, cleared) = told(scene)
    assert raised_s < 24 * 3600 + 180
    assert cleared_s - raised_s < 9 * 3600
    assert cleared.state is EventState.CLEARED


def test_who_hardly_ever_runs_has_no_usual_and_only_harm_by_any_measure_is_told() -> None:
    rare = ([None] * (HOUR - 20) + [0.05] * 20) * 30
    assert told([*rare, *[0.5] * 30]) == []
    assert [event.state for _, event in told([*rare, *[0.98] * 30])] == [EventState.RAISED]


def test_who_falls_silent_is_cleared() -> None:
    states = [event.state for _, event in told([*[0.98] * 30, *[None] * 30])]
    assert states == [EventState.RAISED, EventState.CLEARED]


def test_a_smaller_budget_and_more_cgroups_reach_further() -> None:
    reaches = [reach_of(1.0, 1), reach_of(1.0, 100), reach_of(0.1, 100), reach_of(1.0, 10_000)]
    assert reaches == sorted(reaches)
    # Of 1,680,000 hours one may be beyond: ln(1,680,000) less Euler's constant, in deviations of Gumbel's law.
    assert reach_of(1.0, 10_000) == pytest.approx((14.334 - 0.577) / 1.2825, abs=0.001)


@pytest.mark.parametrize("name", INDICATORS)
def test_a_scale_leads_back(name: str) -> None:
    indicator = INDICATORS[name]
    for value in (0.03, 0.2, 0.5, 0.9):
        assert uneven(indicator, even(indicator, value)) == pytest.approx(value)
    sign = 1 if indicator.worse == "higher" else -1
    assert sign * even(indicator, 0.9) > sign * even(indicator, 0.1) or sign < 0
    harm, at = Harm(), moment_of(EPOCH_NS, 10 * NS, 5.0, 60.0)
    assert not harm.step(indicator, None, at, None)
    assert harm.is_at_rest
