"""Databases of SQLite from anywhere: opened so that nothing is written, run or played in that somebody else put there.

Beside a database SQLite looks for a rollback journal (`-journal`), a write-ahead log (`-wal`) and its index (`-shm`),
and plays into it what they say, whoever made them. Only those of the database's own owner are taken.
"""

import contextlib
import shutil
import sqlite3
import stat
import tempfile
from pathlib import Path

from agent.store.files import trusted_users
from agent.store.windows import holds_tables, require_checksums, tables
from probes.errors import UsageError

PARTIAL_SUFFIX = ".partial"
"""Of a run file that is being written, or was when its recorder was killed."""
_SIDES = ("-journal", "-wal", "-shm")
# A value is a histogram or a document of an event, of some KiB.
_LONGEST_VALUE_BYTES = 16 * 1024 * 1024
# Reading visits each row a few times: 0.24 operations for a byte of 300 windows with 200 cgroups.
_OPERATIONS_AT_ONCE = 100_000
_FREE_OPERATIONS, _OPERATIONS_PER_BYTE = 20_000_000, 20
# SQLite's own check reads the whole file, and a history may have 512 MiB; its rows have checksums in any case.
_LARGEST_CHECKED_BYTES = 64 << 20


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file that holds the tables of `windows` and nothing else, for reading; the file stays as it is.

    Raises:
        UsageError: See `windows.holds_tables`; a file beside it belongs to somebody else; it holds more than tables.
        sqlite3.Error: It is damaged, or no SQLite database; later, from a query, that it takes unreasonably long.
        ValueError: It is damaged.
    """
    db = _open(path)
    try:
        _distrust(db, path)
        _require_own_tables(db)
        _require_sound(db, path)
    except BaseException:
        db.close()
        raise
    return db


def require_own_sides(path: Path) -> tuple[Path, ...]:
    """The files beside a database that SQLite would take into account.

    Raises:
        UsageError: One of them is not its owner's, or is not a regular file.
    """
    sides = {}
    for end in _SIDES:
        side = path.with_name(path.name + end)
        with contextlib.suppress(FileNotFoundError):  # a writer's journal comes and goes with each window
            sides[side] = side.lstat()
    owners = trusted_users() | {path.stat().st_uid} if sides else frozenset()
    for side, found in sides.items():
        wrong = f"belongs to user {found.st_uid}" if found.st_uid not in owners else ""
        wrong = wrong or ("is not a regular file" if not stat.S_ISREG(found.st_mode) else "")
        if wrong:
            raise UsageError(
                f"{side} {wrong}, and would change what is read", "remove it, or copy the recording elsewhere"
            )
    return tuple(sides)


def _open(path: Path) -> sqlite3.Connection:
    """Alone, a finished file is read as if it could not change: no lock is taken, nothing is looked for beside it.

    With a running agent or recorder SQLite's own way of sharing is needed. A kill in the middle of a window leaves a
    journal, which must be undone: in a copy.
    """
    place = path.resolve()
    if not require_own_sides(place) and place.suffix != PARTIAL_SUFFIX:
        return _tried(place, "immutable=1")
    try:
        return _tried(place, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
            raise
    with tempfile.TemporaryDirectory(prefix="jostle-") as directory:
        copy = Path(directory) / "copy"
        for end in ("", "-journal"):
            shutil.copyfile(f"{place}{end}", f"{copy}{end}", follow_symlinks=False)
        return _tried(copy, "mode=rw")  # undone once it is open; Linux keeps what is open


def _tried(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.as_uri()}?{how}", uri=True)
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except BaseException:
        db.close()
        raise
    return db


def _distrust(db: sqlite3.Connection, path: Path) -> None:
    """No function of a file's schema has an effect, no value takes all memory, no query lasts beyond reason."""
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)
    left = _FREE_OPERATIONS + _OPERATIONS_PER_BYTE * path.stat().st_size

    def is_too_much() -> bool:
        nonlocal left
        left -= _OPERATIONS_AT_ONCE
        return left < 0

    db.set_progress_handler(is_too_much, _OPERATIONS_AT_ONCE)


def _require_own_tables(db: sqlite3.Connection) -> None:
    """The tables of `windows`, word by word: no view, no trigger, no virtual table, no computed column.

    Raises:
        UsageError: Others; see also `windows.holds_tables`.
        sqlite3.DatabaseError: There are none.
    """
    own, seen = tables(), 0
    for each in db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        seen += 1
        if each not in own:
            holds_tables(db)
            raise UsageError(
                f"its {str(each[1])[:40]!r} is not a plain table of jostle's", "give a file that jostle wrote"
            )
    if not holds_tables(db) or seen != len(own):
        raise sqlite3.DatabaseError("it holds nothing" if not seen else "it lacks a table")


def _require_sound(db: sqlite3.Connection, path: Path) -> None:
    """No page, and no row, is other than it was written.

    Raises:
        ValueError: One is.
    """
    if path.stat().st_size <= _LARGEST_CHECKED_BYTES:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise ValueError(str(found).splitlines()[-1])
    require_checksums(db)
