"""What lies beside root's run file, or in a stranger's, changes nothing that is read and takes no more than it may."""

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from agent.store import opening
from agent.store.history import locked, opened
from agent.store.opening import open_to_read
from agent.store.run_file import RunWriter, read_run
from probes.errors import UsageError
from tests.agent.analysis.trials import cgroup, window
from tests.agent.store.checksums import rechecked
from tests.attack.stranger import UID
from tests.cli.running import is_one_line, run
from tests.cli.test_report import recorded

FORGED = "FORGED-BY-TENANT"
pytestmark = pytest.mark.root


def edited(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
        rechecked(db)


def journal_into(path: Path) -> bytes:
    """A rollback journal by which SQLite turns the file into one whose command is FORGED (fileformat2.html)."""
    forged = path.with_name("forged")
    forged.write_bytes(path.read_bytes())
    edited(forged, f"REPLACE INTO facts VALUES (1, 'command', '{FORGED}', 0)")  # noqa: S608  a test's own constant
    content, page = forged.read_bytes(), 4096
    forged.unlink()
    nonce, sector = 0, 512
    header = bytes.fromhex("d9d505f920a163d7") + struct.pack(
        ">IIIII", len(content) // page, nonce, path.stat().st_size // page, sector, page
    )
    records = b""
    for number in range(len(content) // page):
        data = content[number * page : (number + 1) * page]
        checksum = (nonce + sum(data[page - 200 : 0 : -200])) & 0xFFFFFFFF
        records += struct.pack(">I", number + 1) + data + struct.pack(">I", checksum)
    return header.ljust(sector, b"\0") + records


def beside(path: Path, end: str, content: bytes, owner: int = UID) -> Path:
    side = path.with_name(path.name + end)
    side.write_bytes(content)
    os.chown(side, owner, owner)
    return side


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return recorded(tmp_path / "mine.run")


def test_such_a_journal_would_be_played_in(mine: Path) -> None:
    beside(mine, "-journal", journal_into(mine))
    with closing(sqlite3.connect(mine)) as db:
        assert db.execute("SELECT value FROM facts WHERE key = 'command'").fetchone() == (FORGED,)


@pytest.mark.parametrize("end", ["-journal", "-wal", "-shm"])
def test_a_strangers_file_beside_it_is_refused_and_the_recording_stays(mine: Path, end: str) -> None:
    before = mine.read_bytes()
    side = beside(mine, end, journal_into(mine))
    ended = run("report", str(mine))
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert f"{side} belongs to user {UID}" in ended.err
    assert mine.read_bytes() == before
    assert side.exists()


def test_a_link_beside_it_is_refused(mine: Path, tmp_path: Path) -> None:
    mine.with_name("mine.run-journal").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"mine\.run-journal is not a regular file"):
        read_run(mine)


def test_what_its_own_recorder_left_is_undone_in_a_copy(mine: Path) -> None:
    side = beside(mine, "-journal", journal_into(mine), owner=0)
    before = mine.read_bytes(), side.read_bytes()
    assert read_run(mine).meta["command"] == FORGED
    assert (mine.read_bytes(), side.read_bytes()) == before


def test_a_recorder_in_a_shared_directory_takes_no_strangers_journal(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    pattern = recorded(tmp_path / "pattern.run")
    forgery = journal_into(pattern)
    beside(tmp_path / "a.run.partial", "-journal", forgery)
    with RunWriter(tmp_path / "a.run", {"command": "true"}) as writer:
        # More than a stranger can, who may not remove root's own journal from a sticky directory.
        (tmp_path / "a.run.partial-journal").unlink(missing_ok=True)
        beside(tmp_path / "a.run.partial", "-journal", forgery)
        writer.append(window(cgroup(1.0)))
        writer.finish()
    assert read_run(tmp_path / "a.run").meta["command"] == "true"


def test_the_agent_takes_no_strangers_log(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    os.close(locked(path))
    beside(path, "-wal", b"\0" * 32)
    with pytest.raises(UsageError, match=r"h\.db-wal belongs to user"):
        opened(path)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS key, i AS value FROM n"


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE facts", f"CREATE VIEW facts AS {ENDLESS}"],
        ["CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM facts; END"],
        ["CREATE VIEW v AS SELECT zeroblob(1000000000)"],
        ["CREATE VIRTUAL TABLE v USING fts5(x)"],
        ["CREATE TABLE v (a, b AS (zeroblob(a)))"],
    ],
    ids=["endless-view", "trigger", "large-view", "virtual", "computed"],
)
def test_what_is_no_plain_table_is_refused(mine: Path, statements: list[str]) -> None:
    for statement in statements:
        edited(mine, statement)
    ended = run("report", str(mine))
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert "is not a plain table" in ended.err


def test_a_query_without_end_is_ended(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_FREE_OPERATIONS", 1_000_000)
    with (
        closing(open_to_read(mine)) as db,
        pytest.raises(sqlite3.OperationalError, match="interrupted"),
    ):
        db.execute(f"SELECT count(*) FROM ({ENDLESS})").fetchone()  # noqa: S608  a test's own constant


def test_a_value_too_long_for_a_figure_is_damage(mine: Path) -> None:
    edited(mine, "UPDATE windows SET packed = zeroblob(20000000)")
    ended = run("report", str(mine))
    assert ended.code == 2
    assert is_one_line(ended.err)
