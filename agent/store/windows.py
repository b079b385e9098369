"""The tables of run files and histories, and windows into them and out: one schema, version 1.

Nothing is released yet, so a change of the tables changes version 1, and a file of any other version is refused. The
first migration is written after the first release.

Each row has a checksum, a window's of all but `packed`, which has its own: where one bit has changed no figure is told.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import msgspec

from agent.store.packing import Allowance, pack_window, unpack_parts, unpack_window
from collectors.windows.sched import SchedWindow
from collectors.windows.signals import SignalWindow
from probes.errors import UsageError

SCHEMA = "jostle.run/1"
EVER = (-(2**63), 2**63 - 1)
"""All time, in ns since the epoch."""

Value = TypeVar("Value")

# A history holds many recordings, one for each start of the agent, each with facts of its own; a run file has
# recording 1 alone. A row of `windows` is the sum of so many windows of one recording as `sum_of` says, of which `id`
# is the last: no number is missing between two rows, and none is in both. An event keeps the number of its window.
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (
    recording INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, crc32 INTEGER NOT NULL,
    PRIMARY KEY (recording, key)
) WITHOUT ROWID;
CREATE TABLE windows (
    id INTEGER PRIMARY KEY, recording INTEGER NOT NULL, end_utc_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL,
    sum_of INTEGER NOT NULL, crc32 INTEGER NOT NULL, packed BLOB NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, window INTEGER NOT NULL, utc_ns INTEGER NOT NULL, document TEXT NOT NULL,
    crc32 INTEGER NOT NULL
);
CREATE TABLE flights (
    id INTEGER PRIMARY KEY, recording INTEGER NOT NULL, begin_utc_ns INTEGER NOT NULL, end_utc_ns INTEGER NOT NULL,
    crc32 INTEGER NOT NULL, packed BLOB NOT NULL
);
CREATE INDEX events_by_window ON events (window);
"""
_CHECKED = {
    "facts": "recording, key, value",
    "windows": "recording, end_utc_ns, duration_ns, sum_of",
    "events": "window, utc_ns, document",
    "flights": "recording, begin_utc_ns, end_utc_ns",
}
# In a file that was cut off SQLite reads zeros, which are NULL: such a row is found, and then refused.
_BETWEEN = "FROM windows WHERE (end_utc_ns > ? AND end_utc_ns - duration_ns < ?) IS NOT FALSE"


def holds_tables(db: sqlite3.Connection) -> bool:
    """Whether the tables of this schema are in a file; false for an empty one.

    Raises:
        UsageError: Another version of jostle wrote it, or something else.
    """
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return False
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    found = str(row and row[0])[:40]
    if found != SCHEMA:
        raise UsageError(
            f"its schema is {found!r}, this jostle reads {SCHEMA!r} alone", "use the jostle that wrote it"
        )
    return True


def create_tables(db: sqlite3.Connection) -> None:
    """Make the tables in an empty file, in one transaction; nothing in one that has them.

    Raises:
        UsageError: See `holds_tables`.
    """
    if holds_tables(db):
        return
    try:
        db.executescript(f"BEGIN; {_TABLES} INSERT INTO meta VALUES ('schema', '{SCHEMA}'); COMMIT;")  # noqa: S608  our own
    except BaseException:
        db.rollback()
        raise


@dataclass(frozen=True, slots=True)
class WindowWriter:
    """Inserts the windows of one recording; the caller's are the transactions."""

    db: sqlite3.Connection
    recording: int

    def insert(self, window: SchedWindow, end_utc_ns: int) -> int:
        """Insert one window, which ended at `end_utc_ns`, ns since the epoch; its number."""
        row = (self.recording, end_utc_ns, window.duration_ns, 1)
        cursor = self.db.execute(
            "INSERT INTO windows (recording, end_utc_ns, duration_ns, sum_of, crc32, packed) VALUES (?, ?, ?, ?, ?, ?)",
            (*row, checksum(row), pack_window(window)),
        )
        return int(cursor.lastrowid or 0)


def insert_facts(db: sqlite3.Connection, recording: int, said: Iterable[tuple[str, str]]) -> None:
    """Write down what is said of a recording, by key; what was said before under the same key is replaced."""
    rows = ((recording, key, value) for key, value in said)
    db.executemany("REPLACE INTO facts VALUES (?, ?, ?, ?)", ((*row, checksum(row)) for row in rows))


