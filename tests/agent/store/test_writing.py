"""Windows in the tables for months: what goes, and what must not go with it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store import reading, schema, writing
from agent.store.writing import WindowWriter, prune
from tests.agent.analysis.trials import cgroup, window


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        schema.create_tables(made)
        yield made


def names(db: sqlite3.Connection) -> set[str]:
    return {path.decode() for (path,) in db.execute("SELECT path FROM cgroups")}


presence = st.lists(st.sets(st.sampled_from("abcdef"), max_size=3), min_size=1, max_size=30)


@given(presence, st.integers(1, 30), st.sampled_from([1, 2, 7]))
def test_pruning_takes_only_names_that_no_window_needs(
    present: list[set[str]], oldest: int, noted_every: int
) -> None:
    with closing(sqlite3.connect(":memory:")) as db, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "NOTED_EVERY", noted_every)
        schema.create_tables(db)
        writer = WindowWriter(db, 1)
        recorded = [window(*[cgroup(1.0, path=f"/{name}") for name in each]) for each in present]
        for number, each in enumerate(recorded, 1):
            assert writer.insert(each, end_utc_ns=number) == number
        prune(db, oldest)
        kept = [found.cgroups for _, found in reading.windows(db)]
        assert kept == [each.cgroups for each in recorded[oldest - 1 :]]
        needed = {path for each in recorded[oldest - 1 :] for path in each.cgroups}
        recent = {path for each in recorded[max(0, oldest - 1 - noted_every) :] for path in each.cgroups}
        assert needed <= names(db) <= recent


def test_what_came_and_went_leaves_nothing_behind(db: sqlite3.Connection) -> None:
    writer = WindowWriter(db, 1)
    for number in range(1, 1001):
        victim = cgroup(1.0, {f"/pod{number}/neighbour": 0.5}, path=f"/pod{number}/victim")
        writer.insert(window(victim), end_utc_ns=number)
        prune(db, number - 9)
    assert len(writer._known) == 2
    assert len(names(db)) == 2 * (writing.NOTED_EVERY + 10 - 1)
    for table in ("windows", "sched", "cpus"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (10,)  # noqa: S608  our names


def test_what_was_said_of_a_recording_goes_with_its_last_window(db: sqlite3.Connection) -> None:
    for recording in (1, 2, 3):
        db.execute("INSERT INTO facts VALUES (?, 'tier', 'ebpf')", (recording,))
        number = WindowWriter(db, recording).insert(window(cgroup(1.0)), end_utc_ns=recording)
        db.execute("INSERT INTO events (window, utc_ns, document) VALUES (?, 1, '{}')", (number,))
    prune(db, oldest=2)
    assert db.execute("SELECT recording FROM facts").fetchall() == [(2,), (3,)]
    assert db.execute("SELECT window FROM events").fetchall() == [(2,), (3,)]


def test_after_a_transaction_was_undone_its_names_are_written_again(db: sqlite3.Connection) -> None:
    writer = WindowWriter(db, 1)
    writer.insert(window(cgroup(1.0, path="/a")), end_utc_ns=1)
    db.rollback()
    writer.forget()
    writer.insert(window(cgroup(2.0, path="/a")), end_utc_ns=2)
    assert [found.cgroups["/a"].run_ns for _, found in reading.windows(db)] == [2 * 10**9]


def test_windows_are_found_by_the_time_they_cover(db: sqlite3.Connection) -> None:
    writer = WindowWriter(db, 1)
    second = 10**9
    for number in range(1, 6):
        writer.insert(window(cgroup(number, path="/a")), end_utc_ns=number * second)

    def found(since_s: float, until_s: float) -> list[int]:
        between = (round(since_s * second), round(until_s * second))
        return [each.end_ns // second for _, each in reading.windows(db, between)]

    assert found(2.0, 3.0) == [3]
    assert found(1.5, 3.5) == [2, 3, 4]
    assert found(0, 0.5) == [1]
    assert found(5, 9) == []
