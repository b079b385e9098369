"""The run file: windows of one recording in SQLite, counters and histograms, never percentiles.

A file is written under `NAME.partial` and gets its name when it is complete, so a name without `.partial` always
holds a whole recording. Each window is one transaction: what was committed survives any end of the process.
"""

import json
import sqlite3
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from agent.documents import decode, encode
from agent.files import cannot_write
from collectors.histogram import EDGES_NS
from collectors.sched import CgroupWindow, CpuWindow, SchedWindow, WaitFor
from probes.errors import JostleError, UsageError

SCHEMA = "jostle.run/1"
PARTIAL_SUFFIX = ".partial"

Record = TypeVar("Record")

_COUNTERS = (
    "run_ns",
    "wait_ns",
    "self_ns",
    "wakeup_ns",
    "throttled_ns",
    "unattributed_ns",
    "preempt_wait_ns",
    "stolen_ns",
    "switches",
    "preempted_own",
    "preempted_foreign",
    "preempted_throttled",
)

_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cgroups (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);
CREATE TABLE windows (
    id INTEGER PRIMARY KEY, end_utc_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, homeless INTEGER NOT NULL,
    shed TEXT NOT NULL
);
CREATE TABLE sched (
    window INTEGER NOT NULL REFERENCES windows, cgroup INTEGER NOT NULL REFERENCES cgroups,
    {", ".join(f"{name} INTEGER NOT NULL" for name in _COUNTERS)}, histogram BLOB NOT NULL,
    PRIMARY KEY (window, cgroup)
) WITHOUT ROWID;
CREATE TABLE waits (
    window INTEGER NOT NULL REFERENCES windows, victim INTEGER NOT NULL REFERENCES cgroups,
    aggressor INTEGER NOT NULL REFERENCES cgroups, wait_ns INTEGER NOT NULL, preemptions INTEGER NOT NULL,
    PRIMARY KEY (window, victim, aggressor)
) WITHOUT ROWID;
CREATE TABLE cpus (
    window INTEGER NOT NULL REFERENCES windows, cpu INTEGER NOT NULL,
    running REAL NOT NULL, waiting REAL NOT NULL, switches INTEGER NOT NULL,
    PRIMARY KEY (window, cpu)
) WITHOUT ROWID;
"""

# One non-empty bucket of a histogram: its number and its count.
_BUCKET = struct.Struct("<BQ")


@dataclass(frozen=True, slots=True)
class Run:
    """A recording: what was said about it when it began, and its windows in order.

    `partial` is true when the recording did not come to its planned end.
    """

    meta: Mapping[str, str]
    windows: tuple[SchedWindow, ...]
    partial: bool

    def record(self, key: str, kind: type[Record]) -> Record:
        """What `pack` made of a record.

        Raises:
            UsageError: There is no such key, or its value is no such record.
        """
        try:
            return decode(kind, json.loads(self.meta[key]), SCHEMA)
        except (LookupError, ValueError, RecursionError) as error:
            raise UsageError(f"the run file says nothing readable of {key!r}", "record again") from error


@dataclass(frozen=True, slots=True)
class Notes:
    """What a recorder found worth telling, each once: the record `notes` of `meta`."""

    warnings: tuple[str, ...]


def pack(record: object) -> str:
    """A frozen dataclass instance as the value of a key of `meta`."""
    return json.dumps(encode(record, SCHEMA))


def encode_histogram(counts: tuple[int, ...]) -> bytes:
    """Only the buckets that hold something: 9 bytes each."""
    return b"".join(_BUCKET.pack(index, count) for index, count in enumerate(counts) if count)


def decode_histogram(encoded: bytes, buckets: int) -> tuple[int, ...]:
    """The inverse of `encode_histogram`."""
    counts = [0] * buckets
    for index, count in _BUCKET.iter_unpack(encoded):  # struct.error, TypeError: it is no such blob
        counts[index] = count
    return tuple(counts)


class RunWriter:
    """Writes a run file; a context manager.

    `finish` or `keep_partial` gives the file its name. Any other end leaves the `.partial` one, unless not even one
    window was written.
    """

    def __init__(self, path: Path, meta: Mapping[str, str]) -> None:
        """Begin.

        Raises:
            UsageError: The file exists already, is being written, or cannot be made there.
            JostleError: There is no room for it.
        """
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        self._worthless = True
        self._ids: dict[str, int] = {}
        _create(self._partial)
        try:
            _require_absent(path)
            self._db = sqlite3.connect(self._partial)
            # Killed, a process leaves what it gave to the kernel. Only a crash of the host could lose it, and
            # waiting for its disk in every window would disturb what is being measured.
            self._db.execute("PRAGMA synchronous = OFF")
            with self._transaction() as db:
                db.executescript(_TABLES)
                db.executemany("INSERT INTO meta VALUES (?, ?)", [*meta.items(), ("schema", SCHEMA)])
        except BaseException:
            self._partial.unlink()
            raise

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        if self._worthless:
            self._partial.unlink(missing_ok=True)

    def append(self, window: SchedWindow) -> None:
        """Commit one window.

        Raises:
            JostleError: It cannot be written (a full disk); what was committed before stays.
        """
        with self._transaction():
            self._insert(window)
        self._worthless = False

    def note(self, key: str, value: str) -> None:
        """Write down something that is known only later. Raises as `append` does."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def finish(self) -> None:
        """Mark the recording as complete and give the file its name. Raises as `append` does."""
        self.note("complete", "1")
        self.keep_partial()

    def keep_partial(self) -> None:
        """End early: the file gets its name, and says inside that it is partial."""
        self._db.close()
        self._partial.rename(self._path)
        self._worthless = False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.Error as error:
            raise JostleError(f"cannot write to {self._partial} ({error})", "is the disk full?") from error

    def _insert(self, window: SchedWindow) -> None:
        end_utc_ns = time.time_ns() - (time.monotonic_ns() - window.end_ns)
        cursor = self._db.execute(
            "INSERT INTO windows (end_utc_ns, duration_ns, homeless, shed) VALUES (?, ?, ?, ?)",
            (end_utc_ns, window.duration_ns, window.homeless, " ".join(window.shed)),
        )
        number = cursor.lastrowid
        marks = ", ".join("?" * (len(_COUNTERS) + 3))
        self._db.executemany(f"INSERT INTO sched VALUES ({marks})", self._sched_rows(number, window))  # noqa: S608  marks only
        self._db.executemany("INSERT INTO waits VALUES (?, ?, ?, ?, ?)", self._wait_rows(number, window))
        self._db.executemany(
            "INSERT INTO cpus VALUES (?, ?, ?, ?, ?)",
            [(number, cpu, c.running, c.waiting, c.switches) for cpu, c in enumerate(window.cpus)],
        )

    def _sched_rows(self, number: int | None, window: SchedWindow) -> Iterator[tuple[object, ...]]:
        for path, cgroup in window.cgroups.items():
            counters = (getattr(cgroup, name) for name in _COUNTERS)
            yield (number, self._id(path), *counters, encode_histogram(cgroup.histogram))

    def _wait_rows(self, number: int | None, window: SchedWindow) -> Iterator[tuple[object, ...]]:
        for path, cgroup in window.cgroups.items():
            for name, wait in cgroup.waited_for.items():
                yield number, self._id(path), self._id(name), wait.wait_ns, wait.preemptions

    def _id(self, path: str) -> int:
        if path not in self._ids:
            # A path is bytes: surrogates stand for those that are no UTF-8.
            cursor = self._db.execute(
                "INSERT INTO cgroups (path) VALUES (?)", (path.encode("utf-8", "surrogateescape"),)
            )
            self._ids[path] = int(cursor.lastrowid or 0)
        return self._ids[path]


