"""Seconds of the flight recorder in a history: beside its windows and not among them, so that nothing is there twice.

A row holds up to a minute, as it was packed, with the paths of the cgroups in it: to write 15 minutes takes no work.
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from agent.store.packing import Allowance
from agent.store.windows import Span, as_count, checksum, only, size_bytes
from collectors.windows.sched import SchedWindow
from collectors.windows.seconds import Flight, Kept, window_of

MOST_IN_A_ROW = 60


class _Row(msgspec.Struct, array_like=True, frozen=True):
    """The seconds of a row, and their paths by key, in bytes as paths may be of no encoding: msgpack, by zlib."""

    paths: bytes
    seconds: tuple[Kept, ...]


_ROW = msgspec.msgpack.Decoder(_Row)
_PATHS = msgspec.msgpack.Decoder(dict[int, bytes])


@dataclass(frozen=True, slots=True)
class StoredSecond:
    """One second of a history, not yet unpacked."""

    span: Span
    packed: bytes
    paths: Mapping[int, str]


def insert_flight(db: sqlite3.Connection, recording: int, flight: Flight, boot_utc_ns: int) -> None:
    """Write seconds down; `boot_utc_ns` is when CLOCK_MONOTONIC was 0, in ns since the epoch."""
    names = {key: os.fsencode(path) for key, path in flight.paths.items()}
    paths = zlib.compress(msgspec.msgpack.encode(names), 1)
    for first in range(0, len(flight.seconds), MOST_IN_A_ROW):
        seconds = flight.seconds[first : first + MOST_IN_A_ROW]
        begin_ns, end_ns = seconds[0].end_ns - seconds[0].duration_ns, seconds[-1].end_ns
        row = (recording, boot_utc_ns + begin_ns, boot_utc_ns + end_ns)
        packed = msgspec.msgpack.encode(_Row(paths, seconds))
        db.execute(
            "INSERT INTO flights (recording, begin_utc_ns, end_utc_ns, crc32, packed) VALUES (?, ?, ?, ?, ?)",
            (*row, checksum(row), packed),
        )


def prune_flights(db: sqlite3.Connection, oldest_utc_ns: int, most_bytes: int) -> None:
    """Delete those that ended before a moment, and the oldest until the others take no more than so many bytes."""
    left, last = most_bytes, 0
    for number, length in db.execute("SELECT id, length(packed) FROM flights ORDER BY id DESC"):
        left -= length
        if left < 0:
            last = number
            break
    db.execute("DELETE FROM flights WHERE id <= ? OR end_utc_ns < ?", (last, oldest_utc_ns))


def stored_seconds(db: sqlite3.Connection, between_ns: tuple[int, int]) -> list[StoredSecond]:
    """The seconds that have a part between two points of time, in the order they were written.

    Raises:
        One of `packing.DAMAGE`: The file holds what was never written.
    """
    rows: list[tuple[object, object, bytes]] = db.execute(
        "SELECT recording, end_utc_ns, packed FROM flights WHERE end_utc_ns > ? AND begin_utc_ns < ? ORDER BY id",
        between_ns,
    ).fetchall()
    left = Allowance(size_bytes(db))
    return [
        second
        for recording, end_utc_ns, packed in rows
        for second in _of_row(recording, end_utc_ns, packed, left)
        if second.span.end_utc_ns > between_ns[0] and second.span.begin_utc_ns < between_ns[1]
    ]


def _of_row(recording: object, end_utc_ns: object, packed: bytes, left: Allowance) -> Iterator[StoredSecond]:
    row = _ROW.decode(packed)
    paths = {key: os.fsdecode(path) for key, path in _PATHS.decode(left.unzip(row.paths)).items()}
    for end_ns, duration_ns, content in row.seconds:
        at_ns = as_count(end_utc_ns) - row.seconds[-1].end_ns + end_ns
        yield StoredSecond(Span(0, as_count(recording), as_count(at_ns), duration_ns, 1), content, paths)


def second_windows(
    db: sqlite3.Connection, seconds: Sequence[StoredSecond], wanted: Callable[[str], bool] | None = None
) -> Iterator[tuple[int, SchedWindow]]:
    """(recording, window) of each of these, as `windows.windows` has them."""
    left = Allowance(size_bytes(db))
    for each in seconds:
        window = replace(window_of(left.unzip(each.packed), each.paths), end_ns=each.span.end_utc_ns)
        yield each.span.recording, window if wanted is None else only(window, wanted)


def flight_span_ns(db: sqlite3.Connection) -> tuple[int, int] | None:
    """Begin and end of the latest stretch of seconds without a gap, in ns since the epoch; None where there is none."""
    found = None
    for begin_ns, end_ns in db.execute("SELECT begin_utc_ns, end_utc_ns FROM flights ORDER BY id DESC"):
        if found and found[0] - end_ns > 10**9:
            break
        found = begin_ns, found[1] if found else end_ns
    return found
