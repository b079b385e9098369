"""Signals of windows that follow one another as those of one window: counters are summed, levels averaged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from collectors.host.workloads import Workload
from collectors.windows import counters
from collectors.windows.corun import Corun
from collectors.windows.signals import (
    Absence,
    CacheSignals,
    CgroupSignals,
    CpuSignals,
    HostSignals,
    SignalWindow,
)

_COUNTED = CgroupSignals._fields[1:]
Key = TypeVar("Key")
Value = TypeVar("Value")


def add_signals(parts: Sequence[SignalWindow]) -> SignalWindow:
    """Counters are summed over those parts that have them, levels (frequency, cache in use) are means of them."""
    limits = limits_cpus(parts)
    return SignalWindow(
        cgroups={
            path: CgroupSignals(
                limits[path], *(total(getattr(row, name) for row in rows) for name in _COUNTED)
            )
            for path, rows in _grouped(part.cgroups for part in parts).items()
        },
        host=_host([part.host for part in parts]),
        names=workloads(parts),
        counters={
            path: counters.add(counts) for path, counts in _grouped(part.counters for part in parts).items()
        },
        missing=absences(parts),
        coruns={
            path: {name: Corun(*map(sum, _columns(times))) for name, times in _grouped(partners).items()}
            for path, partners in _grouped(part.coruns for part in parts).items()
        },
    )


def _host(parts: Sequence[HostSignals]) -> HostSignals:
    return HostSignals(
        cpus={cpu: _cpu(rows) for cpu, rows in _grouped(part.cpus for part in parts).items()},
        pressure={
            name: total(stalled) for name, stalled in _grouped(part.pressure for part in parts).items()
        },
        caches={
            group: {domain: _cache(rows) for domain, rows in _grouped(domains).items()}
            for group, domains in _grouped(part.caches for part in parts).items()
        },
    )


def _cpu(rows: Sequence[CpuSignals]) -> CpuSignals:
    steal, irq, softirq, khz = _columns(rows)
    return CpuSignals(total(steal), total(irq), total(softirq), _level(khz))


def _cache(rows: Sequence[CacheSignals]) -> CacheSignals:
    occupancy, moved, locally = _columns(rows)
    return CacheSignals(_level(occupancy), total(moved), total(locally))


def _level(figures: Iterable[int | None]) -> int | None:
    found = mean(figures)
    return None if found is None else round(found)


def _grouped(maps: Iterable[Mapping[Key, Value]]) -> dict[Key, list[Value]]:
    """The values of each key in all of them."""
    found: dict[Key, list[Value]] = {}
    for each in maps:
        for key, value in each.items():
            found.setdefault(key, []).append(value)
    return found


def _columns(rows: Sequence[Sequence[Value]]) -> list[tuple[Value, ...]]:
    return list(zip(*rows, strict=True))


Windows = Sequence[SignalWindow]


def limits_cpus(windows: Windows) -> dict[str, float | None]:
    """The limit that bound each cgroup when it was last read, by path: `inf` for none, None for unknown."""
    return {path: row.limit_cpus for window in windows for path, row in window.cgroups.items()}


def workloads(windows: Windows) -> dict[str, Workload]:
    """Who runs in each cgroup that was named."""
    return {path: workload for window in windows for path, workload in window.names.items()}


def absences(windows: Windows) -> dict[str, Absence]:
    """Why figures of each name are missing, the first reason, and how many over all windows."""
    found: dict[str, Absence] = {}
    for window in windows:
        for name, absence in window.missing.items():
            first = found.get(name)
            found[name] = replace(first, figures=first.figures + absence.figures) if first else absence
    return found


def total(figures: Iterable[int | None]) -> int | None:
    """The sum of those there are; None when there is none."""
    present = [figure for figure in figures if figure is not None]
    return sum(present) if present else None


def mean(figures: Iterable[int | None]) -> float | None:
    """The mean of those there are; None when there is none."""
    present = [figure for figure in figures if figure is not None]
    return sum(present) / len(present) if present else None
