"""The signals of windows into their tables. A figure that there is not is NULL; no limit is infinite."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple

from agent.store.schema import WORKLOAD
from collectors.host.workloads import Workload
from collectors.windows.figures import HOST_PRESSURE, CgroupFigures
from collectors.windows.signals import Absence, HostSignals, SignalWindow

Row = tuple[object, ...]
# By name: in a file that is older than a figure its column is the last one.
_SIGNALS = f"signals (window, cgroup, {', '.join(CgroupFigures._fields)})"


class SignalWriter:
    """Inserts the signals of one recording's windows."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._named: frozenset[str] = frozenset()

    def insert(self, number: int, signals: SignalWindow, ids: Mapping[str, int]) -> None:
        """Those of window `number`; `ids` has every cgroup in it."""
        self._rows(_SIGNALS, ((number, ids[path], *row) for path, row in signals.cgroups.items()))
        self._rows("cpu_signals", ((number, cpu, *row) for cpu, row in signals.host.cpus.items()))
        self._rows("host_signals", [(number, *(signals.host.pressure.get(name) for name in HOST_PRESSURE))])
        self._rows("cache_signals", _cache_rows(number, signals.host))
        self._rows("coruns", _corun_rows(number, signals, ids))
        self._rows("counters", _counter_rows(number, signals, ids))
        self._rows("missing", [*self._missing_rows(number, signals.missing)])
        new = [(path, name) for path, name in signals.names.items() if path not in self._named]
        self._rows("workloads", ((ids[path], *_named(name)) for path, name in new), "REPLACE")
        self._named = frozenset(signals.names)

    def forget(self) -> None:
        """To be called when a transaction with an `insert` in it was rolled back."""
        self._named = frozenset()

    def _rows(self, table: str, rows: Iterable[Row], how: str = "INSERT") -> None:
        rows = list(rows)
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._db.executemany(f"{how} INTO {table} VALUES ({marks})", rows)

    def _missing_rows(self, number: int, missing: Mapping[str, Absence]) -> Iterator[Row]:
        """A window has few reasons, most of them the same as the last one: each text is written once."""
        for name, absence in missing.items():
            text = (_text(absence.reason), absence.remedy or "")
            self._db.execute("INSERT OR IGNORE INTO reasons (reason, remedy) VALUES (?, ?)", text)
            where = "SELECT id FROM reasons WHERE reason = ? AND remedy = ?"
            yield number, name, self._db.execute(where, text).fetchone()[0], absence.figures


def _cache_rows(number: int, host: HostSignals) -> Iterator[Row]:
    for group, domains in host.caches.items():
        yield from ((number, group, domain, *row) for domain, row in domains.items())


def _corun_rows(number: int, signals: SignalWindow, ids: Mapping[str, int]) -> Iterator[Row]:
    for path, partners in signals.coruns.items():
        yield from ((number, ids[path], ids[name], *corun) for name, corun in partners.items())


def _counter_rows(number: int, signals: SignalWindow, ids: Mapping[str, int]) -> Iterator[Row]:
    for path, counts in signals.counters.items():
        yield from ((number, ids[path], event, *astuple(reading)) for event, reading in counts.items())


def _named(workload: Workload) -> Iterator[str | None]:
    for name in WORKLOAD:
        value: str | None = getattr(workload, name)
        yield None if value is None else _text(value)


def _text(value: str) -> str:
    """What tenants name may hold bytes that are no UTF-8, which SQLite's text cannot."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
