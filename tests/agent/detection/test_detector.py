"""When an event is raised, whom it names, when it is cleared, and what is remembered."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from agent.detection import detector as detecting
from agent.detection.detector import Detector, Settings
from agent.detection.gates import BLAME_LEFT_OUT
from agent.detection.rules import Method, Rule
from agent.detection.series import ADOPTED_AFTER, Persistence
from agent.documents.event import Event, EventCause, EventState
from collectors.windows.sched import KERNEL, OTHER, CgroupWindow, SchedWindow, WaitFor
from collectors.windows.signals import HostSignals, SignalWindow
from probes.perf_event import CYCLES, INSTRUCTIONS, Reading
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window
from tests.agent.detection.scenes import WINDOW_S, crowded, throttled, told, usual

WAIT = Settings((Rule("wait_per_run", "sigma", 4.0),))
QUIET = [usual()] * 10
Scene = Iterable[CgroupWindow | Iterable[CgroupWindow]]


def states(settings: Settings, scene: Scene) -> list[tuple[int, EventState]]:
    return [(number, event.state) for number, event in told(Detector(settings), scene)]


def test_a_neighbour_is_named_with_its_second_window() -> None:
    ((number, event),) = told(Detector(WAIT), [*QUIET, crowded(), crowded(), crowded()])
    assert number == 11
    assert (event.victim, event.indicator, event.state) == (VICTIM, "wait_per_run", EventState.RAISED)
    assert event.baseline == pytest.approx(0.025)
    assert event.value == pytest.approx(4.5 / 2)
    assert event.cause is EventCause.NEIGHBOURS
    # It waited 3.95 s longer than usual for it, 0.2 for the other, which is under 5 %, and 0.3 for nobody known.
    assert [(suspect.cgroup, suspect.share_pct) for suspect in event.suspects] == [(NEIGHBOUR, 88.8)]
    assert event.utc_ns - event.since_utc_ns == 20 * 10**9


def test_an_event_says_when_the_probe_had_left_out_whom_it_waited_for() -> None:
    detector = Detector(WAIT)
    for scene in QUIET:
        detector.step(window(scene, duration_s=WINDOW_S), 0)
    shed = replace(window(cgroup(2.0, unattributed_s=4.5), duration_s=WINDOW_S), shed=("blame",))
    (event,) = [event for _ in range(2) for event in detector.step(shed, 0)]
    assert (event.cause, event.suspects) == (EventCause.UNKNOWN, ())
    assert event.findings[-1] == BLAME_LEFT_OUT
    assert BLAME_LEFT_OUT.text in Event.from_document(event.to_document()).findings[-1].text


def test_one_window_is_not_enough() -> None:
    assert states(WAIT, [*QUIET, crowded(), usual(), usual(), crowded(), *QUIET]) == []


@pytest.mark.parametrize("gap", [1, 2])
def test_two_of_three_windows_are(gap: int) -> None:
    found = states(WAIT, [*QUIET, crowded(), *[usual()] * gap, crowded()])
    assert found == ([(12, EventState.RAISED)] if gap == 1 else [])


def test_it_is_raised_once_and_cleared_when_all_is_well_for_as_long() -> None:
    found = states(WAIT, [*QUIET, *[crowded()] * 20, usual(), crowded(), *QUIET])
    assert found == [(11, EventState.RAISED), (34, EventState.CLEARED)]


def test_a_cgroup_that_falls_silent_is_cleared_without_a_value() -> None:
    found = list(told(Detector(WAIT), [*QUIET, crowded(), crowded(), [], [], []]))
    assert [(number, event.state) for number, event in found] == [
        (11, EventState.RAISED),
        (14, EventState.CLEARED),
    ]
    raised, cleared = (event for _, event in found)
    assert cleared.value is None
    assert (cleared.cause, cleared.suspects, cleared.since_utc_ns) == (
        raised.cause,
        raised.suspects,
        raised.since_utc_ns,
    )


def test_a_victim_that_throttles_itself_blames_nobody() -> None:
    seen: list[str] = []

    def find_quota(path: str) -> tuple[str, float]:
        seen.append(path)
        return path, 0.2

    ((number, event),) = told(Detector(find_quota=find_quota), [*QUIET, throttled(), throttled()])
    assert (number, event.indicator, event.cause, event.suspects) == (
        11,
        "throttled_share",
        EventCause.THROTTLED,
        (),
    )
    throttling = next(finding for finding in event.findings if finding.gate == "throttling")
    assert throttling.explains is True
    assert throttling.text == "99 % of its wait was for its own quota, 0.2 CPUs"
    assert seen == [VICTIM]


def test_an_ancestors_quota_is_named() -> None:
    found = told(Detector(find_quota=lambda _: ("/jostle-1", 0.5)), [*QUIET, throttled(), throttled()])
    ((_, event),) = found
    assert "for the quota of /jostle-1, 0.5 CPUs" in event.findings[0].text


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (cgroup(2.0, {NEIGHBOUR: 2.0}, throttled_s=9.0), EventCause.THROTTLED),
        (cgroup(2.0, {NEIGHBOUR: 2.0}, self_s=3.0), EventCause.OWN_LOAD),
        (cgroup(5.0, {NEIGHBOUR: 8.0}), EventCause.OWN_LOAD),
        (cgroup(2.0, {NEIGHBOUR: 4.0}, stolen_s=0.5), EventCause.STEAL),
        (cgroup(2.0, unattributed_s=4.0), EventCause.UNKNOWN),
        (cgroup(2.0, {NEIGHBOUR: 4.0}, stolen_s=0.1), EventCause.NEIGHBOURS),
    ],
    ids=["throttled", "own threads", "own load", "steal", "nobody known", "neighbour"],
)
def test_a_neighbour_is_blamed_only_when_nothing_else_explains_it(
    bad: CgroupWindow, cause: EventCause
) -> None:
    ((_, event),) = told(Detector(WAIT), [*QUIET, bad, bad])
    assert event.cause is cause
    assert bool(event.suspects) == (cause is EventCause.NEIGHBOURS)


@pytest.mark.parametrize(
    ("method", "limit", "baseline"),
    [("baseline", 50.0, 0.03), ("percent", 100.0, 0.025), ("sigma", 4.0, 0.025), ("threshold", 1.0, None)],
)
def test_each_method_compares_with_its_own(method: Method, limit: float, baseline: float | None) -> None:
    stored = {(VICTIM, "wait_per_run"): 0.03}
    detector = Detector(Settings((Rule("wait_per_run", method, limit),)), stored)
    ((_, event),) = told(detector, [*QUIET, crowded(), crowded()])
    assert event.method == method
    assert event.baseline == (None if baseline is None else pytest.approx(baseline))
    assert event.value is not None
    assert event.value > event.limit


def test_without_something_to_compare_with_there_is_no_event() -> None:
    for method in ("baseline", "percent", "sigma"):
        assert states(Settings((Rule("wait_per_run", method, 1.0),)), [crowded()] * 40) == []
    assert states(Settings((Rule("wait_per_run", "threshold", 1.0),)), [crowded()] * 4) == [
        (1, EventState.RAISED)
    ]


def test_what_stays_becomes_usual() -> None:
    found = states(WAIT, [*QUIET, *[crowded()] * (ADOPTED_AFTER + 50)])
    assert found == [(11, EventState.RAISED), (10 + ADOPTED_AFTER - 1, EventState.CLEARED)]


def test_a_fixed_limit_never_becomes_usual() -> None:
    fixed = Settings((Rule("wait_per_run", "threshold", 1.0),))
    assert states(fixed, [crowded()] * (ADOPTED_AFTER + 50)) == [(1, EventState.RAISED)]


def counted(instructions: int, *cgroups: CgroupWindow, running_ratio: float = 1.0) -> SchedWindow:
    """A window in which the victim took a thousand cycles, counted for that share of the time."""
    counts = {
        event.name: Reading(round(number * running_ratio), 100, round(100 * running_ratio))
        for event, number in ((INSTRUCTIONS, instructions), (CYCLES, 1000))
    }
    signals = SignalWindow({}, HostSignals({}, {}), counters={VICTIM: counts})
    return replace(window(*cgroups, duration_s=10.0), signals=signals)


def test_a_low_ipc_blames_those_who_ran() -> None:
    detector = Detector(Settings((Rule("ipc", "percent", 20.0),), Persistence(2, 2)))
    cgroups = (usual(), cgroup(9.0, path=NEIGHBOUR), cgroup(1.0, path="/small"))
    found = [
        event
        for instructions in (*[2000] * 8, 1500, 1500)
        for event in detector.step(counted(instructions, *cgroups), 0)
    ]
    (event,) = found
    assert (event.victim, event.value) == (VICTIM, 1.5)
    assert event.baseline == pytest.approx(2.0)
    assert [(each.cgroup, each.share_pct) for each in event.suspects] == [(NEIGHBOUR, 90.0), ("/small", 10.0)]


def test_an_ipc_that_was_hardly_counted_says_nothing() -> None:
    detector = Detector(Settings((Rule("ipc", "threshold", 5.0),), Persistence(1, 1)))
    assert detector.step(counted(2000, usual(), running_ratio=0.5), 0) == []
    assert len(detector.step(counted(2000, usual()), 0)) == 1


@pytest.mark.parametrize(("times", "hurts"), [(499, False), (600, True)])
def test_preemptions_hurt_from_50_a_second_on(times: int, *, hurts: bool) -> None:
    detector = Detector(Settings((Rule("preempted_per_s", "threshold", 0.1),), Persistence(1, 1)))
    waits = {"/often": WaitFor(1, times - 100), NEIGHBOUR: WaitFor(10**9, 100)}
    busy = replace(cgroup(2.0), preempted_foreign=times, waited_for=waits)
    found = [event.suspects[0].cgroup for _, event in told(detector, [busy])]
    assert found == (["/often"] if hurts else [])


def test_kernel_threads_the_root_and_the_rest_are_no_victims() -> None:
    nobody = (KERNEL, OTHER, "/")
    scene = [[usual(path) for path in nobody]] * 10 + [[crowded(path) for path in nobody]] * 5
    assert states(WAIT, scene) == []


def test_what_is_gone_is_forgotten() -> None:
    detector = Detector(WAIT)
    list(told(detector, ([usual(), usual(f"/pod-{number}")] for number in range(1000))))
    assert detector.tracked <= detecting.FORGOTTEN_AFTER + 1


def test_too_many_push_out_those_that_were_silent_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detecting, "LEAST_ROOM", 10)
    detector = Detector(WAIT)
    crowd = [[usual(), *(usual(f"/pod-{n}-{number}") for n in range(5))] for number in range(12)]
    list(told(detector, crowd))
    assert detector.tracked == 2 * 6
    # The victim was there all along, and what is usual for it is known.
    assert [number for number, _ in told(detector, [crowded(), crowded()], begin=12)] == [13]


def test_however_many_do_something_the_room_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detecting, "MOST_ROOM", 10)
    detector = Detector(WAIT)
    list(told(detector, [[usual(f"/pod-{number}") for number in range(50)]]))
    assert detector.tracked == 10


def test_other_settings_keep_what_they_share_and_clear_the_rest() -> None:
    first, second = Rule("wait_per_run", "sigma", 4.0), Rule("wait_per_run", "threshold", 1.0)
    detector = Detector(Settings((first, second)))
    raised = [event for _, event in told(detector, [*QUIET, crowded(), crowded()])]
    assert [event.method for event in raised] == ["sigma", "threshold"]
    detector.change(Settings((first,)))
    ((_, cleared),) = told(detector, [crowded()], begin=12)
    assert (cleared.method, cleared.state) == ("threshold", EventState.CLEARED)
    found = [(event.method, event.state) for _, event in told(detector, [usual()] * 3, begin=13)]
    assert found == [("sigma", EventState.CLEARED)]