def insert_event(db: sqlite3.Connection, window: int, utc_ns: int, document: str) -> None:
    """Insert one event, told with this window."""
    row = (window, utc_ns, document)
    db.execute(
        "INSERT INTO events (window, utc_ns, document, crc32) VALUES (?, ?, ?, ?)", (*row, checksum(row))
    )


def require_checksums(db: sqlite3.Connection) -> None:
    """Read every row, but for what windows packed.

    Raises:
        ValueError: One has another checksum than when it was written, or a window between two others is gone.
    """
    for table, columns in _CHECKED.items():
        for *row, found in db.execute(f"SELECT {columns}, crc32 FROM {table}"):  # noqa: S608  our own words
            if checksum(tuple(row)) != found:
                raise ValueError(f"a row of {table} has changed since it was written")
    first, last, count = db.execute(
        "SELECT min(id - sum_of + 1), max(id), sum(sum_of) FROM windows"
    ).fetchone()
    if count and last - first + 1 != count:
        raise ValueError("windows are gone from within it")


def checksum(row: tuple[object, ...]) -> int:
    """Of a row's columns that are not packed."""
    return zlib.crc32(repr(row).encode())


def tables() -> frozenset[tuple[object, ...]]:
    """What `sqlite_master` says of the tables of this schema: type, name, table and SQL."""
    with closing(sqlite3.connect(":memory:")) as db:
        create_tables(db)
        return frozenset(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


class Span(NamedTuple):
    """What a row of `windows` covers, without what is in it: times in ns, the end since the epoch."""

    number: int
    recording: int
    end_utc_ns: int
    duration_ns: int
    sum_of: int

    @property
    def first(self) -> int:
        """The number of the first window that it is the sum of; its own is that of the last."""
        return self.number - self.sum_of + 1

    @property
    def begin_utc_ns(self) -> int:
        """When it began, or would have if nothing was lost within it."""
        return self.end_utc_ns - self.duration_ns

    def lost_before(self, before: "Span") -> int:
        """Windows missing between one and this: read, but not stored, or not read at all; none over a restart."""
        missing = (self.begin_utc_ns - before.end_utc_ns) * self.sum_of / max(1, self.duration_ns)
        return max(0, round(missing)) if before.recording == self.recording else 0


def window_spans(
    db: sqlite3.Connection, between_ns: tuple[int, int] = EVER, after: int = 0
) -> Iterator[Span]:
    """All windows beyond number `after` with a part between two points of time, in the order they were written."""
    rows = db.execute(
        f"SELECT id, recording, end_utc_ns, duration_ns, sum_of {_BETWEEN} AND id > ? ORDER BY id",
        (*between_ns, after),
    )
    return (Span(*map(as_count, row)) for row in rows)


def read_windows(db: sqlite3.Connection, spans: Iterable[Span]) -> Iterator[SchedWindow]:
    """What these windows hold, as they were written.

    Raises:
        One of `packing.DAMAGE`: One holds what was never written.
    """
    for span in spans:
        yield unpack_window(
            db.execute("SELECT packed FROM windows WHERE id = ?", (span.number,)).fetchone()[0]
        )


def replace_by_sum(db: sqlite3.Connection, parts: Sequence[Span], whole: SchedWindow) -> None:
    """Put the sum of windows that follow one another in their place. Their events stay those of their numbers."""
    first, last = parts[0], parts[-1]
    row = (last.recording, last.end_utc_ns, whole.duration_ns, last.number - first.first + 1)
    db.execute("DELETE FROM windows WHERE id BETWEEN ? AND ?", (first.first, last.number))
    db.execute(
        "INSERT INTO windows (id, recording, end_utc_ns, duration_ns, sum_of, crc32, packed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (last.number, *row, checksum(row), pack_window(whole)),
    )


def prune(db: sqlite3.Connection, oldest: Span) -> None:
    """Delete the windows before this one, their events, and what was said of recordings that have none left."""
    db.execute("DELETE FROM events WHERE window < ?", (oldest.first,))
    db.execute("DELETE FROM windows WHERE id < ?", (oldest.first,))
    db.execute("DELETE FROM facts WHERE recording < (SELECT recording FROM windows ORDER BY id LIMIT 1)")


def windows(
    db: sqlite3.Connection,
    between_ns: tuple[int, int] = EVER,
    wanted: Callable[[str], bool] | None = None,
    *,
    every: int = 1,
) -> Iterator[tuple[int, SchedWindow]]:
    """(recording, window) of every window that has a part between two points of time, in the order they were written.

    It holds the cgroups whose path is wanted (None: all). Its `end_ns` is CLOCK_REALTIME here, ns since the epoch. Of
    `every` so many windows only the first is read.

    Raises:
        One of `packing.DAMAGE`: The file holds what was never written.
    """
    rows = db.execute(f"SELECT id, recording, end_utc_ns {_BETWEEN} ORDER BY id", between_ns).fetchall()
    left = Allowance(size_bytes(db))
    for number, recording, end_ns in rows[::every]:
        packed = db.execute("SELECT packed FROM windows WHERE id = ?", (number,)).fetchone()[0]
        window = replace(unpack_window(packed, left), end_ns=as_count(end_ns))
        yield as_count(recording), window if wanted is None else only(window, wanted)


def window_parts(
    db: sqlite3.Connection, spans: Iterable[Span], parts: msgspec.msgpack.Decoder[Any]
) -> Iterator[tuple[Span, Any]]:
    """What these windows hold, as `packing.unpack_parts` has them."""
    left = Allowance(size_bytes(db))
    for span in spans:
        packed = db.execute("SELECT packed FROM windows WHERE id = ?", (span.number,)).fetchone()[0]
        yield span, unpack_parts(packed, parts, left)


def told_with(db: sqlite3.Connection, first: int, last: int) -> list[str]:
    """The documents of the events that were told with the windows of these numbers, in the order they were told."""
    rows = db.execute("SELECT document FROM events WHERE window BETWEEN ? AND ? ORDER BY id", (first, last))
    return [document for (document,) in rows]


def facts(db: sqlite3.Connection, recordings: Sequence[int]) -> dict[str, str]:
    """What was said about some recordings; where they differ, what was said of the latest."""
    rows = db.execute("SELECT recording, key, value FROM facts ORDER BY recording")
    return {key: value for recording, key, value in rows if recording in recordings}


def count_windows(db: sqlite3.Connection, between_ns: tuple[int, int]) -> int:
    """How many windows `windows` would give."""
    return as_count(db.execute(f"SELECT count(*) {_BETWEEN}", between_ns).fetchone()[0])


def events(db: sqlite3.Connection) -> list[tuple[int, str]]:
    """(recording, document) of every event, in the order they were told."""
    return db.execute(
        "SELECT recording, document FROM events JOIN windows"
        " ON windows.id = (SELECT min(id) FROM windows WHERE id >= events.window) ORDER BY events.id"
    ).fetchall()


def ends_utc_ns(db: sqlite3.Connection) -> dict[int, int]:
    """When the last window of each recording ended, in ns since the epoch."""
    return dict(db.execute("SELECT recording, max(end_utc_ns) FROM windows GROUP BY recording"))


def span_ns(db: sqlite3.Connection) -> tuple[int, int] | None:
    """Begin and end of all that there is, in ns since the epoch; None where there is nothing."""
    begin, end = db.execute("SELECT min(end_utc_ns - duration_ns), max(end_utc_ns) FROM windows").fetchone()
    return None if end is None else (as_count(begin), as_count(end))


def size_bytes(db: sqlite3.Connection) -> int:
    """Of the file."""
    (pages,), (size,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return as_count(pages) * as_count(size)


def only(window: SchedWindow, wanted: Callable[[str], bool]) -> SchedWindow:
    """The window with those cgroups alone whose path is wanted."""

    def kept(by_path: Mapping[str, Value]) -> dict[str, Value]:
        return {path: value for path, value in by_path.items() if wanted(path)}

    def kept_signals(signals: SignalWindow) -> SignalWindow:
        of_cgroups: dict[str, Any] = {
            name: kept(getattr(signals, name)) for name in ("cgroups", "names", "counters", "coruns")
        }
        return replace(signals, **of_cgroups)

    signals = window.signals and kept_signals(window.signals)
    return replace(window, cgroups=kept(window.cgroups), signals=signals)


def as_count(value: object) -> int:
    """A counter or a point of time, which is never negative."""
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value
