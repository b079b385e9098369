"""Where each CPU's time went.

Source: /proc/stat (proc_stat(5)). The kernel counts in ticks of 1/USER_HZ s. Time in guests is part of user
and nice. On kernels without CONFIG_IRQ_TIME_ACCOUNTING interrupt time is sampled at the timer tick.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.host.readings import Missing, parse_count, read_lines, since, since_by_key

_FIELDS = 8  # those before guest, which are counted in user and nice already


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Time since boot in each state. `iowait_ns` may go back (proc_stat(5)) and is then missing."""

    user_ns: int | Missing
    nice_ns: int | Missing
    system_ns: int | Missing
    idle_ns: int | Missing
    iowait_ns: int | Missing
    irq_ns: int | Missing
    softirq_ns: int | Missing
    steal_ns: int | Missing


@dataclass(frozen=True, slots=True)
class HostCpuTime:
    """The time of all CPUs together, and of each online CPU by number."""

    total: CpuTime
    by_cpu: Mapping[int, CpuTime]


def read_cpu_time(root: Path = Path("/"), ticks_per_s: int | None = None) -> HostCpuTime | Missing:
    """The host's CPU time since boot; `ticks_per_s` is this system's USER_HZ unless given."""
    path = root / "proc/stat"
    lines = read_lines(path)
    if isinstance(lines, Missing):
        return lines
    ticks = ticks_per_s or os.sysconf("SC_CLK_TCK")
    rows = {row[0]: row[1:] for line in lines if (row := line.split())}
    return HostCpuTime(
        total=_cpu_time(rows.get("cpu", []), ticks, path),
        by_cpu={
            number: _cpu_time(row, ticks, path)
            for name, row in rows.items()
            if name.startswith("cpu") and (number := parse_count(name[3:])) is not None
        },
    )


def cpu_time_within(before: HostCpuTime | Missing, after: HostCpuTime | Missing) -> HostCpuTime | Missing:
    """What was counted between two readings, for the CPUs that were online at both."""
    if isinstance(after, Missing):
        return after
    if isinstance(before, Missing):
        return before
    return HostCpuTime(
        total=since(before.total, after.total),
        by_cpu=since_by_key(before.by_cpu, after.by_cpu),
    )


def _cpu_time(row: list[str], ticks_per_s: int, path: Path) -> CpuTime:
    absent = Missing(f"{path} has no valid figure")
    counts = [parse_count(text) for text in row[:_FIELDS]]
    counts += [None] * (_FIELDS - len(counts))
    return CpuTime(*(absent if ticks is None else ticks * 1_000_000_000 // ticks_per_s for ticks in counts))
