"""Signals of windows that follow one another as those of one window, by the rules of `agent.signal_totals`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from agent.signal_totals import absences, limits_cpus, mean, total, workloads
from collectors import counters
from collectors.corun import Corun
from collectors.signal_window import CacheSignals, CgroupSignals, CpuSignals, HostSignals, SignalWindow

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
