"""A file that is only to be read, whoever wrote it and however that ended."""

import sqlite3
from pathlib import Path

from agent.store.schema import VERSION, migrate, version_of


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file; one of an earlier version is migrated in a temporary copy and stays as it is.

    Raises:
        UsageError: See `schema.version_of`.
        sqlite3.Error: It is damaged, or no SQLite database.
    """
    db = _open(path)
    try:
        return db if _version_in(db) == VERSION else _migrated_copy(db)
    except BaseException:
        db.close()
        raise


def _version_in(db: sqlite3.Connection) -> int:
    found = version_of(db)
    if found == 0:
        raise sqlite3.DatabaseError("it holds nothing")
    return found


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


def _migrated_copy(db: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect("")  # a temporary file, gone when it is closed
    try:
        db.backup(copy)
        migrate(copy)
    except BaseException:
        copy.close()
        raise
    db.close()
    return copy
