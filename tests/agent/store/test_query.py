"""A part of the history as a recording: which windows, what is said of them, and points of time as people give them."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.daemon.history_sink import History, Retention
from agent.documents.event import Event, EventState
from agent.store import query
from agent.store.query import Period, load_past, moment_ns
from agent.store.run_file import Notes, Run, pack
from agent.store.windows import insert_event
from collectors.windows.sched import CpuWindow, totals
from collectors.windows.signals import HostSignals, SignalWindow
from collectors.windows.sums import add_windows
from probes.errors import UsageError
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import cgroup, window
from tests.agent.daemon.observations import EPOCH_NS, NS, WINDOW_S, event, observation
from tests.agent.store.checksums import rechecked

NOW = datetime.fromisoformat("2026-03-05T03:10:30")


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("now", "2026-03-05T02:10:30"),
        ("30m", "2026-03-05T01:40:30"),
        ("1.5h", "2026-03-05T00:40:30"),
        ("2d", "2026-03-03T02:10:30"),
        ("03:00", "2026-03-05T02:00:00"),
        ("3:10:30", "2026-03-05T02:10:30"),
        ("03:12", "2026-03-04T02:12:00"),  # has not been today: yesterday's
        ("2026-03-01T03:12", "2026-03-01T02:12:00"),
        ("2026-03-01", "2026-02-28T23:00:00"),
        ("2026-03-01 03:12:01+00:00", "2026-03-01T03:12:01"),
        ("2025-07-01T03:12", "2025-07-01T01:12:00"),  # summer time
    ],
)
def test_points_of_time_as_people_give_them(text: str, utc: str) -> None:
    assert moment_ns(text, NOW) == round(datetime.fromisoformat(utc + "+00:00").timestamp()) * NS


@pytest.mark.parametrize("text", ["", "25:00", "03:60", "yesterday", "-5m", "5", "99999999d", "2026-13-01"])
def test_what_is_no_point_of_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a point in time"):
        moment_ns(text, NOW)


@given(st.text(max_size=12))
def test_any_text_is_a_point_of_time_or_refused(text: str) -> None:
    try:
        moment_ns(text, NOW)
    except UsageError as error:
        assert "is not a point in time" in str(error)  # noqa: PT017  that it is raised is not the point


def at(number: float) -> int:
    return EPOCH_NS + round(number * WINDOW_S * NS)


def period(since: float, until: float) -> Period:
    """From one window's end to another's."""
    return Period(at(since), at(until))


def test_a_period_that_holds_no_time_is_refused() -> None:
    for since, until in ((1, 1), (2, 1)):
        with pytest.raises(UsageError, match="holds no time"):
            period(since, until)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def write(path: Path, *numbers: int, **facts: str) -> Path:
    """Two cgroups that ran for as many seconds as the window's number says."""
    retention = Retention(10**6 * NS * 86400, 2**40)
    with closing(History(path, retention, {"host": pack(HOST), "tier": "ebpf", **facts})) as history:
        for number in numbers:
            ran = [cgroup(number, {"/b": 1.0}, path="/kube/a"), cgroup(number, path="/b")]
            history.on_window(observation(number, *ran))
    return path


def notes(run: Run) -> str:
    return " ".join(run.record("notes", Notes).warnings)


def test_a_period_gives_its_windows_and_no_others(path: Path) -> None:
    run = load_past(write(path, *range(1, 10)), period(3, 5))
    assert [each.cgroups["/b"].run_ns // NS for each in run.windows] == [4, 5]
    assert run.meta["lost_windows"] == "0"
    assert notes(run) == ""
    assert not run.partial


def test_only_cgroups_that_match_are_read_with_all_they_waited_for(path: Path) -> None:
    run = load_past(write(path, 1), period(0, 1), ["/kube/*"])
    assert [list(each.cgroups) for each in run.windows] == [["/kube/a"]]
    assert list(run.windows[0].cgroups["/kube/a"].waited_for) == ["/b"]


def test_windows_that_are_missing_are_counted(path: Path) -> None:
    run = load_past(write(path, 1, 2, 5, 6, 8), period(0, 8))
    assert run.meta["lost_windows"] == "3"
    assert "the windows cover 0.8 of the 1.3 minutes asked for" in notes(run)


def test_a_time_without_an_agent_is_said_and_is_no_lost_window(path: Path) -> None:
    write(path, 1, 2, tier="ebpf")
    run = load_past(write(path, 50, 51, tier="schedstat"), period(0, 51))
    assert run.meta["lost_windows"] == "0"
    assert "the windows cover 0.7 of the 8.5 minutes" in notes(run)
    assert "restarts of the agent within it: 1" in notes(run)
    assert run.meta["tier"] == "schedstat"


def test_a_long_period_is_read_as_sums(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, *range(1, 8))
    write(path, *range(8, 11))
    monkeypatch.setattr(query, "MOST_WINDOWS", 4)
    run = load_past(path, period(0, 10))
    seconds = [each.duration_ns // NS for each in run.windows]
    assert seconds == [30, 30, 10, 30]  # none of two recordings
    assert [each.cgroups["/b"].run_ns // NS for each in run.windows] == [1 + 2 + 3, 4 + 5 + 6, 7, 8 + 9 + 10]
    assert "3 windows each were added up to one" in notes(run)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1), st.floats(0, 9), st.integers(0, 9)), min_size=1)
)
def test_a_sum_of_windows_holds_what_its_parts_do(parts: list[tuple[int, float, float, int]]) -> None:
    windows = [
        replace(
            window(cgroup(run_s, path="/a"), duration_s=run_s),
            cpus=(CpuWindow(running, waiting, switches),),
            untracked=switches,
        )
        for run_s, running, waiting, switches in parts
    ]
    whole = add_windows(windows)
    assert whole.cgroups == totals(windows)
    assert whole.duration_ns == sum(each.duration_ns for each in windows)
    busy_ns = sum(each.cpus[0].running * each.duration_ns for each in windows)
    assert whole.cpus[0].running * whole.duration_ns == pytest.approx(busy_ns)
    assert whole.cpus[0].switches == sum(each.cpus[0].switches for each in windows)
    assert whole.untracked == max(each.untracked for each in windows)


