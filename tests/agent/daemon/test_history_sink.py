"""The history: what was taken is what is found again, within its limits, whatever happens to file and process."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon.config import Config, HistoryConfig
from agent.daemon.history_sink import MOST_PRUNED_AT_ONCE, History, Retention
from agent.documents.verdict import SelfCost
from agent.documents.verdict_parts import Host
from agent.store.query import Period, load_past
from agent.store.run_file import pack
from collectors.windows.sched import CgroupWindow
from probes.errors import JostleError, UsageError
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import cgroup
from tests.agent.daemon.observations import EPOCH_NS, HEALTH, NS, WINDOW_S, event, observation

FOREVER = Retention(max_age_ns=10**6 * NS, max_bytes=2**40)
FACTS = {"host": pack(HOST), "tier": "ebpf"}
ALWAYS = Period(1, 2**62)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/history.db"


def opened(path: Path, retention: Retention = FOREVER) -> History:
    return History(path, retention, FACTS)


def busy(count: int) -> list[CgroupWindow]:
    return [cgroup(1.0, {"/a": 0.5}, path=f"/pod{number}") for number in range(count)]


def fill(path: Path, *numbers: int, cgroups: int = 1, retention: Retention = FOREVER) -> Path:
    with closing(opened(path, retention)) as history:
        for number in numbers:
            history.on_window(observation(number, *busy(cgroups)))
    return path


def found(path: Path) -> list[int]:
    """The numbers of the windows that a history holds."""
    with closing(sqlite3.connect(path)) as db:
        ends_ns = db.execute("SELECT end_utc_ns FROM windows ORDER BY id").fetchall()
    return [(end_ns - EPOCH_NS) // (WINDOW_S * NS) for (end_ns,) in ends_ns]


def test_windows_of_several_lives_are_found_in_one_file(path: Path) -> None:
    fill(path, 1, 2, cgroups=2)
    fill(path, 3, cgroups=3)
    assert [entry.name for entry in path.parent.iterdir()] == ["history.db"]
    run = load_past(path, ALWAYS)
    assert [dict(each.cgroups) for each in run.windows] == [
        {each.path: each for each in busy(count)} for count in (2, 2, 3)
    ]
    assert run.record("host", Host) == HOST


def test_what_the_probe_costs_and_what_was_left_out_is_kept(path: Path) -> None:
    cost = SelfCost(100.0, 1000.0, 0.1)
    with closing(opened(path)) as history:
        history.on_window(observation(1, *busy(1)))
        history.on_window(
            observation(2, *busy(1), health=replace(HEALTH, probe=cost, warnings=("blame was left out",)))
        )
    run = load_past(path, ALWAYS)
    assert run.record("self_cost", SelfCost) == cost
    assert "blame was left out" in run.meta["notes"]


def test_a_life_without_a_window_leaves_nothing_said(path: Path) -> None:
    for _ in range(3):
        fill(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM facts").fetchone() == (0,)


def test_events_are_kept_as_documents(path: Path) -> None:
    with closing(opened(path)) as history:
        history.on_window(observation(1, *busy(1)))
        history.on_event(event("/a\n\udcff"))
    with closing(sqlite3.connect(path)) as db:
        ((window, document),) = db.execute("SELECT window, document FROM events")
    assert window == 1
    assert '"victim": "/a\\n\\udcff"' in document


class TestRetention:
    @given(
        st.lists(st.integers(0, 50), max_size=MOST_PRUNED_AT_ONCE),
        st.integers(0, 60),
        st.integers(1, 100),
        st.integers(0, 4000),
    )
    def test_surplus(self, ends: list[int], now: int, more: int, used: int) -> None:
        windows = len(ends) + more
        gone = Retention(max_age_ns=10, max_bytes=1000).surplus(ends, now, windows, used)
        assert 0 <= gone <= len(ends)
        assert gone < windows
        expired = [end for end in ends if end < now - 10]
        if used <= 1000:
            assert gone <= len(expired)  # one that is younger than an expired one after it may wait for that
        elif gone < len(ends):
            assert used * (windows - gone) <= 1000 * windows or gone == windows - 1

    def test_old_windows_go_while_new_ones_come(self, path: Path) -> None:
        an_hour = Retention(max_age_ns=3600 * NS, max_bytes=2**40)
        fill(path, *range(1, 1001), retention=an_hour)
        assert found(path) == list(range(1000 - 360, 1001))

    def test_the_file_stays_within_its_size(self, path: Path) -> None:
        limit = 512 * 1024
        retention = Retention(max_age_ns=10**9 * NS, max_bytes=limit)
        sizes = []
        with closing(opened(path, retention)) as history:
            for number in range(1, 1501):
                history.on_window(observation(number, *busy(10)))
                sizes.append(path.stat().st_size)
        assert max(sizes) <= limit * 1.1
        kept = found(path)
        assert kept == list(range(kept[0], 1501))
        assert len(kept) > 100

    def test_a_lower_limit_shrinks_the_file_while_the_agent_runs(self, path: Path) -> None:
        with closing(opened(path)) as history:
            for number in range(1, 201):
                history.on_window(observation(number, *busy(100)))
            history._retention = replace(FOREVER, max_bytes=1024 * 1024)
            for number in range(201, 301):
                history.on_window(observation(number))
        assert path.stat().st_size <= 2 * 1024 * 1024
        assert found(path)[-1] == 300

    def test_a_clock_that_jumps_ahead_for_a_moment_takes_only_a_few(self, path: Path) -> None:
        a_day = Retention(max_age_ns=86400 * NS, max_bytes=2**40)
        fill(path, *range(1, 101), 10**6, 102, retention=a_day)
        assert found(path)[:1] == [1 + MOST_PRUNED_AT_ONCE]

    def test_new_limits_are_taken_over(self, path: Path) -> None:
        with closing(opened(path)) as history:
            history.reload(Config(history=HistoryConfig(max_age_days=1.0, max_size_mib=8)))
            assert history._retention == Retention(86400 * NS, 8 * 2**20)


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"this was a log file once\n" * 1000)


def from_the_future(path: Path) -> None:
    fill(path, 1)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = 'jostle.run/99'")


def corrupt(path: Path) -> None:
    fill(path, *range(1, 20), cgroups=100)
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(content)


def truncated(path: Path) -> None:
    fill(path, *range(1, 20), cgroups=100)
    os.truncate(path, path.stat().st_size // 2)


def of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE meta (key, value)")


def a_directory(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (not_sqlite, "is not a history, or damaged"),
        (from_the_future, r"its schema is 'jostle\.run/99', this jostle reads"),
        (corrupt, "damaged"),
        (truncated, "damaged"),
        (of_something_else, "its schema is 'None'"),
        (a_directory, "cannot write"),
        (a_pipe, "is not a regular file"),
    ],
)
def test_what_is_no_sound_history_is_refused_and_left_alone(
    path: Path, make: Callable[[Path], None], told: str
) -> None:
    path.parent.mkdir()
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UsageError, match=told) as raised:
        opened(path)
    assert str(path) in str(raised.value)
    assert "history.path" in str(raised.value)
    assert raised.value.exit_code == 2
    assert before is None or path.read_bytes() == before


def test_two_agents_do_not_write_into_one_history(path: Path) -> None:
    with closing(opened(path)) as first:
        with pytest.raises(UsageError, match="another agent is writing"):
            opened(path)
        first.on_window(observation(1, *busy(1)))
    assert found(path) == [1]


def test_one_that_is_removed_while_the_agent_runs_is_begun_again(path: Path) -> None:
    with closing(opened(path)) as history:
        history.on_window(observation(1, *busy(1)))
        shutil.rmtree(path.parent)
        history.on_window(observation(2, *busy(1)))
    assert found(path) == [2]


def test_one_that_is_replaced_by_something_else_is_begun_again_when_that_is_gone(path: Path) -> None:
    with closing(opened(path)) as history:
        history.on_window(observation(1, *busy(1)))
        path.rename(path.with_suffix(".old"))
        path.write_bytes(b"a log\n" * 1000)
        for number in (2, 3):
            with pytest.raises(UsageError, match="is not a history"):
                history.on_window(observation(number, *busy(1)))
        path.unlink()
        history.on_window(observation(4, *busy(1)))
    assert found(path) == [4]
    assert found(path.with_suffix(".old")) == [1]


def test_a_reader_sees_what_is_there_and_stops_nobody(path: Path) -> None:
    with closing(opened(path)) as history:
        history.on_window(observation(1, *busy(1)))
        with closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM windows").fetchone() == (1,)
            history.on_window(observation(2, *busy(1)))
            assert reader.execute("SELECT count(*) FROM windows").fetchone() == (1,)
        assert found(path) == [1, 2]


def test_a_full_file_loses_windows_until_there_is_room(path: Path) -> None:
    with closing(opened(path)) as history:
        history.on_window(observation(1, *busy(1)))
        (pages,) = history._db.execute("PRAGMA page_count").fetchone()
        history._db.execute(f"PRAGMA max_page_count = {pages}")
        for number in (2, 3):
            with pytest.raises(JostleError, match="full") as raised:
                history.on_window(observation(number, *busy(1000)))
            assert raised.value.exit_code == 1
        history._db.execute("PRAGMA max_page_count = 1000000")
        history.on_window(observation(4, *busy(1000)))
    run = load_past(path, ALWAYS)
    assert found(path) == [1, 4]
    assert run.meta["lost_windows"] == "2"


@pytest.fixture(scope="module")
def before_a_cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A history and its log as they are on disk while windows are written, and the number of the last window."""
    path = tmp_path_factory.mktemp("cut") / "history.db"
    history = opened(path)
    for number in range(1, 41):
        history.on_window(observation(number, *busy(20)))
    copy = path.parent / "copy"
    copy.mkdir()
    for file in (path, path.with_name("history.db-wal")):
        shutil.copy(file, copy)
    history.close()
    return copy / "history.db", 40


@given(st.data())
def test_after_a_power_cut_at_any_point_of_the_log_only_its_last_windows_are_missing(
    before_a_cut: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Every commit is synced before the next begins, so what a cut tears is the end of the log alone."""
    source, last = before_a_cut
    log = source.with_name("history.db-wal").read_bytes()
    cut = data.draw(st.integers(0, len(log)))
    torn = data.draw(st.binary(max_size=5000))
    after = tmp_path_factory.mktemp("after") / "history.db"
    shutil.copy(source, after)
    after.with_name("history.db-wal").write_bytes(log[:cut] + torn)
    history = opened(after)
    try:
        history.on_window(observation(last + 1, *busy(1)))
    finally:
        history.close()
    numbers = found(after)
    assert numbers[-1] == last + 1
    assert numbers[:-1] == list(range(1, len(numbers)))
    if cut == len(log):
        assert len(numbers) == last + 1
    shutil.rmtree(after.parent)


def test_each_window_is_on_disk_when_it_was_taken(path: Path) -> None:
    with closing(opened(path)) as history:
        assert history._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: each commit syncs the log
        assert history._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
