"""What else, beside the scheduler, may have slowed each cgroup in a window, or in windows that follow one another.

A figure is None where there is none in that window, and `missing` says why: a file was unreadable, had vanished or
held nonsense, or its counter went back. None is never 0, and no figure is negative.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from collectors.host.workloads import Workload
from collectors.windows.corun import Corun
from collectors.windows.figures import CacheSignals, CgroupSignals, CpuSignals, add, add_counts, total
from probes.perf_event import Reading

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class HostSignals:
    """The host in one window: each CPU by number, stalled time of all tasks, and each resctrl group's domains."""

    cpus: Mapping[int, CpuSignals]
    pressure: Mapping[str, int | None]  # by name: see `HOST_PRESSURE`
    caches: Mapping[str, Mapping[int, CacheSignals]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absence:
    """Why figures of one name are None, and how many: the first reason of perhaps several."""

    reason: str
    figures: int
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class SignalWindow:
    """All signals but the scheduler's in one window.

    Attributes:
        cgroups: By path.
        host: Of the host.
        names: Which workload each of these cgroups is.
        counters: Growth of each event that is counted, by path and the event's name; see `windows.counters`.
        coruns: Who ran at the same time on CPUs that share something, by victim and aggressor; see `corun`.
        missing: Why figures are None, by their name; of a CPU's as `cpu.steal_ns`, of the host's as
            `host.io_some_ns`, of resctrl's as `cache.total_bytes`, of an event's as `counters.cycles`.
    """

    cgroups: Mapping[str, CgroupSignals]
    host: HostSignals
    names: Mapping[str, Workload] = field(default_factory=dict)
    counters: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)
    missing: Mapping[str, Absence] = field(default_factory=dict)
    coruns: Mapping[str, Mapping[str, Corun]] = field(default_factory=dict)


def add_signals(parts: Sequence[SignalWindow]) -> SignalWindow:
    """Windows that follow one another as one: see `figures.add`. What each counts of the same thing adds up."""
    return SignalWindow(
        cgroups={path: add(rows) for path, rows in _grouped(part.cgroups for part in parts).items()},
        host=_add_hosts([part.host for part in parts]),
        names={path: workload for part in parts for path, workload in part.names.items()},
        counters={
            path: add_counts(counts) for path, counts in _grouped(part.counters for part in parts).items()
        },
        missing=_add_absences(parts),
        coruns={
            path: {
                name: Corun(*map(sum, zip(*times, strict=True))) for name, times in _grouped(partners).items()
            }
            for path, partners in _grouped(part.coruns for part in parts).items()
        },
    )


def _add_hosts(parts: Sequence[HostSignals]) -> HostSignals:
    return HostSignals(
        cpus={cpu: add(rows) for cpu, rows in _grouped(part.cpus for part in parts).items()},
        pressure={
            name: total(stalled) for name, stalled in _grouped(part.pressure for part in parts).items()
        },
        caches={
            group: {domain: add(rows) for domain, rows in _grouped(domains).items()}
            for group, domains in _grouped(part.caches for part in parts).items()
        },
    )


def _add_absences(parts: Sequence[SignalWindow]) -> dict[str, Absence]:
    """The first reason of each name, and how many figures over all windows."""
    found: dict[str, Absence] = {}
    for part in parts:
        for name, absence in part.missing.items():
            first = found.get(name)
            found[name] = replace(first, figures=first.figures + absence.figures) if first else absence
    return found


def _grouped(maps: Iterable[Mapping[Key, Value]]) -> dict[Key, list[Value]]:
    """The values of each key in all of them."""
    found: dict[Key, list[Value]] = {}
    for each in maps:
        for key, value in each.items():
            found.setdefault(key, []).append(value)
    return found
