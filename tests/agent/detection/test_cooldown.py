"""One situation is told once: its begin, and its end when it was quiet for long enough."""

from msgspec.structs import replace

from agent.detection.cooldown import Cooldown
from agent.detection.detector import Detector
from agent.documents.event import Event, EventState
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window
from tests.agent.detection.scenes import EPOCH_NS, NS, WINDOW_S, crowded, usual

QUIET, BAD = [usual()] * 10, [crowded()] * 3
CALM = [usual()] * 4


def told(length_s: float, scene: list[object]) -> list[tuple[int, Event]]:
    """(number of the window, event) of all that a detector with the default rules raises, after the cool-down."""
    detector, cooldown, found = Detector(), Cooldown(length_s), []
    for number, one in enumerate(scene):
        utc_ns = EPOCH_NS + round(number * WINDOW_S) * NS
        events = detector.step(window(one, duration_s=WINDOW_S), utc_ns)  # type: ignore[arg-type]  # a scene's
        found += [(number, event) for event in cooldown.told(events, utc_ns)]
    return found


def test_raised_and_cleared_again_and_again_is_one_episode() -> None:
    scene = [*QUIET, *(each for _ in range(4) for each in (*BAD, *CALM)), *[usual()] * 40]
    assert len(told(0, [*scene])) == 8
    (first, begin), (last, end) = told(300, [*scene])
    assert (first, begin.state, end.state) == (11, EventState.RAISED, EventState.CLEARED)
    assert end == replace(begin, state=EventState.CLEARED, utc_ns=end.utc_ns, value=end.value)
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
    detector = Detector()
    first = next(
        each
        for number, one in enumerate([*QUIET, *BAD])
        for each in detector.step(window(one, duration_s=WINDOW_S), number)
    )
    return replace(first, indicator=signal, state=state, utc_ns=utc_s * NS, since_utc_ns=since_s * NS)


def test_two_signals_of_a_pair_are_one_episode_that_lasts_as_long_as_both() -> None:
    cooldown = Cooldown(0)
    first, second = (event(signal, EventState.RAISED, 10, 1) for signal in ("wait_per_run", "wait_p99"))
    assert list(cooldown.told([first, second], 10 * NS)) == [first]
    assert list(cooldown.told([replace(first, state=EventState.CLEARED, utc_ns=20 * NS)], 20 * NS)) == []
    (end,) = cooldown.told([replace(second, state=EventState.CLEARED, utc_ns=30 * NS, value=7.0)], 30 * NS)
    assert (end.indicator, end.utc_ns, end.value) == ("wait_per_run", 30 * NS, first.value)
    assert end.victim == VICTIM
