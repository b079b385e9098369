"""The agent's history: every window of months in one SQLite file, bounded in age and size.

The file is in WAL mode with `synchronous = FULL`: each window is one transaction, on disk when it is taken. After a
kill or a power cut SQLite opens it with every window but at most the one that was being written. The oldest windows
go, a few in each transaction, when they are too old; where the file is too large they are thinned first.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from agent.daemon.condense import condensed
from agent.daemon.config import Config, HistoryConfig
from agent.daemon.sinks import Health, Observation
from agent.daemon.thinning import Thinner
from agent.documents.event import Event, EventState
from agent.store.flights import insert_flight, prune_flights
from agent.store.history import locked, opened, refusal
from agent.store.run_file import Notes, pack
from agent.store.windows import WindowWriter, insert_event, insert_facts, prune, window_spans
from collectors.windows.seconds import Flight

_NS_PER_DAY = 86_400 * 10**9
# Ten times the pace at which windows come, so that a backlog goes, and one wrong reading of the clock takes little.
MOST_PRUNED_AT_ONCE = 10
# By so much may the file be beyond its size while windows are left that can be thinned.
_SLACK = 1.1
# In place of a descriptor: a number that was closed may by then be another file's.
_CLOSED = -1
# Of an incident the seconds are kept from so long before its begin until so long after it was told.
AROUND_NS = 60 * 10**9
# Of the file, what seconds may take.
SECONDS_PART = 1 / 4
# A history whose limit was lowered shrinks by this much in each window.
_SHRUNK_AT_ONCE_PAGES = 256


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept: whatever is older, and then the oldest until it fits, goes."""

    max_age_ns: int
    max_bytes: int

    @classmethod
    def of(cls, config: HistoryConfig) -> "Retention":
        """The limits that a configuration gives, in ns and bytes."""
        return cls(round(config.max_age_days * _NS_PER_DAY), config.max_size_mib * 1024 * 1024)

    def surplus(self, ends_utc_ns: Sequence[int], now_ns: int, windows: int, used_bytes: int) -> int:
        """How many windows of the oldest are to go: of those that end at `ends_utc_ns`, of `windows` in all.

        The newest is never among them.
        """
        expired = next(
            (n for n, end in enumerate(ends_utc_ns) if end >= now_ns - self.max_age_ns), len(ends_utc_ns)
        )
        over_bytes = max(0, used_bytes - self.max_bytes)
        too_many = -(-over_bytes * windows // max(1, used_bytes))
        return min(max(expired, too_many), len(ends_utc_ns), windows - 1)


class History:
    """A sink that keeps windows and events."""

    name = "history"

    def __init__(
        self,
        path: Path,
        retention: Retention,
        facts: Mapping[str, str],
        flight: Callable[[int], Flight] | None = None,
    ) -> None:
        """Open, or begin, a history.

        Args:
            path: Where.
            retention: How much of it.
            facts: What is said of the windows to come.
            flight: The seconds after a moment by CLOCK_MONOTONIC, where there is a flight recorder.

        Raises:
            UsageError: It cannot be written there, is not a history, is damaged, of a later version, or in use.
            JostleError: There is no room for it.
        """
        self._path = path
        self._retention = retention
        self._facts = dict(facts)
        self._flight = flight
        self._until_ns = 0  # so long, by the clock, seconds are of an incident
        self._flown_ns = 0  # the latest second that is written, by CLOCK_MONOTONIC
        self._written: dict[str, str] = {}
        self._lock = _CLOSED
        self._open()

    def on_window(self, observation: Observation) -> tuple[Event, ...]:
        """Commit one window, and let old ones go; raises no event.

        Raises:
            JostleError: It cannot be written; what was written before stays, and the next is tried again.
        """
        if self._is_elsewhere():
            self._leave()
            self._open()
        try:
            with self._db as db:
                self._newest = self._windows.insert(condensed(observation.sched), observation.end_utc_ns)
                self._write_facts(observation.health)
                self._forget_oldest(observation.end_utc_ns)
            _shrink(db)
        except sqlite3.Error as error:
            self._written = {}
            raise refusal(self._path, error) from error
        if self._until_ns:
            self._write_seconds(0)
            if observation.end_utc_ns >= self._until_ns:
                self._until_ns = 0
        return ()

    def on_event(self, event: Event) -> None:
        """Commit one event, and the seconds around the begin of an incident. Raises as `on_window` does."""
        try:
            with self._db as db:
                insert_event(db, self._newest, event.utc_ns, json.dumps(event.to_document()))
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error
        if event.state is EventState.RAISED:
            self._until_ns = event.utc_ns + AROUND_NS
            self._write_seconds(event.since_utc_ns - AROUND_NS)

    def dump(self) -> None:
        """Write down all seconds that the flight recorder has. Raises as `on_window` does."""
        self._write_seconds(0)

    def _write_seconds(self, since_utc_ns: int) -> None:
        """Those after a moment that are not there yet."""
        if self._flight is None:
            return
        boot_utc_ns = time.time_ns() - time.monotonic_ns()
        flight = self._flight(max(self._flown_ns, since_utc_ns - boot_utc_ns))
        if not flight.seconds:
            return
        try:
            with self._db as db:
                insert_flight(db, self._recording, flight, boot_utc_ns)
                prune_flights(db, 0, round(SECONDS_PART * self._retention.max_bytes))
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error
        self._flown_ns = flight.seconds[-1].end_ns

    def reload(self, config: Config) -> None:
        """The new limits hold from the next window on."""
        self._retention = Retention.of(config.history)

    def close(self) -> None:
        """Leave one file, without a log beside it; may be called twice."""
        self._db.close()
        if self._lock != _CLOSED:
            os.close(self._lock)
        self._lock = _CLOSED

    def _open(self) -> None:
        lock = locked(self._path)
        try:
            self._db = opened(self._path)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        latest = self._db.execute("SELECT id, recording FROM windows ORDER BY id DESC LIMIT 1").fetchone()
        self._newest, before = latest or (0, 0)
        self._recording = before + 1
        self._windows: WindowWriter = WindowWriter(self._db, self._recording)
        self._thinner = Thinner()
        self._written = {}

    def _leave(self) -> None:
        """Close a file that is no longer at its path. SQLite would leave its log there, for whatever comes next."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()

    def _is_elsewhere(self) -> bool:
        """Whether somebody removed or replaced the file: what is written would be in no directory."""
        try:
            return self._lock == _CLOSED or not os.path.samestat(self._path.stat(), os.fstat(self._lock))
        except OSError:
            return True

    def _write_facts(self, health: Health) -> None:
        """With the first window, and when they change: an agent that never gets to a window leaves nothing."""
        facts = dict(self._facts)
        if health.probe is not None:
            facts["self_cost"] = pack(health.probe)
        if health.warnings:
            facts["notes"] = pack(Notes(health.warnings))
        changed = {key: value for key, value in facts.items() if self._written.get(key) != value}
        insert_facts(self._db, self._recording, changed.items())
        self._written = facts

    def _forget_oldest(self, now_ns: int) -> None:
        head = list(islice(window_spans(self._db), MOST_PRUNED_AT_ONCE + 1))
        ends_utc_ns = [span.end_utc_ns for span in head[:MOST_PRUNED_AT_ONCE]]
        count = self._newest - head[0].first + 1
        used_bytes = 0 if self._is_being_thinned(now_ns) else _used_bytes(self._db)
        surplus = min(self._retention.surplus(ends_utc_ns, now_ns, count, used_bytes), len(head) - 1)
        if surplus:
            prune(self._db, head[surplus])
            prune_flights(self._db, head[surplus].begin_utc_ns, self._retention.max_bytes)

    def _is_being_thinned(self, now_ns: int) -> bool:
        """Whether what is beyond the file's size need not go yet, as sums took the place of some windows."""
        limit, used_bytes = self._retention.max_bytes, _used_bytes(self._db)
        if used_bytes <= limit or not self._thinner.thin(self._db, now_ns, self._retention.max_age_ns):
            return False
        return used_bytes <= _SLACK * limit


def _pragma(db: sqlite3.Connection, name: str) -> int:
    (value,) = db.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _used_bytes(db: sqlite3.Connection) -> int:
    pages, free, size = (_pragma(db, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def _shrink(db: sqlite3.Connection) -> None:
    """Give free pages back to the file system when they are a quarter of the file: its limit was lowered."""
    if 4 * _pragma(db, "freelist_count") > max(_pragma(db, "page_count"), 4 * _SHRUNK_AT_ONCE_PAGES):
        db.execute(f"PRAGMA incremental_vacuum({_SHRUNK_AT_ONCE_PAGES})").fetchall()
