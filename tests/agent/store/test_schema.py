"""The tables and their version: a file of any other version is refused and stays as it is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from agent.store import schema
from agent.store.opening import open_to_read
from agent.store.reading import windows
from agent.store.run_file import read_run
from agent.store.writing import WindowWriter
from collectors.windows.figures import CgroupFigures
from collectors.windows.signals import HostSignals, SignalWindow
from probes.errors import UsageError
from tests.agent.analysis.trials import cgroup, window

OTHERS = ["jostle.run/6", "jostle.run/99", "jostle.run/0", "jostle.run/x", "other/1", "jostle.run"]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        yield made


def test_tables_are_made_in_an_empty_file_and_once(db: sqlite3.Connection) -> None:
    assert not schema.holds_tables(db)
    schema.create_tables(db)
    assert schema.holds_tables(db)
    before = list(db.iterdump())
    schema.create_tables(db)
    assert list(db.iterdump()) == before


def test_a_file_from_before_a_figure_was_added_is_read_without_it_and_goes_on_with_it(tmp_path: Path) -> None:
    row = CgroupFigures(inf, *range(1, len(CgroupFigures._fields)))
    ran = replace(window(cgroup(path="/a")), signals=SignalWindow({"/a": row}, HostSignals({}, {})), end_ns=1)
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as made:
        schema.create_tables(made)
        with made:
            WindowWriter(made, 1).insert(ran, 10**9)
            made.execute("ALTER TABLE signals DROP COLUMN reclaimed_pages")
    with closing(open_to_read(path)) as old:
        ((_, found),) = windows(old)
    assert found.signals is not None
    assert found.signals.cgroups["/a"] == row._replace(reclaimed_pages=None)
    with closing(sqlite3.connect(path)) as written:
        schema.create_tables(written)
        with written:
            WindowWriter(written, 1).insert(ran, 2 * 10**9)
        rows = [each.signals.cgroups["/a"] for _, each in windows(written) if each.signals]
    assert rows == [row._replace(reclaimed_pages=None), row]


@pytest.mark.parametrize("found", OTHERS)
def test_any_other_version_is_refused(db: sqlite3.Connection, found: str) -> None:
    schema.create_tables(db)
    db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (found,))
    with pytest.raises(UsageError, match=f"its schema is '{found}'"):
        schema.create_tables(db)


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


def test_tables_that_cannot_be_made_leave_the_file_as_it_was(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_SIGNALS", "CREATE TABLE sched (id);")  # there is one already
    with pytest.raises(sqlite3.Error):
        schema.create_tables(db)
    assert list(db.iterdump()) == ["BEGIN TRANSACTION;", "COMMIT;"]


def test_a_file_that_holds_nothing_is_no_run_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(sqlite3.DatabaseError, match="holds nothing"):
        open_to_read(path)
