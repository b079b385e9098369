"""Events in pairs: what was raised and what cleared it, over the agent's restarts."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from agent.documents.event import Event, EventCause, EventState
from agent.store.episodes import episodes

NS = 10**9
RAISED = Event(
    utc_ns=120 * NS,
    state=EventState.RAISED,
    since_utc_ns=100 * NS,
    victim="/a",
    indicator="wait_per_run",
    unit="s/s",
    method="sigma",
    baseline=0.1,
    limit=0.5,
    value=2.0,
    cause=EventCause.UNKNOWN,
    suspects=(),
    findings=(),
)
CLEARED = replace(RAISED, utc_ns=160 * NS, state=EventState.CLEARED, value=None)


def test_it_lasts_from_the_first_window_beyond_the_limit_until_it_is_cleared() -> None:
    (found,) = episodes([(1, RAISED), (1, CLEARED)], {1: 900 * NS})
    assert (found.event, found.duration_s, found.over) == (RAISED, 60.0, True)
    assert found.until_utc_ns == CLEARED.utc_ns
    assert datetime.fromisoformat(found.since).timestamp() == 100


def test_one_that_is_not_cleared_lasts_as_long_as_anybody_watched() -> None:
    again = replace(RAISED, utc_ns=1020 * NS, since_utc_ns=1000 * NS)
    found = episodes([(1, RAISED), (2, again)], {1: 300 * NS, 2: 1100 * NS})
    assert [(each.duration_s, each.over) for each in found] == [(200.0, False), (100.0, False)]


def test_one_of_which_the_beginning_is_no_longer_kept_says_the_rest() -> None:
    (found,) = episodes([(1, CLEARED)], {1: 900 * NS})
    assert (found.event, found.duration_s, found.over) == (CLEARED, 60.0, True)


@pytest.mark.parametrize("other", [{"victim": "/b"}, {"indicator": "ipc"}, {"method": "percent"}])
def test_each_victim_signal_and_method_has_its_own(other: dict[str, str]) -> None:
    late = replace(RAISED, since_utc_ns=110 * NS, **other)
    told = [
        (1, late),
        (1, RAISED),
        (1, replace(late, utc_ns=150 * NS, state=EventState.CLEARED)),
        (1, CLEARED),
    ]
    found = episodes(told, {1: 900 * NS})
    assert [(each.event, each.duration_s) for each in found] == [(RAISED, 60.0), (late, 40.0)]
