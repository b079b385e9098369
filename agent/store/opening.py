"""A file that is only to be read, whoever wrote it and however that ended."""

import sqlite3
from pathlib import Path

from agent.store.schema import holds_tables


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file that holds the tables of `schema`.

    Raises:
        UsageError: See `schema.holds_tables`.
        sqlite3.Error: It is damaged, or no SQLite database.
    """
    db = _open(path)
    try:
        found = holds_tables(db)
    except BaseException:
        db.close()
        raise
    if not found:
        db.close()
        raise sqlite3.DatabaseError("it holds nothing")
    return db


def _open(path: Path) -> sqlite3.Connection:
    """Writing nothing, where possible.

    After a kill in the middle of a window SQLite must undo the half window, which takes writing. A history on a
    read-only file system has no place for the index of its write-ahead log; without a log nothing needs it.
    """
    try:
        return _tried(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_READONLY_ROLLBACK":
            return _tried(path, "mode=rw")
        if error.sqlite_errorname == "SQLITE_CANTOPEN" and not path.with_name(path.name + "-wal").exists():
            return _tried(path, "immutable=1")
        raise


def _tried(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except BaseException:
        db.close()
        raise
    return db
