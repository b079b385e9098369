"""Windows in the tables for months: found by time and path, gone when they are to go; other versions are refused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store import windows as store
from agent.store.opening import open_to_read
from agent.store.run_file import read_run
from agent.store.windows import (
    WindowWriter,
    create_tables,
    holds_tables,
    insert_event,
    insert_facts,
    prune,
    window_spans,
    windows,
)
from collectors.host.workloads import identify
from collectors.windows.corun import Corun
from collectors.windows.figures import CgroupFigures
from collectors.windows.signals import HostSignals, SignalWindow
from probes.errors import UsageError
from tests.agent.analysis.trials import cgroup, window

OTHERS = ["jostle.run/6", "jostle.run/99", "jostle.run/0", "jostle.run/x", "other/1", "jostle.run"]
SECOND = 10**9


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        create_tables(made)
        yield made


def test_tables_are_made_in_an_empty_file_and_once() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        assert not holds_tables(db)
        create_tables(db)
        assert holds_tables(db)
        before = list(db.iterdump())
        create_tables(db)
        assert list(db.iterdump()) == before


@pytest.mark.parametrize("found", OTHERS)
def test_any_other_version_is_refused(db: sqlite3.Connection, found: str) -> None:
    db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (found,))
    with pytest.raises(UsageError, match=f"its schema is '{found}'"):
        create_tables(db)


def test_a_run_file_of_another_version_is_refused_in_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.run"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        made.execute("INSERT INTO meta VALUES ('schema', 'jostle.run/6')")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=rf"{path} .*'jostle.run/6'.* reads 'jostle.run/1'") as raised:
        read_run(path)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_tables_that_cannot_be_made_leave_the_file_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_TABLES", "CREATE TABLE meta (id); CREATE TABLE meta (id);")
    with closing(sqlite3.connect(":memory:")) as db:
        with pytest.raises(sqlite3.Error):
            create_tables(db)
        assert list(db.iterdump()) == ["BEGIN TRANSACTION;", "COMMIT;"]


def test_a_file_that_holds_nothing_is_not_a_run_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(sqlite3.DatabaseError, match="holds nothing"):
        open_to_read(path)


@given(st.integers(1, 30), st.integers(1, 30))
def test_pruning_leaves_the_windows_from_one_on(count: int, oldest: int) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        create_tables(db)
        writer = WindowWriter(db, 1)
        recorded = [window(cgroup(number, path=f"/{number}")) for number in range(1, count + 1)]
        for number, each in enumerate(recorded, 1):
            assert writer.insert(each, end_utc_ns=number) == number
        oldest = min(oldest, count)
        prune(db, list(window_spans(db))[oldest - 1])
        assert [found.cgroups for _, found in windows(db)] == [
            each.cgroups for each in recorded[oldest - 1 :]
        ]


def test_what_was_said_of_a_recording_goes_with_its_last_window(db: sqlite3.Connection) -> None:
    for recording in (1, 2, 3):
        insert_facts(db, recording, [("tier", "ebpf")])
        number = WindowWriter(db, recording).insert(window(cgroup(1.0)), end_utc_ns=recording)
        insert_event(db, number, 1, "{}")
    prune(db, list(window_spans(db))[1])
    assert db.execute("SELECT recording FROM facts").fetchall() == [(2,), (3,)]
    assert db.execute("SELECT window FROM events").fetchall() == [(2,), (3,)]


def test_windows_are_found_by_the_time_they_cover(db: sqlite3.Connection) -> None:
    for number in range(1, 6):
        WindowWriter(db, 1).insert(window(cgroup(number, path="/a")), end_utc_ns=number * SECOND)

    def found(since_s: float, until_s: float) -> list[int]:
        between = (round(since_s * SECOND), round(until_s * SECOND))
        return [each.end_ns // SECOND for _, each in windows(db, between)]

    assert found(2.0, 3.0) == [3]
    assert found(1.5, 3.5) == [2, 3, 4]
    assert found(0, 0.5) == [1]
    assert found(5, 9) == []


def test_of_the_cgroups_those_that_are_wanted(db: sqlite3.Connection) -> None:
    row: CgroupFigures[int | None] = CgroupFigures(*(None,) * len(CgroupFigures._fields))
    whole = SignalWindow(
        {"/a": row, "/b": row},
        HostSignals({}, {}),
        names={path: identify(path) for path in ("/a", "/b")},
        counters={"/a": {}, "/b": {}},
        coruns={"/a": {"/b": Corun(1, 1)}, "/b": {"/a": Corun(1, 1)}},
    )
    both = replace(window(cgroup(1.0, {"/b": 0.5}, path="/a"), cgroup(1.0, path="/b")), signals=whole)
    WindowWriter(db, 1).insert(both, end_utc_ns=1)
    ((_, found),) = windows(db, wanted=lambda path: path == "/a")
    assert found.signals
    assert [*found.cgroups, *found.signals.cgroups, *found.signals.names] == ["/a"] * 3
    assert [*found.signals.counters, *found.signals.coruns] == ["/a"] * 2
    assert list(found.cgroups["/a"].waited_for) == ["/b"]
