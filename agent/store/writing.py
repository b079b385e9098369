"""Windows into the tables, and old ones out of them. The caller's are the transactions."""

import sqlite3
from collections.abc import Iterator
from operator import attrgetter

from agent.store.codec import encode_histogram, encode_path, encode_rows
from agent.store.schema import COUNTERS, PER_WINDOW
from agent.store.signal_writing import SignalWriter
from collectors.windows.sched import SchedWindow

# In how many windows a cgroup's `last_window` is renewed once: to renew it in each would double what is written.
NOTED_EVERY = 360
_COLUMNS = ("window", "cgroup", *COUNTERS, "histogram", "waited_for")
_counters_of = attrgetter(*COUNTERS)
_INSERT_SCHED = f"INSERT INTO sched ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  our names


class WindowWriter:
    """Inserts the windows of one recording."""

    def __init__(self, db: sqlite3.Connection, recording: int) -> None:
        self._db = db
        self._recording = recording
        # (id, last_window) of the cgroups of the latest window: no more, as cgroups come and go for months.
        self._known: dict[str, tuple[int, int]] = {}
        self._signals = SignalWriter(db)

    def insert(self, window: SchedWindow, end_utc_ns: int) -> int:
        """Insert one window; its number."""
        cursor = self._db.execute(
            "INSERT INTO windows (end_utc_ns, duration_ns, untracked, impossible, shed, recording)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(end_utc_ns, window.duration_ns, window.untracked, window.impossible),
                *(" ".join(window.shed), self._recording),
            ),
        )
        number = int(cursor.lastrowid or 0)
        ids = self._ids(window, number)
        self._db.executemany(_INSERT_SCHED, _sched_rows(number, window, ids))
        self._db.executemany(
            "INSERT INTO cpus VALUES (?, ?, ?, ?, ?)",
            [(number, cpu, c.running, c.waiting, c.switches) for cpu, c in enumerate(window.cpus)],
        )
        if window.signals is not None:
            self._signals.insert(number, window.signals, ids)
        return number

    def forget(self) -> None:
        """To be called when a transaction with an `insert` in it was rolled back."""
        self._known = {}
        self._signals.forget()

    def _ids(self, window: SchedWindow, number: int) -> dict[str, int]:
        """The id of each name in a window."""
        names = dict.fromkeys(window.cgroups)
        for cgroup in window.cgroups.values():
            names |= dict.fromkeys(cgroup.waited_for)
        for partners in window.signals.coruns.values() if window.signals else ():
            names |= dict.fromkeys(partners)
        self._known = {name: self._noted(name, number) for name in names}
        return {name: identity for name, (identity, _) in self._known.items()}

    def _noted(self, name: str, number: int) -> tuple[int, int]:
        """(id, last_window) of a name that is in window `number`, with a last_window that is fresh enough."""
        path = encode_path(name)
        found = (
            self._known.get(name)
            or self._db.execute("SELECT id, last_window FROM cgroups WHERE path = ?", (path,)).fetchone()
        )
        if found is None:
            cursor = self._db.execute("INSERT INTO cgroups (path, last_window) VALUES (?, ?)", (path, number))
            return int(cursor.lastrowid or 0), number
        identity, last = found
        if number - last < NOTED_EVERY:
            return identity, last
        self._db.execute("UPDATE cgroups SET last_window = ? WHERE id = ?", (number, identity))
        return identity, number


def prune(db: sqlite3.Connection, oldest: int) -> None:
    """Delete the windows before number `oldest`, and the names that no window from then on can refer to."""
    for table in PER_WINDOW:
        db.execute(f"DELETE FROM {table} WHERE window < ?", (oldest,))  # noqa: S608  our names
    db.execute("DELETE FROM windows WHERE id < ?", (oldest,))
    db.execute("DELETE FROM facts WHERE recording < (SELECT recording FROM windows ORDER BY id LIMIT 1)")
    gone = "SELECT id FROM cgroups WHERE last_window + ? <= ?"
    db.execute(f"DELETE FROM workloads WHERE cgroup IN ({gone})", (NOTED_EVERY, oldest))  # noqa: S608  our own text
    db.execute(f"DELETE FROM cgroups WHERE id IN ({gone})", (NOTED_EVERY, oldest))  # noqa: S608  our own text
    db.execute(
        "DELETE FROM reasons WHERE NOT EXISTS (SELECT 1 FROM missing WHERE missing.reason = reasons.id)"
    )


def _sched_rows(number: int, window: SchedWindow, ids: dict[str, int]) -> Iterator[tuple[object, ...]]:
    for path, cgroup in window.cgroups.items():
        waits = ((ids[name], *wait) for name, wait in cgroup.waited_for.items())
        yield (
            number,
            ids[path],
            *_counters_of(cgroup),
            encode_histogram(cgroup.histogram),
            encode_rows(waits),
        )
