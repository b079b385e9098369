"""The signals of windows out of their tables. Raises one of `codec.DAMAGE` where they hold what was never written."""

import sqlite3
from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

from agent.store.codec import count
from agent.store.schema import WORKLOAD, unknown_figures
from collectors.host.workloads import Workload
from collectors.windows.corun import Corun
from collectors.windows.figures import HOST_PRESSURE, CacheSignals, CgroupFigures, CpuSignals
from collectors.windows.signals import Absence, HostSignals, SignalWindow
from probes.perf_event import Reading

Row = tuple[Any, ...]


class Cgroups(NamedTuple):
    """What holds for all windows of a file.

    Attributes:
        paths: The path of each cgroup by its number.
        shown: Those that are wanted.
        named: The workload of each path that was named.
        figures: What to select for each figure of the registry.
    """

    paths: Mapping[int, str]
    shown: Container[int]
    named: Mapping[str, Workload]
    figures: tuple[str, ...]


def names(db: sqlite3.Connection, paths: Mapping[int, str]) -> dict[str, Workload]:
    """The workload of every cgroup that was named, by path."""
    columns = ", ".join(WORKLOAD)
    rows = db.execute(f"SELECT cgroup, {columns} FROM workloads")  # noqa: S608  our names
    return {
        paths[cgroup]: Workload(path=paths[cgroup], **dict(zip(WORKLOAD, row, strict=True)))
        for cgroup, *row in rows
    }


def figures_in(db: sqlite3.Connection) -> tuple[str, ...]:
    """What to select for each figure of a cgroup; NULL for those that were not known when the file was made."""
    unknown = {spec.name for spec in unknown_figures(db)}
    return tuple("NULL" if name in unknown else name for name in CgroupFigures._fields)


def signals_of(db: sqlite3.Connection, window: int, known: Cgroups) -> SignalWindow | None:
    """The signals of one window; None where none were read for it."""
    stalled = next(_rows(db, "host_signals", HOST_PRESSURE, window), None)
    if stalled is None:
        return None
    cgroups = {
        known.paths[cgroup]: CgroupFigures(_limit(limit_cpus), *map(_figure, figures))
        for cgroup, limit_cpus, *figures in _rows(db, "signals", ("cgroup", *known.figures), window)
        if cgroup in known.shown
    }
    return SignalWindow(
        cgroups=cgroups,
        host=HostSignals(
            cpus={
                cpu: CpuSignals(*map(_figure, figures))
                for cpu, *figures in _rows(db, "cpu_signals", ("cpu", *CpuSignals._fields), window)
            },
            pressure=dict(zip(HOST_PRESSURE, map(_figure, stalled), strict=True)),
            caches=_caches(db, window),
        ),
        names={path: known.named[path] for path in cgroups if path in known.named},
        counters=_counters(db, window, known),
        missing=_missing(db, window),
        coruns=_coruns(db, window, known),
    )


def _rows(db: sqlite3.Connection, table: str, columns: tuple[str, ...], window: int) -> Iterator[Row]:
    return db.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE window = ?", (window,))  # noqa: S608  our names


def _caches(db: sqlite3.Connection, window: int) -> dict[str, dict[int, CacheSignals]]:
    found: dict[str, dict[int, CacheSignals]] = {}
    columns = ("resctrl_group", "domain", *CacheSignals._fields)
    for group, domain, *figures in _rows(db, "cache_signals", columns, window):
        found.setdefault(group, {})[domain] = CacheSignals(*map(_figure, figures))
    return found


def _counters(db: sqlite3.Connection, window: int, known: Cgroups) -> dict[str, dict[str, Reading]]:
    found: dict[str, dict[str, Reading]] = {}
    columns = ("cgroup", "event", "value", "enabled_ns", "running_ns")
    for cgroup, event, *figures in _rows(db, "counters", columns, window):
        if cgroup in known.shown:
            found.setdefault(known.paths[cgroup], {})[event] = Reading(*map(count, figures))
    return found


def _coruns(db: sqlite3.Connection, window: int, known: Cgroups) -> dict[str, dict[str, Corun]]:
    found: dict[str, dict[str, Corun]] = {}
    for victim, aggressor, *times in _rows(db, "coruns", ("victim", "aggressor", "smt_ns", "llc_ns"), window):
        if victim in known.shown:
            found.setdefault(known.paths[victim], {})[known.paths[aggressor]] = Corun(*map(count, times))
    return found


def _missing(db: sqlite3.Connection, window: int) -> dict[str, Absence]:
    columns = ("figure", "reasons.reason", "remedy", "figures")
    rows = _rows(db, "missing JOIN reasons ON missing.reason = reasons.id", columns, window)
    return {name: Absence(reason, count(figures), remedy or None) for name, reason, remedy, figures in rows}


def _figure(value: object) -> int | None:
    return None if value is None else count(value)


def _limit(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, float) or not value >= 0:
        raise TypeError(f"{value!r} is no limit")
    return value
