"""Shipping: the windows of a history that are not in the dataset yet, an hour at a time, each once.

The history is the spool: it is bounded in age and size, and outlives everything here. How far it is shipped says a
cursor in the dataset itself, which is written before an hour's files, with what they are to hold, and after them. So
whoever ships after a kill writes the same files under the same names. An hour is shipped when a window of another has
followed it or when the clock is past it; where the clock was set back, what comes again is further files of that hour.
"""

import fcntl
import hashlib
import io
import json
import os
import platform
import re
import sqlite3
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import msgspec

from agent.documents.event import Event
from agent.documents.fleet import Shipped
from agent.documents.times import partition, span_of
from agent.documents.verdict_parts import Host
from agent.fleet.dataset import STEM
from agent.fleet.place import Place, missing_extra
from agent.fleet.rows import (
    About,
    Columns,
    buffers,
    cgroups,
    columns_of,
    event_row,
    host_windows,
    length,
    pairs,
)
from agent.fleet.schema import HOUR_S, SCHEMA, TABLES, VERSION
from agent.fleet.sums import NS, PARTS, HourSums
from agent.store.files import own_place
from agent.store.opening import open_to_read
from agent.store.packing import DAMAGE
from agent.store.run_file import Run
from agent.store.windows import Span, facts, told_with, window_parts, window_spans
from probes.errors import UsageError

LAG_S = 60
"""How long after its end an hour is taken for complete: a window may have begun in it."""
NEVER_NS = 2**63
"""Later than any hour ends."""
_LEVEL = 19  # zstd's: a tenth smaller than 3, for 50 ms more of a host-hour of 300 cgroups


