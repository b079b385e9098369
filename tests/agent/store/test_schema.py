"""Versions of the tables: earlier ones are brought to this one, later ones are refused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.documents.verdict_parts import Host
from agent.store import schema
from agent.store.opening import open_to_read
from agent.store.run_file import read_run
from collectors.windows.sched import SchedWindow
from probes.errors import UsageError
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import cgroup, window

# What the jostle of that version wrote, by sqlite3's `.dump`.
VERSION_1 = Path(__file__).parent / "version-1.sql"


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        yield made


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    path = tmp_path / "old.run"
    with closing(sqlite3.connect(path)) as made:
        made.executescript(VERSION_1.read_text())
    return path


def in_version_1(number: int) -> SchedWindow:
    histogram = list(cgroup().histogram)
    histogram[3], histogram[40] = number, 5
    victim = replace(cgroup(number, {"/a": 0.25, "kernel": 0.5}), histogram=tuple(histogram))
    return window(victim, cgroup(0.5, path="/\udcff'x"))


def test_an_empty_file_is_brought_to_this_version(db: sqlite3.Connection) -> None:
    assert schema.version_of(db) == 0
    schema.migrate(db)
    assert schema.version_of(db) == schema.VERSION
    before = list(db.iterdump())
    schema.migrate(db)
    assert list(db.iterdump()) == before


def test_a_migrated_file_has_the_tables_of_a_new_one(db: sqlite3.Connection) -> None:
    schema.migrate(db)
    with closing(sqlite3.connect(":memory:")) as old:
        old.executescript(VERSION_1.read_text())
        schema.migrate(old)
        tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
        assert old.execute(tables).fetchall() == db.execute(tables).fetchall()


def test_a_file_of_the_first_version_is_read_and_stays_as_it_is(version_1: Path) -> None:
    before = version_1.read_bytes()
    run = read_run(version_1)
    assert [replace(each, end_ns=0) for each in run.windows] == [in_version_1(1), in_version_1(2)]
    assert run.record("host", Host) == HOST
    assert not run.partial
    assert version_1.read_bytes() == before
    assert list(version_1.parent.iterdir()) == [version_1]


@pytest.mark.parametrize("found", ["jostle.run/99", "jostle.run/0", "jostle.run/x", "other/1", "jostle.run"])
def test_any_other_version_is_refused(db: sqlite3.Connection, found: str) -> None:
    schema.migrate(db)
    db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (found,))
    with pytest.raises(UsageError, match=found):
        schema.migrate(db)


def test_a_migration_that_fails_leaves_the_file_as_it_was(version_1: Path) -> None:
    with closing(sqlite3.connect(version_1)) as old:
        old.execute("CREATE TABLE events (id)")  # in the way of the last statement of the second step
        old.commit()
        before = list(old.iterdump())
        with pytest.raises(sqlite3.Error):
            schema.migrate(old)
        assert list(old.iterdump()) == before


def test_a_file_that_holds_nothing_is_no_run_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(sqlite3.DatabaseError, match="holds nothing"):
        open_to_read(path)
