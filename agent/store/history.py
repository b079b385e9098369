"""The history's file: opened, or refused for a reason that says what to do."""

import contextlib
import fcntl
import os
import sqlite3
import stat
from pathlib import Path

from agent.store.files import FILE_MODE, cannot_write, own_place
from agent.store.opening import require_own_sides
from agent.store.windows import create_tables, holds_tables
from probes.errors import JostleError, UsageError

# 1 MiB each: the write-ahead log, and what SQLite keeps in memory.
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA journal_size_limit = 1048576",
    "PRAGMA cache_size = -1024",
)
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_DATABASE = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_MOVE_AWAY = "move it away, and the agent begins a new one; or give another history.path"
_ELSEWHERE = "give another history.path"


def locked(path: Path) -> int:
    """A descriptor of the file, which is made if need be, with a lock that is held as long as it is open.

    The lock is flock's: SQLite's own are of another kind, and would keep readers away.

    Raises:
        UsageError: It cannot be written there, is not a regular file, or another agent holds it.
        JostleError: There is no room for it.
    """
    try:
        place = own_place(path, _ELSEWHERE)
        descriptor = os.open(place, _FLAGS, FILE_MODE)
    except OSError as error:
        raise cannot_write(path, error, _ELSEWHERE) from error
    try:
        _lock(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def holder(path: Path) -> int | None:
    """The process that holds the lock of a file, as far as /proc tells; None where there is none."""
    wanted = path.stat()
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        _, kind, *_, process, place, _, _ = line.split()
        if (
            kind == "FLOCK"
            and place.rpartition(":")[2] == str(wanted.st_ino)
            and _has_open(int(process), wanted)
        ):
            return int(process)
    return None


def _has_open(process: int, wanted: os.stat_result) -> bool:
    """Whether it has this file open: numbers of files are of a file system each."""
    try:
        files = list(Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return False
    for file in files:
        with contextlib.suppress(OSError):  # closed meanwhile, which says nothing of the others
            if os.path.samestat(file.stat(), wanted):
                return True
    return False


def opened(path: Path) -> sqlite3.Connection:
    """The database in a file that is locked: sound, and of this version.

    Raises:
        UsageError: It is not a history, is damaged, of another version, or read-only.
        JostleError: There is no room for it.
    """
    db = sqlite3.connect(path, check_same_thread=False)  # opened by one thread, used by another
    try:
        require_own_sides(path)
        if path.stat().st_size == 0:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _require_sound(db)
        holds_tables(db)  # before anything is written: what is refused stays as it was
        for pragma in _PRAGMAS:
            db.execute(pragma)
        create_tables(db)
    except sqlite3.Error as error:
        db.close()
        raise refusal(path, error) from error
    except UsageError as error:
        db.close()
        raise UsageError(f"cannot use the history {path}: {error.message}", _MOVE_AWAY) from error
    return db


def refusal(path: Path, error: sqlite3.Error) -> JostleError:
    """What to raise when SQLite refuses: a full or failing disk is a failure, any other reason a badly chosen file."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(_NO_DATABASE):
        return UsageError(f"{path} is not a history, or damaged ({error})", _MOVE_AWAY)
    if name.startswith("SQLITE_READONLY"):
        return UsageError(f"cannot write to the history {path} ({error})", _ELSEWHERE)
    return JostleError(f"cannot write to the history {path} ({error})", "is the disk full?")


def _lock(path: Path, descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise UsageError(f"{path} is not a regular file", _ELSEWHERE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"another agent is writing to {path}", f"stop it, or {_ELSEWHERE}") from error


def _require_sound(db: sqlite3.Connection) -> None:
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise UsageError(f"it is damaged ({found})")