class Batch(msgspec.Struct, frozen=True):
    """The windows that a file of each table holds, and the files' name."""

    last: int
    end_utc_ns: int  # of the last
    stem: str


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a history is shipped: its window of this number, with its end; and what is under way."""

    window: int = 0
    end_utc_ns: int = 0
    under_way: Batch | None = None
    schema: str = SCHEMA

    def is_of(self, spans: Sequence[Span]) -> bool:
        """Whether it tells of the history that holds these windows: their ends say so, unless they are gone by now."""
        known = {self.window: self.end_utc_ns}
        known |= {self.under_way.last: self.under_way.end_utc_ns} if self.under_way else {}
        return all(_is_there(number, end_ns, spans) for number, end_ns in known.items())


def ship(
    history: Path,
    place: Place,
    host: str | None,
    labels: Mapping[str, str],
    *,
    now_ns: int | None = None,
    cpu_model: str | None = None,
) -> Shipped:
    """Ship every complete hour of a history.

    Args:
        history: The agent's, which may go on writing.
        place: The dataset.
        host: Under which name; None: the one in the history.
        labels: What to say of the host, by name.
        now_ns: The clock, in ns since the epoch.
        cpu_model: Of the host; None: of this one, which a history is shipped from.

    Raises:
        UsageError: There is no history, or it cannot be read; a label has a `;` or `=`.
        JostleError: The dataset cannot be written; what is shipped stays, and the next call goes on from there.
    """
    if not history.is_file():
        raise UsageError(
            f"there is no history {history}", "is `jostle agent` running? else give --history-file"
        )
    _require_labels(labels)
    now_ns = time.time_ns() if now_ns is None else now_ns
    with _alone(history):
        try:
            with closing(open_to_read(history)) as db:
                return _Shipping(db, place, host, labels, cpu_model or _cpu_model()).all_until(now_ns)
        except DAMAGE as error:
            raise UsageError(
                f"{history} is not a history, or damaged ({error})", "give --history-file"
            ) from error


def _is_there(number: int, end_utc_ns: int, spans: Sequence[Span]) -> bool:
    """Whether a window of this number ended then, or is too old to be there; within a sum that is not known exactly."""
    at = bisect_left(spans, number, key=lambda span: span.number)
    if at == len(spans):
        return False
    span = spans[at]
    if number == span.number:
        return end_utc_ns == span.end_utc_ns
    return number < span.first or span.begin_utc_ns <= end_utc_ns <= span.end_utc_ns


class _Shipping:
    """One pass over a history."""

    def __init__(
        self,
        db: sqlite3.Connection,
        place: Place,
        host: str | None,
        labels: Mapping[str, str],
        cpu_model: str,
    ) -> None:
        self._db, self._place, self._host, self._cpu_model = db, place, host, cpu_model
        self._labels = "".join(f";{name}={value}" for name, value in sorted(labels.items())) + ";" * bool(
            labels
        )
        self._hours, self._windows, self._bytes, self._lost = 0, 0, 0, 0
        self._rows = dict.fromkeys(TABLES, 0)

    def all_until(self, now_ns: int) -> Shipped:
        """Every hour that is complete at this time."""
        spans = list(window_spans(self._db))
        if not spans:
            return self._done([])
        name = self._about(spans[-1].recording)[0].host
        key = f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:100]}.{_machine()}"
        cursor = self._cursor(key, spans)
        # What was added up since part of it was shipped is not shipped again, and its other part is lost.
        left = [span for span in spans if span.first > cursor.window]
        while batch := _next(left, cursor, now_ns):
            cursor = self._ship(key, cursor, batch)
            left = left[len(batch) :]
        return self._done(left)

    def _about(self, recording: int) -> tuple[About, str]:
        """The host as it was in one of the agent's lives, and how that measured."""
        said = Run(facts(self._db, [recording]), (), partial=False)
        host = said.record("host", Host)
        about = About(self._host or host.hostname, self._labels, self._cpu_model, host.kernel, host.cpus)
        return about, said.meta.get("tier", "")

    def _cursor(self, key: str, spans: Sequence[Span]) -> Cursor:
        """Where to go on: at the beginning where this is another history than the one that was shipped."""
        content = self._place.get(_cursor_name(key))
        if content is None:
            return Cursor()
        try:
            cursor = msgspec.json.decode(content, type=Cursor)
        except msgspec.MsgspecError as error:
            raise UsageError(f"{_cursor_name(key)} is no cursor ({error})", "give another DATASET") from error
        if cursor.under_way and not re.fullmatch(STEM, cursor.under_way.stem, re.ASCII):
            raise UsageError(
                f"{_cursor_name(key)} is no cursor (the name of its batch)", "give another DATASET"
            )
        return cursor if cursor.is_of(spans) else Cursor()

    def _ship(self, key: str, cursor: Cursor, batch: Sequence[Span]) -> Cursor:
        """The files of one hour, between two writes of the cursor; the cursor that was written last."""
        first, last = batch[0], batch[-1]
        # The first window of a history has number 1 again: its end tells it from that of another.
        stem = f"{key}.{first.end_utc_ns // 10**6:x}-{first.first}-{last.number}"
        under_way = cursor.under_way
        if under_way and first.first <= under_way.last <= last.number:
            stem = under_way.stem  # the same files again, of windows that were perhaps added up meanwhile
        under_way = Batch(last.number, last.end_utc_ns, stem)
        self._move(key, msgspec.structs.replace(cursor, under_way=under_way))
        lost = first.first - cursor.window - 1 if cursor.window else 0
        time_s, tables = self._read(batch, lost)
        folder = partition(time_s)
        for table, columns in reversed(
            tables.items()
        ):  # `hosts` last: an hour that is in it is in all tables
            content = parquet(table, columns)
            self._place.put(f"{VERSION}/{table}/{folder}/{under_way.stem}.parquet", content)
            self._bytes += len(content)
            self._rows[table] += length(columns)
        self._hours, self._windows, self._lost = (
            self._hours + 1,
            self._windows + _windows(batch),
            self._lost + lost,
        )
        return self._move(key, Cursor(last.number, last.end_utc_ns))

    def _move(self, key: str, cursor: Cursor) -> Cursor:
        self._place.put(_cursor_name(key), msgspec.json.encode(cursor))
        return cursor

    def _read(self, batch: Sequence[Span], lost: int) -> tuple[int, dict[str, Columns]]:
        """Begin of an hour, and the rows of each table that has any."""
        first, last = batch[0], batch[-1]
        about, tier = self._about(first.recording)
        hour = HourSums()
        for span, window in window_parts(self._db, batch, PARTS):
            hour.add(span.end_utc_ns, window, span.sum_of)
        told = [
            event_row(about, Event.from_document(json.loads(text)), hour.names)
            for text in told_with(self._db, first.first, last.number)
        ]
        said = (hour.time_s, first.first, _windows(batch), lost, hour.duration_ns)
        tables = {
            "hosts": columns_of("hosts", [(*about, *said, version("jostle"), tier, hour.shed)]),
            "cgroups": cgroups(about, hour),
            "pairs": pairs(about, hour),
            "host_windows": host_windows(about, hour),
            "incidents": columns_of("incidents", told),
        }
        return hour.time_s, {name: columns for name, columns in tables.items() if length(columns)}

    def _done(self, left: Sequence[Span]) -> Shipped:
        return Shipped(
            hours=self._hours,
            windows=self._windows,
            rows=self._rows,
            bytes=self._bytes,
            lost_windows=self._lost,
            unshipped_windows=_windows(left),
        )


