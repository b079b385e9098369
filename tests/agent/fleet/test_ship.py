"""Shipping loses no row and doubles none: counted against the history, whatever happens on the way."""

import itertools
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon.thinning import Thinner
from agent.documents.event import EventState
from agent.fleet.place import Folder, place_of
from agent.fleet.rows import fair_shares, identity
from agent.fleet.schema import TABLES, WAITS, page
from agent.fleet.ship import NEVER_NS, ship, textfile
from agent.fleet.sums import rounded
from collectors.host.workloads import Workload
from probes.errors import JostleError, UsageError
from tests.agent.daemon.observations import NS, event
from tests.agent.fleet.histories import BEGIN_NS, HOUR_NS, WEB, each_minute, history, sums
from tests.cli.running import ROOT

LATER_NS = BEGIN_NS + 100 * HOUR_NS


def shipped_sums(dataset: Path) -> dict[str, int]:
    """The same sums as `histories.sums`, by pyarrow from all files that there are."""

    def asked(table: str, *columns: str) -> int:
        tables = [
            pq.read_table(file, columns=list(columns), partitioning=None)
            for file in dataset.glob(f"v1/{table}/*/*/*.parquet")
        ]
        return sum(sum(column.to_pylist()) for found in tables for column in found.columns)

    return {
        "windows": asked("hosts", "windows"),
        "run_ns": asked("cgroups", "run_ns"),
        "wait_ns": asked("cgroups", "others_ns", "self_ns", "wakeup_ns", "throttled_ns", "unattributed_ns"),
        "waits": asked("cgroups", *WAITS),
        "pairs_ns": asked("pairs", "wait_ns"),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.db"
    history(path, each_minute(BEGIN_NS, 66), events=(event(WEB, state=EventState.RAISED),))
    return path


@pytest.fixture
def two_hours(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path))


