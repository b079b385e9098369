"""One situation is told once: its begin, and its end when it was quiet for long enough."""

import pytest
from msgspec.structs import replace

from agent.detection.detector import Detector, Settings
from agent.detection.incidents import IncidentGrouper
from agent.detection.rules import Rule
from agent.documents.event import Event, EventState
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window
from tests.agent.detection.scenes import EPOCH_NS, NS, WINDOW_S, crowded, usual

QUIET, BAD = [usual()] * 10, [crowded()] * 3
CALM = [usual()] * 4

WAIT = Settings((Rule("wait_per_run", "sigma", 4.0),))


def told(length_s: float, scene: list[object]) -> list[tuple[int, Event]]:
    """(number of the window, event) of all that a detector with the default rules raises, after the cool-down."""
    detector, incidents, found = Detector(WAIT), IncidentGrouper(length_s), []
    for number, one in enumerate(scene):
        utc_ns = EPOCH_NS + round(number * WINDOW_S) * NS
        seen = window(*(one if isinstance(one, tuple) else (one,)), duration_s=WINDOW_S)
        found += [(number, event) for event in incidents.group(detector.step(seen, utc_ns), utc_ns, seen)]
    return found


def test_raised_and_cleared_again_and_again_is_one_episode() -> None:
    scene = [*QUIET, *(each for _ in range(4) for each in (*BAD, *CALM)), *[usual()] * 40]
    assert len(told(0, [*scene])) == 8
    (first, begin), (last, end) = told(300, [*scene])
    assert (first, begin.state, end.state) == (11, EventState.RAISED, EventState.CLEARED)
    same = ("victim", "since_utc_ns", "suspects", "findings", "cause", "limit")
    assert [getattr(end, name) for name in same] == [getattr(begin, name) for name in same]
    # The last of four spells of 7 windows is cleared in its sixth; that is told 30 windows of 10 s later.
    cleared = 10 + 3 * 7 + 5
    assert (last, end.utc_ns) == (cleared + 30, EPOCH_NS + cleared * 10 * NS)


def test_after_the_cooldown_it_is_told_again() -> None:
    scene = [*QUIET, *BAD, *[usual()] * 40, *BAD]
    assert [event.state for _, event in told(300, [*scene])] == [
        EventState.RAISED,
        EventState.CLEARED,
        EventState.RAISED,
    ]


def test_another_suspect_is_another_episode() -> None:
    other = cgroup(2.0, {"/other": 4.0})
    found = told(300, [*QUIET, *BAD, *CALM, other, other, other])
    assert [(event.state, event.suspects[0].cgroup) for _, event in found] == [
        (EventState.RAISED, NEIGHBOUR),
        (EventState.RAISED, "/other"),
    ]


def event(signal: str, state: EventState, utc_s: int, since_s: int) -> Event:
    detector = Detector(WAIT)
    first = next(
        each
        for number, one in enumerate([*QUIET, *BAD])
        for each in detector.step(window(one, duration_s=WINDOW_S), number)
    )
    return replace(first, indicator=signal, state=state, utc_ns=utc_s * NS, since_utc_ns=since_s * NS)


def test_two_signals_of_a_pair_are_one_episode_that_lasts_as_long_as_both() -> None:
    incidents = IncidentGrouper(0)
    first, second = (event(signal, EventState.RAISED, 10, 1) for signal in ("wait_per_run", "wait_p99"))
    assert list(incidents.group([first, second], 10 * NS)) == [first]
    assert list(incidents.group([replace(first, state=EventState.CLEARED, utc_ns=20 * NS)], 20 * NS)) == []
    (end,) = incidents.group([replace(second, state=EventState.CLEARED, utc_ns=30 * NS, value=7.0)], 30 * NS)
    assert (end.indicator, end.utc_ns, end.value) == ("wait_per_run", 30 * NS, first.value)
    assert end.victim == VICTIM


def test_the_victims_of_one_aggressor_are_one_incident_with_its_cost_and_the_worst_first() -> None:
    """Three victims, one after the other; each loses no more to the neighbour than that one ran."""
    neighbour = cgroup(6.0, path=NEIGHBOUR)
    paths = ("/a", "/b", "/c")

    def scene(*worse: str) -> tuple[object, ...]:
        return (neighbour, *(crowded(path) if path in worse else usual(path) for path in paths))

    bad = [scene("/a")] * 3 + [scene("/a", "/b")] * 6 + [scene("/a", "/b", "/c")] * 3
    (first, begin), (_, end) = told(60, [*[scene()] * 10, *bad, *[scene()] * 20])
    assert (first, begin.victim, begin.victims) == (11, "/a", ())
    assert (end.state, end.victim_count, end.since_utc_ns) == (EventState.CLEARED, 3, begin.since_utc_ns)
    costs = {each.cgroup: each.cost_cpu_s for each in end.victims}
    assert list(costs) == ["/a", "/b", "/c"]
    assert end.cost_cpu_s == pytest.approx(sum(costs.values()))
    # Four seconds in each of 12, 9 and 3 bad windows; the first of each is within the limit still, or all it lost then
    # is told as well; and a little in those that it takes to clear it.
    for path, windows in {"/a": 12, "/b": 9, "/c": 3}.items():
        assert 4.0 * (windows - 1) <= costs[path] <= 4.25 * (windows + 1) + 0.5, path