def test_a_sum_has_the_signals_of_those_windows_that_have_any() -> None:
    bare, host = window(cgroup(path="/a")), HostSignals({}, {"io_some_ns": 3})
    read = replace(bare, signals=SignalWindow({}, host))
    assert add_windows([bare, bare]).signals is None
    assert add_windows([read, bare, read]).signals == SignalWindow({}, HostSignals({}, {"io_some_ns": 6}))


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("hlt-web", "there is no cgroup hlt-web in the history"),
        ("/hlt*", "there is no cgroup that matches /hlt\\* in the history"),
        ("", "there is no cgroup without a name in the history"),
        ("bb", "perhaps one of: /b$"),
    ],
)
def test_a_filter_that_the_history_does_not_know_is_refused(path: Path, wanted: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_past(write(path, 1), period(0, 1), ["*", wanted])


def test_one_that_did_not_run_in_the_period_is_no_all_clear(path: Path) -> None:
    with closing(History(path, Retention(10**6 * NS * 86400, 2**40), {"host": pack(HOST)})) as history:
        history.on_window(observation(1, cgroup(1, path="/early")))
        history.on_window(observation(5, cgroup(1, path="/late")))
    assert [list(each.cgroups) for each in load_past(path, period(0, 1), ["early"]).windows] == [["/early"]]
    with pytest.raises(UsageError, match=r"no cgroup early in the history from 20.*: `jostle report"):
        load_past(path, period(4, 5), ["early"])


def told(path: Path, *events: Event) -> Path:
    with closing(sqlite3.connect(write(path, *range(1, 10)))) as db, db:
        for event in events:
            insert_event(db, 1, event.utc_ns, json.dumps(event.to_document()))
    return path


def lasting(victim: str, since: float, utc: float, state: EventState) -> Event:
    return structs.replace(event(victim, state=state), since_utc_ns=at(since), utc_ns=at(utc))


def test_a_period_has_the_events_that_lasted_into_it(path: Path) -> None:
    told(
        path,
        lasting("/kube/a", 1, 2, EventState.RAISED),
        lasting("/b", 2, 3, EventState.RAISED),
        lasting("/kube/a", 1, 4, EventState.CLEARED),
        lasting("/kube/a", 6, 7, EventState.RAISED),
    )

    def found(since: float, until: float, *globs: str) -> list[tuple[str, float, bool]]:
        episodes = load_past(path, period(since, until), globs).events
        assert episodes is not None
        return [(each.event.victim, each.duration_s / WINDOW_S, each.over) for each in episodes]

    assert found(0, 1) == []
    assert found(0, 9) == [("/kube/a", 3, True), ("/b", 7, False), ("/kube/a", 3, False)]
    assert found(3, 4) == [("/kube/a", 3, True), ("/b", 7, False)]
    assert found(4, 6) == [("/b", 7, False)]
    assert found(0, 9, "/kube/*") == [("/kube/a", 3, True), ("/kube/a", 3, False)]


@pytest.mark.parametrize("document", ["{", "[]", '{"schema": "jostle.event/1"}'])
def test_an_event_that_is_damaged_is_told(path: Path, document: str) -> None:
    with closing(sqlite3.connect(told(path, event("/b")))) as db, db:
        db.execute("UPDATE events SET document = ?", (document,))
        rechecked(db)
    with pytest.raises(UsageError, match=re.escape(str(path))):
        load_past(path, period(0, 9))


def test_a_period_of_which_nothing_is_held_says_what_is(path: Path) -> None:
    write(path, 1, 2)
    with pytest.raises(UsageError, match=r"holds nothing of .*: it holds 20\d\d-.* to 20\d\d-"):
        load_past(path, period(100, 200))


def test_an_empty_history_says_so(path: Path) -> None:
    with pytest.raises(UsageError, match="holds nothing yet"):
        load_past(write(path), period(0, 1))


@pytest.mark.parametrize("content", [None, b"", b"text\n", b"SQLite format 3\0" + bytes(100)])
def test_what_is_no_history_is_refused(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="history"):
        load_past(path, period(0, 1))