def test_every_window_is_in_the_dataset_once(two_hours: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = ship(two_hours, Folder(data), None, {"pool": "a"}, now_ns=LATER_NS)
    assert (first.hours, first.windows, first.lost_windows, first.unshipped_windows) == (2, 66, 0, 0)
    # The third cgroup does next to nothing: a row an hour.
    assert first.rows == {
        "hosts": 2,
        "cgroups": 2 * 14 + 2,
        "pairs": 2 * 4,
        "host_windows": 14,
        "incidents": 1,
    }
    assert shipped_sums(data) == sums(two_hours)
    files = {path: path.stat().st_mtime_ns for path in data.rglob("*.parquet")}
    assert len(files) == 2 * len(TABLES) - 1  # of one hour there is no incident
    again = ship(two_hours, Folder(data), None, {}, now_ns=LATER_NS)
    assert (again.hours, again.bytes) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*.parquet")} == files
    assert "jostle_ship_lost_windows 0\n" in textfile(again)


def test_an_hour_waits_for_its_end(two_hours: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    early = ship(two_hours, Folder(data), None, {}, now_ns=BEGIN_NS + 67 * 60 * NS)
    assert (early.hours, early.unshipped_windows) == (1, 6)
    late = ship(two_hours, Folder(data), None, {}, now_ns=BEGIN_NS + 2 * HOUR_NS + 60 * NS)
    assert (late.hours, late.unshipped_windows) == (1, 0)
    assert shipped_sums(data) == sums(two_hours)


def test_a_clock_that_jumps_and_a_restart_and_a_new_history(tmp_path: Path) -> None:
    path, data = tmp_path / "history.db", tmp_path / "data"
    ends_ns = each_minute(BEGIN_NS, 66)
    history(path, [*ends_ns[40:], *ends_ns[50:55]])  # set back, and the same times again
    ship(path, Folder(data), None, {}, now_ns=LATER_NS)
    history(path, ends_ns[58:])  # the agent was started again, with the clock set back once more
    ship(path, Folder(data), None, {}, now_ns=LATER_NS)
    wanted = sums(path)
    assert shipped_sums(data) == wanted
    path.unlink()
    history(path, each_minute(BEGIN_NS, 5))
    ship(path, Folder(data), None, {}, now_ns=LATER_NS)
    assert shipped_sums(data) == {key: wanted[key] + value for key, value in sums(path).items()}


def test_what_went_from_the_history_unshipped_is_counted(two_hours: Path, tmp_path: Path) -> None:
    ship(two_hours, Folder(tmp_path / "data"), None, {}, now_ns=BEGIN_NS + HOUR_NS + 60 * NS)
    with sqlite3.connect(two_hours) as db:
        db.execute("DELETE FROM events")
        db.execute("DELETE FROM windows WHERE id <= 62")
    done = ship(two_hours, Folder(tmp_path / "data"), None, {}, now_ns=LATER_NS)
    assert (done.windows, done.lost_windows) == (4, 2)
    assert shipped_sums(tmp_path / "data")["windows"] == 64


def each_10_s(begin_ns: int, count: int) -> list[int]:
    return [begin_ns + (number + 1) * 10 * NS for number in range(count)]


def thin(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        thinner = Thinner()
        while thinner.thin(db, LATER_NS, HOUR_NS):
            pass


def tables_of(dataset: Path) -> dict[str, list[dict[str, object]]]:
    """Every row of every table, in the order of their files."""
    return {
        table: [
            row
            for file in sorted(dataset.glob(f"v1/{table}/*/*/*.parquet"))
            for row in pq.read_table(file, partitioning=None).to_pylist()
        ]
        for table in TABLES
    }


def test_what_was_thinned_is_shipped_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    history(path, each_10_s(BEGIN_NS, 400), events=(event(WEB, state=EventState.RAISED),))
    whole = ship(path, Folder(tmp_path / "whole"), None, {}, now_ns=LATER_NS)
    thin(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM windows").fetchone()[0] == 14
    thinned = ship(path, Folder(tmp_path / "thinned"), None, {}, now_ns=LATER_NS)
    assert (thinned.windows, thinned.hours, thinned.lost_windows) == (400, whole.hours, 0)
    assert tables_of(tmp_path / "thinned") == tables_of(tmp_path / "whole")
    assert (
        ship(path, Folder(tmp_path / "whole"), None, {}, now_ns=LATER_NS).hours == 0
    )  # it is the same history


@pytest.mark.parametrize("shipped", [1, 29, 30, 31, 100, 359, 360, 399])
def test_what_was_shipped_in_part_and_thinned_is_shipped_once_or_lost(tmp_path: Path, shipped: int) -> None:
    path, data = tmp_path / "history.db", tmp_path / "data"
    history(path, each_10_s(BEGIN_NS, 450))
    earlier = Path(shutil.copy(path, tmp_path / "earlier.db"))
    with closing(sqlite3.connect(earlier)) as db, db:
        db.execute("DELETE FROM windows WHERE id > ?", (shipped,))
    ship(earlier, Folder(data), None, {}, now_ns=NEVER_NS)
    thin(path)
    done = ship(path, Folder(data), None, {}, now_ns=LATER_NS)
    assert done.windows + done.lost_windows == 450 - shipped
    assert done.lost_windows == -shipped % 30  # of the five minutes in which it was shipped
    assert shipped_sums(data)["windows"] == shipped + done.windows
    assert ship(path, Folder(data), None, {}, now_ns=LATER_NS).hours == 0


class Killed(BaseException):
    """Ends a shipment as a kill does: nothing is tidied up."""


@pytest.mark.parametrize("write", range(1, 14))
def test_killed_at_any_write_the_next_one_goes_on(
    write: int, two_hours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, left = tmp_path / "data", write
    renamed = Path.rename

    def dies(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0 and write % 2:
            raise Killed  # before it has its name
        found = renamed(self, target)
        if left == 0:
            raise Killed
        return found

    monkeypatch.setattr(Path, "rename", dies)
    with pytest.raises(Killed):
        ship(two_hours, Folder(data), None, {}, now_ns=LATER_NS)
    monkeypatch.undo()
    ship(two_hours, Folder(data), None, {}, now_ns=LATER_NS)
    assert shipped_sums(data) == sums(two_hours)


def test_killed_by_the_kernel(two_hours: Path, tmp_path: Path) -> None:
    words = ("-P", "-c", "from agent.cli import main; main()", "ship", str(tmp_path / "data"))
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, *words, "--history-file", str(two_hours)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )
        while not list(tmp_path.glob("data/v1/*/*/*")) and process.poll() is None:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    ship(two_hours, Folder(tmp_path / "data"), None, {}, now_ns=LATER_NS)
    assert shipped_sums(tmp_path / "data") == sums(two_hours)


def test_two_at_once(two_hours: Path, tmp_path: Path) -> None:
    class Nested(Folder):
        """In the middle of whose first write another shipment begins."""

        def put(self, name: str, content: bytes | Path) -> None:
            with pytest.raises(UsageError, match="another `jostle ship`"):
                ship(two_hours, Folder(self.root), None, {}, now_ns=LATER_NS)
            super().put(name, content)

    ship(two_hours, Nested(tmp_path / "data"), None, {}, now_ns=LATER_NS)
    assert shipped_sums(tmp_path / "data") == sums(two_hours)


def test_a_full_disk_is_told_and_nothing_is_half_written(two_hours: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(JostleError, match="cannot write"):
            ship(two_hours, Folder(data), None, {}, now_ns=LATER_NS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path for path in data.rglob(".*") if path.is_file()] == []
    ship(two_hours, Folder(data), None, {}, now_ns=LATER_NS)
    assert shipped_sums(data) == sums(two_hours)


@pytest.mark.root
@pytest.mark.parametrize("kib", [4, 8, 12, 16, 20, 24, 32, 48])
def test_a_disk_that_is_full_at_any_file(kib: int, two_hours: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", data], check=True)
    try:
        with pytest.raises(JostleError, match="No space left"):
            ship(two_hours, Folder(data), None, {}, now_ns=LATER_NS)
        assert [path for path in data.rglob(".*") if path.is_file()] == []
        subprocess.run(["mount", "-o", "remount,size=4m", data], check=True)
        ship(two_hours, Folder(data), None, {}, now_ns=LATER_NS)
        assert shipped_sums(data) == sums(two_hours)
    finally:
        subprocess.run(["umount", data], check=True)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """40 kills by the kernel between the first write and the last; what is shipped in the end is counted."""
    path, killed, draw = tmp_path / "history.db", 0, random.Random(21)  # noqa: S311  moments, no secret
    history(path, each_minute(BEGIN_NS, 600))
    words = ("-P", "-c", "from agent.cli import main; main()", "ship")
    for attempt in itertools.count():
        data = tmp_path / f"data-{attempt}"
        ended = False
        while not ended:
            before = len(list(data.glob("v1/*/*/*/*")))
            process = subprocess.Popen(
                [sys.executable, *words, str(data), "--history-file", str(path)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.DEVNULL,
            )
            while len(list(data.glob("v1/*/*/*/*"))) <= before and process.poll() is None:
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 0.1))
            process.kill()
            ended = process.wait() == 0
            killed += not ended
        assert shipped_sums(data) == sums(path)
        if killed >= 40:
            return


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {"namespace": "shop", "pod_name": "web-7d9c5b6f4-x2xzq", "container_name": "nginx"},
            "shop/web/nginx",
        ),
        ({"namespace": "shop", "pod_name": "db-0", "container_name": "pg"}, "shop/db/pg"),
        ({"namespace": "shop", "pod_name": "logs-zx9cd"}, "shop/logs"),
        ({"namespace": "shop", "pod_name": "web"}, "shop/web"),
        ({"container_name": "shop-api-1", "project": "shop", "service": "api"}, "api"),
        ({"name": "getty@tty1.service", "kind": "unit"}, "getty@.service"),
        ({"name": "session-12.scope", "kind": "unit"}, "session.scope"),
        ({"name": "batch.service/inner/x", "inner": "inner/x", "kind": "unit"}, "batch.service"),
    ],
)
def test_a_workload_has_one_name_on_every_host(given: dict[str, Any], named: str) -> None:
    workload = replace(Workload("container", "/a/b", "/a/b"), **given)
    assert identity("/a/b", workload).workload == named


def test_a_fair_share_is_no_more_than_wanted_and_all_is_given() -> None:
    assert fair_shares({"a": 10, "b": 100, "c": 100}, 110) == {"a": 10, "b": 50, "c": 50}
    assert fair_shares({"a": 10, "b": 20}, 110) == {"a": 10, "b": 20}


def test_the_page_is_of_the_tables() -> None:
    assert (ROOT / "docs/fleet-schema.md").read_text() == page()


@pytest.mark.parametrize("wrong", ["nosuch://x/y", "s3://"])
def test_what_is_no_dataset_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError):
        place_of(wrong)


def test_labels_cannot_pose_as_others(two_hours: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label"):
        ship(two_hours, Folder(tmp_path / "d"), None, {"a": "b;c=d"}, now_ns=LATER_NS)


@pytest.mark.parametrize("call", [ship])
def test_no_history_is_told(call: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no history"):
        call(tmp_path / "nosuch.db", Folder(tmp_path / "d"), None, {})


def test_what_is_taken_of_a_window_and_the_whole_window_give_the_same_rows(tmp_path: Path) -> None:
    """A tenant's name that is not UTF-8 is packed in another form, of which nothing is taken before the rest."""
    tables = []
    for place, hostile in enumerate((WEB, f"{WEB}\udcff")):
        path = tmp_path / f"{place}.db"
        history(path, each_minute(BEGIN_NS, 30), web=hostile)
        ship(path, Folder(tmp_path / str(place)), None, {}, now_ns=LATER_NS)
        assert shipped_sums(tmp_path / str(place)) == sums(path)
        (file,) = (tmp_path / str(place)).glob("v1/cgroups/*/*/*.parquet")
        tables.append(pq.read_table(file, partitioning=None).drop(["cgroup", "workload"]).to_pylist())
    assert tables[0] == tables[1]
    assert {row["limit_cpus"] for row in tables[0]} == {2.0, None}
    assert any(row["others_ns"] for row in tables[0])


@given(
    st.lists(st.lists(st.integers(0, 2**50), min_size=3, max_size=3), min_size=1, max_size=40),
    st.sets(st.integers(1, 39)),
    st.integers(3, 12),
)
def test_rounded_figures_add_up_to_what_they_were(rows: list[list[int]], cuts: set[int], bits: int) -> None:
    figures = np.array(rows, np.int64)
    starts = np.array(sorted({0, *(cut for cut in cuts if cut < len(rows))}), np.int64)
    found = rounded(figures, starts, bits)
    assert (np.add.reduceat(found, starts) == np.add.reduceat(figures, starts)).all()
    assert ((found == 0) <= (figures < 2**bits)).all()
    assert (found >= 0).all()
    assert (found[figures == 0] == 0).all()
    largest = np.maximum.reduceat(figures, starts)[np.searchsorted(starts, range(len(rows)), "right") - 1]
    others = figures < largest
    assert (np.abs(found - figures)[others] <= figures[others] / 2**bits).all()


def test_a_cgroup_that_is_as_good_as_idle_has_one_row_for_the_hour(two_hours: Path, tmp_path: Path) -> None:
    ship(two_hours, Folder(tmp_path / "data"), None, {}, now_ns=LATER_NS)
    (file,) = (tmp_path / "data").glob("v1/cgroups/*/hour=21/*.parquet")
    rows = pq.read_table(file, partitioning=None).to_pylist()
    assert sum(row["workload"] == "batch.service" for row in rows) == 12
    (idle,) = (row for row in rows if row["workload"] == "cron.service")
    assert idle["run_ns"] == 60 * NS // 1000
    assert idle["time_s"] == BEGIN_NS // NS
    assert idle["duration_ns"] == 12 * 5 * 10 * NS