def read_run(path: Path) -> Run:
    """Read a run file, complete or partial.

    Raises:
        UsageError: There is no such file, it is no run file, damaged, or of a schema that is not known.
    """
    if not path.is_file():
        raise UsageError(f"there is no run file {path}", "give a file that `jostle record -o` wrote")
    try:
        with closing(_open(path)) as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            _require_schema(path, meta)
            return Run(meta=meta, windows=tuple(_windows(db)), partial="complete" not in meta)
    except (sqlite3.Error, struct.error, LookupError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{path} is no run file, or damaged ({error})", "record again") from error


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("xb").close()
    except OSError as error:
        if path.is_file():
            raise UsageError(
                f"{path} exists: it is being written, or was left by a recording that was killed",
                "choose another name, or remove it",
            ) from error
        raise cannot_write(path, error) from error


def _require_absent(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} exists already", "choose another name, or remove it")


def _open(path: Path) -> sqlite3.Connection:
    """Open for reading. After a kill in the middle of a window that takes writing: SQLite undoes the half window."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        db.execute("SELECT 1 FROM meta")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
            raise
        db.close()
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
    return db


def _require_schema(path: Path, meta: Mapping[str, str]) -> None:
    found = meta.get("schema")
    if found != SCHEMA:
        raise UsageError(
            f"{path} has the schema {found}, this jostle reads {SCHEMA}", "use the jostle that wrote it"
        )


def _windows(db: sqlite3.Connection) -> Iterator[SchedWindow]:
    paths = {number: _path(path) for number, path in db.execute("SELECT id, path FROM cgroups")}
    rows = db.execute(
        "SELECT id, end_utc_ns, duration_ns, homeless, shed FROM windows ORDER BY id"
    ).fetchall()
    for number, end_ns, duration_ns, homeless, shed in rows:
        yield SchedWindow(
            end_ns=_count(end_ns),
            duration_ns=max(1, _count(duration_ns)),
            cgroups=_cgroups(db, number, paths),
            cpus=_cpus(db, number),
            homeless=_count(homeless),
            shed=tuple(shed.split()),
        )


def _cgroups(db: sqlite3.Connection, window: int, paths: Mapping[int, str]) -> dict[str, CgroupWindow]:
    waits: dict[int, dict[str, WaitFor]] = {}
    for victim, aggressor, wait_ns, preemptions in db.execute(
        "SELECT victim, aggressor, wait_ns, preemptions FROM waits WHERE window = ?", (window,)
    ):
        waits.setdefault(victim, {})[paths[aggressor]] = WaitFor(_count(wait_ns), _count(preemptions))
    return {
        paths[cgroup]: CgroupWindow(
            path=paths[cgroup],
            **dict(zip(_COUNTERS, map(_count, counters), strict=True)),
            histogram=decode_histogram(encoded, len(EDGES_NS)),
            waited_for=waits.get(cgroup, {}),
        )
        for cgroup, encoded, *counters in db.execute(
            f"SELECT cgroup, histogram, {', '.join(_COUNTERS)} FROM sched WHERE window = ?",  # noqa: S608  our names
            (window,),
        )
    }


def _cpus(db: sqlite3.Connection, window: int) -> tuple[CpuWindow, ...]:
    rows = db.execute("SELECT running, waiting, switches FROM cpus WHERE window = ? ORDER BY cpu", (window,))
    return tuple(CpuWindow(float(running), float(waiting), _count(n)) for running, waiting, n in rows)


def _path(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError("a cgroup's path is no blob")
    return value.decode("utf-8", "surrogateescape")


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value
