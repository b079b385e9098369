"""What is said of an event agrees with its own figures."""

from hypothesis import given
from hypothesis import strategies as st

from agent.detection.detector import Detector, Settings
from agent.detection.rules import Rule
from agent.detection.series import Persistence
from agent.documents.event import Episode, Event, EventCause
from collectors.windows.sched import KERNEL, OTHER, REST, CgroupWindow
from reports.sections.events import event_listing
from tests.agent.analysis.trials import NEIGHBOUR, cgroup, window

SOME_S = st.floats(0, 20).map(lambda seconds: round(seconds, 2))
NAMES = [NEIGHBOUR, "/batch", "/", KERNEL, OTHER, REST]
SETTINGS = Settings(
    (Rule("wait_per_run", "threshold", 0.01), Rule("throttled_share", "threshold", 0.01)), Persistence(1, 1)
)


def events(usual: CgroupWindow, bad: CgroupWindow) -> list[Event]:
    """What is raised by one bad window after seven usual ones."""
    detector = Detector(SETTINGS)
    for _ in range(7):
        detector.step(window(usual, duration_s=10.0), 0)
    return list(detector.step(window(bad, duration_s=10.0), 0))


def sentence(event: Event) -> str:
    episode = Episode(since="2026-03-01T03:12:00+00:00", duration_s=80.0, over=True, event=event)
    return event_listing((episode,)).items[0]


@given(
    st.sampled_from([0.0, 2.0]),
    st.builds(
        cgroup,
        st.floats(0.5, 9.0),
        st.dictionaries(st.sampled_from(NAMES), SOME_S),
        self_s=SOME_S,
        throttled_s=SOME_S,
        stolen_s=st.floats(0, 1),
        unattributed_s=SOME_S,
    ),
)
def test_nobody_is_to_blame_only_where_at_most_half_of_the_wait_was_for_others(
    usual_s: float, bad: CgroupWindow
) -> None:
    waits_ns = sum(wait.wait_ns for wait in bad.waited_for.values())
    others_pct = 100 * waits_ns / bad.wait_ns if bad.wait_ns else 0.0
    for event in events(cgroup(usual_s), bad):
        text = sentence(event)
        assert (event.others_pct or 0) == round(others_pct, 1) or abs(
            (event.others_pct or 0) - others_pct
        ) < 0.1
        if others_pct > 50.05:
            assert "nobody" not in text
            assert "nothing that was seen" not in text


def test_its_own_load_has_a_part_beside_others() -> None:
    bad = cgroup(5.0, {NEIGHBOUR: 4.0, "/batch": 2.0}, self_s=3.0)
    (event,) = events(cgroup(2.0), bad)
    assert (event.cause, event.others_pct) == (EventCause.OWN_LOAD, 66.7)
    assert sentence(event).endswith(
        "and own-load has a part in it (it kept 0.50 CPUs busy, usually 0.20; whether for more work, or slowed through "
        "caches, could not be told without counted instructions), "
        f"while 67 % of its wait was for others, most for {NEIGHBOUR} (44 %)."
    )


def test_who_is_waited_for_as_usual_is_named_all_the_same() -> None:
    # With as many small waits, none is a suspect.
    bad = cgroup(2.0, {f"/pod-{number}": 0.2 for number in range(30)})
    (event,) = events(cgroup(2.0), bad)
    assert (event.cause, event.suspects) == (EventCause.UNKNOWN, ())
    assert sentence(event).endswith(
        "while 100 % of its wait was for others, most for /pod-0 (3 %), for none of them much longer than usual."
    )
