"""The agent's history: every window of months in one SQLite file, bounded in age and size.

The file is in WAL mode with `synchronous = FULL`: each window is one transaction, on disk when it is taken. After a
kill or a power cut SQLite opens it with every window but at most the one that was being written. The oldest windows
go, a few in each transaction, when they are too old or the file too large.
"""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.daemon.condense import condensed
from agent.daemon.config import Config, HistoryConfig
from agent.daemon.sinks import Health, Observation
from agent.documents.event import Event
from agent.store.history import locked, opened, refusal
from agent.store.run_file import Notes, pack
from agent.store.windows import WindowWriter, insert_event, insert_facts, prune

_NS_PER_DAY = 86_400 * 10**9
# Ten times the pace at which windows come, so that a backlog goes, and one wrong reading of the clock takes little.
MOST_PRUNED_AT_ONCE = 10
# In place of a descriptor: a number that was closed may by then be another file's.
_CLOSED = -1
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

    def __init__(self, path: Path, retention: Retention, facts: Mapping[str, str]) -> None:
        """Open, or begin, a history. `facts` are what is said of the windows to come.

        Raises:
            UsageError: It cannot be written there, is not a history, is damaged, of a later version, or in use.
            JostleError: There is no room for it.
        """
        self._path = path
        self._retention = retention
        self._facts = dict(facts)
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
                self._let_go(observation.end_utc_ns)
            _shrink(db)
        except sqlite3.Error as error:
            self._written = {}
            raise refusal(self._path, error) from error
        return ()

    def on_event(self, event: Event) -> None:
        """Commit one event. Raises as `take` does."""
        try:
            with self._db as db:
                insert_event(db, self._newest, event.utc_ns, json.dumps(event.to_document()))
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error

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

    def _let_go(self, now_ns: int) -> None:
        head = self._db.execute(
            "SELECT id, end_utc_ns FROM windows ORDER BY id LIMIT ?", (MOST_PRUNED_AT_ONCE,)
        ).fetchall()
        oldest = head[0][0]
        pages, free, size = (
            _pragma(self._db, name) for name in ("page_count", "freelist_count", "page_size")
        )
        surplus = self._retention.surplus(
            [end for _, end in head], now_ns, self._newest - oldest + 1, (pages - free) * size
        )
        if surplus:
            prune(self._db, oldest + surplus)


def _pragma(db: sqlite3.Connection, name: str) -> int:
    (value,) = db.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _shrink(db: sqlite3.Connection) -> None:
    """Give free pages back to the file system when they are a quarter of the file: its limit was lowered."""
    if 4 * _pragma(db, "freelist_count") > max(_pragma(db, "page_count"), 4 * _SHRUNK_AT_ONCE_PAGES):
        db.execute(f"PRAGMA incremental_vacuum({_SHRUNK_AT_ONCE_PAGES})").fetchall()