def _windows(spans: Sequence[Span]) -> int:
    """How many windows these hold, those that were added up among them."""
    return sum(span.sum_of for span in spans)


def _next(left: Sequence[Span], cursor: Cursor, now_ns: int) -> Sequence[Span]:
    """What was under way when somebody was killed, else the windows of the next hour when it is complete."""
    if cursor.under_way and left and left[0].first <= cursor.under_way.last:
        return [span for span in left if span.first <= cursor.under_way.last]
    for (hour_s, _), group in groupby(
        left, key=lambda span: (span_of(span.end_utc_ns, HOUR_S), span.recording)
    ):
        batch = list(group)
        return batch if len(batch) < len(left) or now_ns >= (hour_s + HOUR_S + LAG_S) * NS else ()
    return ()


def textfile(shipped: Shipped) -> str:
    """What was done, for node_exporter's textfile collector; it is written when all went well, and so says when."""
    figures = {
        "last_success_timestamp_seconds": (
            "When a call of `jostle ship` last went well.",
            round(time.time()),
        ),
        "windows": ("Windows that it shipped.", shipped.windows),
        "bytes": ("Bytes that it wrote.", shipped.bytes),
        "lost_windows": ("Windows gone from the history before they were shipped.", shipped.lost_windows),
        "unshipped_windows": ("Windows of an hour that was not over.", shipped.unshipped_windows),
    }
    return "".join(
        f"# HELP jostle_ship_{name} {what}\n# TYPE jostle_ship_{name} gauge\njostle_ship_{name} {value}\n"
        for name, (what, value) in figures.items()
    )


def parquet(table: str, columns: Columns, level: int = _LEVEL) -> bytes:
    """A file of a table, packed by zstd at this level.

    Raises:
        HostError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ImportError as error:
        raise missing_extra("pyarrow") from error
    fields = TABLES[table]
    arrays = [
        pa.Array.from_buffers(
            pa.type_for_alias(field.type),
            len(columns[field.name]),
            [
                None if part is None else pa.py_buffer(part)
                for part in buffers(field.type, columns[field.name])
            ],
        )
        for field in fields
    ]
    file = io.BytesIO()
    pq.write_table(
        *(pa.Table.from_arrays(arrays, names=[field.name for field in fields]), file),
        compression="zstd",
        compression_level=level,
        use_dictionary=[field.name for field in fields if field.type == "string"],
        # Of rounded figures the lower bytes are 0: a fifth less.
        column_encoding={field.name: "BYTE_STREAM_SPLIT" for field in fields if field.type != "string"},
        write_statistics=["time_s"],  # of other columns nobody asks a range, and they take 7 KiB
        store_schema=False,
    )
    return file.getvalue()


def _cursor_name(key: str) -> str:
    return f"{VERSION}/cursors/{key}.json"


@contextmanager
def _alone(history: Path) -> Iterator[None]:
    """One shipper for a history: another one waits for nothing, and comes again."""
    lock = history.with_name(f"{history.name}.ship-lock")
    try:
        descriptor = os.open(own_place(lock), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"cannot lock {lock} ({error.strerror})", "ship as the user that the agent runs as, or as root"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another `jostle ship` is reading {history}", "let it end") from error
        yield


def _require_labels(labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        if not name or set(";=") & set(name + value):
            raise UsageError(f"a label cannot be {name}={value}", "give --label NAME=VALUE, without ; and =")


def _machine() -> str:
    """Tells machines of one name apart. machine-id(5): it is not to be shown as it is."""
    try:
        told = Path("/etc/machine-id").read_bytes()
    except OSError:
        told = b""
    return hashlib.blake2s(told.strip(), digest_size=4, person=b"jostle").hexdigest()


def _cpu_model() -> str:
    """As /proc/cpuinfo has it; on arm64, which has no name there, implementer and part."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "CPU implementer" in said:
        return f"arm {said['CPU implementer']} {said.get('CPU part', '')}".strip()
    return said.get("model name") or platform.machine()
