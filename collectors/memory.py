"""Memory pressure of a cgroup: reclaim, refaults, major faults, limits and how often they were hit.

Sources: memory.stat, memory.events, memory.current, memory.max and memory.high on v2 (cgroup-v2.rst),
memory.stat, memory.failcnt, memory.oom_control, memory.usage_in_bytes and memory.limit_in_bytes on v1
(cgroup-v1/memory.rst). All counters include descendants, on v1 through the `total_` lines.
"""

from dataclasses import dataclass
from pathlib import Path

from collectors.readings import (
    Missing,
    excerpt,
    parse_count,
    pick,
    read_count,
    read_flat,
    read_text,
    since,
)

# v1 writes "no limit" as the largest number of pages that fits, in bytes: just under 2^63.
V1_UNLIMITED = 2**62
_V1_HAS_NO_HIGH = Missing("cgroup v1 has no memory.high")


@dataclass(frozen=True, slots=True)
class MemoryCounters:
    """Counted since the cgroup was made.

    Attributes:
        file_refaults: Pages of files read again soon after they were reclaimed: the working set does not fit.
        anon_refaults: The same for pages from swap.
        scanned_pages: Pages looked at by reclaim.
        reclaimed_pages: Pages taken by reclaim.
        major_faults: Page faults that waited for storage.
        high_events: Times it was slowed for exceeding memory.high.
        max_events: Times it was about to exceed its limit.
        oom_events: Times an allocation was about to fail for the limit.
        oom_kills: Processes killed for that.
    """

    file_refaults: int | Missing
    anon_refaults: int | Missing
    scanned_pages: int | Missing
    reclaimed_pages: int | Missing
    major_faults: int | Missing
    high_events: int | Missing
    max_events: int | Missing
    oom_events: int | Missing
    oom_kills: int | Missing


@dataclass(frozen=True, slots=True)
class Memory:
    """The state of a cgroup's memory at one moment; a limit of None means none."""

    current_bytes: int | Missing
    high_bytes: int | Missing | None
    max_bytes: int | Missing | None
    counters: MemoryCounters


def read_memory(directory: Path) -> Memory:
    """The memory of one cgroup, given its directory in the hierarchy that has the memory controller."""
    return _v1(directory) if (directory / "memory.limit_in_bytes").exists() else _v2(directory)


def memory_within(before: Memory, after: Memory) -> MemoryCounters:
    """What was counted between two readings of the same cgroup."""
    return since(before.counters, after.counters)


def _v2(directory: Path) -> Memory:
    path, events_path = directory / "memory.stat", directory / "memory.events"
    stat, events = read_flat(path), read_flat(events_path)
    return Memory(
        current_bytes=read_count(directory / "memory.current"),
        high_bytes=_limit(directory / "memory.high"),
        max_bytes=_limit(directory / "memory.max"),
        counters=MemoryCounters(
            file_refaults=_file_refaults(stat, path),
            anon_refaults=pick(stat, "workingset_refault_anon", path),
            scanned_pages=pick(stat, "pgscan", path),
            reclaimed_pages=pick(stat, "pgsteal", path),
            major_faults=pick(stat, "pgmajfault", path),
            high_events=pick(events, "high", events_path),
            max_events=pick(events, "max", events_path),
            oom_events=pick(events, "oom", events_path),
            oom_kills=pick(events, "oom_kill", events_path),
        ),
    )


def _v1(directory: Path) -> Memory:
    path, oom_path = directory / "memory.stat", directory / "memory.oom_control"
    stat = read_flat(path)
    return Memory(
        current_bytes=read_count(directory / "memory.usage_in_bytes"),
        high_bytes=None,
        max_bytes=_limit(directory / "memory.limit_in_bytes"),
        counters=MemoryCounters(
            file_refaults=_file_refaults(stat, path, "total_"),
            anon_refaults=pick(stat, "total_workingset_refault_anon", path),
            scanned_pages=pick(stat, "total_pgscan", path),
            reclaimed_pages=pick(stat, "total_pgsteal", path),
            major_faults=pick(stat, "total_pgmajfault", path),
            high_events=_V1_HAS_NO_HIGH,
            max_events=read_count(directory / "memory.failcnt"),
            oom_events=Missing("cgroup v1 counts only the kills"),
            oom_kills=pick(read_flat(oom_path), "oom_kill", oom_path),
        ),
    )


def _file_refaults(stat: dict[str, int] | Missing, path: Path, prefix: str = "") -> int | Missing:
    # Until 5.9 there was one counter, for files alone.
    old = f"{prefix}workingset_refault"
    if not isinstance(stat, Missing) and old in stat:
        return stat[old]
    return pick(stat, f"{prefix}workingset_refault_file", path)


def _limit(path: Path) -> int | Missing | None:
    text = read_text(path)
    if isinstance(text, Missing):
        return text
    if text.strip() == "max":
        return None
    value = parse_count(text.strip())
    if value is None:
        return Missing(f"{path} does not hold a limit: {excerpt(text)}")
    return None if value >= V1_UNLIMITED else value
