"""Who ran more than its weight entitles it to, and what to do: each by its own arithmetic."""

import pytest

from agent.detection.suspects import judged
from agent.documents.event import Entitlement, Event, EventCause, Suspect
from collectors.windows.entitlement import Weights, share_of
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup
from tests.agent.daemon.observations import event

FOUND = (Suspect(NEIGHBOUR, 90.0),)


@pytest.mark.parametrize(
    ("weights", "seconds", "entitlement", "times"),
    [
        ((100, 400), (2.0, 10.0, 8.0), Entitlement.BELOW, 1.0),  # it has 4/5, as its weight promises
        ((100, 100), (2.5, 10.0, 7.5), Entitlement.ABOVE, 1.5),  # 3/4 beside one that wants as much
        ((100, 100), (5.0, 10.0, 5.0), Entitlement.NOBODY, 1.0),
        ((400, 100), (5.0, 10.0, 5.0), Entitlement.ABOVE, 2.5),
        (
            (100, 100),
            (1.0, 1.05, 9.0),
            Entitlement.NOBODY,
            1.01,
        ),  # 9/10, of which the victim wanted hardly any
        ((100, 100), (0.0, 10.0, 10.0), Entitlement.ABOVE, 2.0),
        ((100, 10_000), (0.1, 10.0, 9.9), Entitlement.BELOW, 1.0),
    ],
)
def test_who_is_above_its_entitlement(
    weights: Weights, seconds: tuple[float, float, float], entitlement: Entitlement, times: float
) -> None:
    victim_s, wants_s, neighbour_s = seconds
    victim = cgroup(victim_s, {NEIGHBOUR: wants_s - victim_s}, throttled_s=50.0)
    every = {VICTIM: victim, NEIGHBOUR: cgroup(neighbour_s, path=NEIGHBOUR)}
    found = judged(FOUND, VICTIM, every, lambda _victim, _other: weights)
    assert found.entitlement is entitlement
    assert found.suspects[0].above_entitlement is (entitlement is Entitlement.ABOVE)
    assert found.suspects[0].entitled_times == pytest.approx(times, abs=0.03)
    assert found.advice is not None
    assert ("quota" in found.advice, "more weight" in found.advice, "another host" in found.advice) == (
        entitlement is Entitlement.ABOVE,
        entitlement is Entitlement.BELOW,
        entitlement is not Entitlement.BELOW,
    )


def test_pods_share_by_the_weights_of_their_ancestors_that_are_siblings() -> None:
    every = {
        path: cgroup(run_s, path=path)
        for path, run_s in {"/k/web/a": 1.0, "/k/web/b": 1.0, "/k/batch/x": 3.0, "/k/batch/y": 5.0}.items()
    }
    share = share_of((1, 1), "/k/web/a", "/k/batch/y", every)
    assert share is not None
    assert share.had == 2.0 / 10.0


def test_without_weights_nothing_is_said() -> None:
    every = {VICTIM: cgroup(1.0, {NEIGHBOUR: 1.0}), NEIGHBOUR: cgroup(1.0, path=NEIGHBOUR)}
    unknown = judged(FOUND, VICTIM, every, lambda _victim, _other: None)
    assert (unknown.suspects, unknown.entitlement, unknown.advice) == (FOUND, None, None)
    assert judged((Suspect("kernel", 90.0),), VICTIM, every, lambda *_: (1, 1)).entitlement is None
    assert judged((), VICTIM, every, lambda *_: (1, 1)).suspects == ()
    told = event(VICTIM, suspects=FOUND, cause=EventCause.NEIGHBOURS)
    assert "entitlement" not in told.to_document()
    assert Event.from_document(told.to_document()) == told
