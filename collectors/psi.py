"""Pressure stall information: how long tasks were stalled for want of CPU, memory or I/O.

Source: Documentation/accounting/psi.rst. `some`: at least one task stalled; `full`: all of them at once.
Files: /proc/pressure/* for the host, *.pressure in each cgroup of the v2 hierarchy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from collectors.readings import Missing, delta, parse_count, read_nested, scaled

REMEDY = "boot with psi=1 on a kernel built with CONFIG_PSI"


@dataclass(frozen=True, slots=True)
class Stall:
    """One line of a pressure file: the total since boot, and averages over 10, 60 and 300 seconds."""

    total_ns: int | Missing
    avg10_pct: float | Missing
    avg60_pct: float | Missing
    avg300_pct: float | Missing


@dataclass(frozen=True, slots=True)
class Pressure:
    """One pressure file."""

    some: Stall
    full: Stall


@dataclass(frozen=True, slots=True)
class Pressures:
    """The pressure on each resource. The host's own `cpu.full` is 0 or missing: it has no meaning."""

    cpu: Pressure
    memory: Pressure
    io: Pressure


@dataclass(frozen=True, slots=True)
class StalledWindow:
    """Stalled time between two readings of one pressure file."""

    some_ns: int | Missing
    full_ns: int | Missing


@dataclass(frozen=True, slots=True)
class StalledWindows:
    """Stalled time between two readings of all three."""

    cpu: StalledWindow
    memory: StalledWindow
    io: StalledWindow


def host_pressure(root: Path = Path("/")) -> Pressures:
    """The pressure on the whole host."""
    folder = root / "proc/pressure"
    return Pressures(*(read_pressure(folder / name) for name in ("cpu", "memory", "io")))


def cgroup_pressure(directory: Path) -> Pressures:
    """The pressure on one cgroup of the v2 hierarchy."""
    return Pressures(*(read_pressure(directory / f"{name}.pressure") for name in ("cpu", "memory", "io")))


def read_pressure(path: Path) -> Pressure:
    """One pressure file; the kernel refuses to read it, or does not make it, when PSI is off."""
    table = read_nested(path)
    if isinstance(table, Missing):
        off = _all_missing(replace(table, remedy=table.remedy or REMEDY))
        return Pressure(off, off)
    return Pressure(some=_stall(table, "some", path), full=_stall(table, "full", path))


def stalled_within(before: Pressures, after: Pressures) -> StalledWindows:
    """Stalled time between two readings of the host or of the same cgroup."""
    return StalledWindows(
        cpu=_window(before.cpu, after.cpu),
        memory=_window(before.memory, after.memory),
        io=_window(before.io, after.io),
    )


def _window(before: Pressure, after: Pressure) -> StalledWindow:
    return StalledWindow(
        some_ns=delta(before.some.total_ns, after.some.total_ns),
        full_ns=delta(before.full.total_ns, after.full.total_ns),
    )


def _stall(table: Mapping[str, Mapping[str, str]], kind: str, path: Path) -> Stall:
    otherwise = Missing(f"{path} has no valid {kind}")
    row = table.get(kind, {})
    total_us = parse_count(row.get("total", ""))
    averages = (_percentage(row.get(key, ""), otherwise) for key in ("avg10", "avg60", "avg300"))
    return Stall(scaled(otherwise if total_us is None else total_us, 1000), *averages)


def _percentage(text: str, otherwise: Missing) -> float | Missing:
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return value if isfinite(value) and 0 <= value <= 100 else otherwise


def _all_missing(reason: Missing) -> Stall:
    return Stall(reason, reason, reason, reason)
