"""Memory pressure of a cgroup: reclaim, refaults, major faults, and how often its limits were hit.

Sources: memory.stat and memory.events on v2 (cgroup-v2.rst), memory.stat, memory.failcnt and memory.oom_control on v1
(cgroup-v1/memory.rst). All count since the cgroup was made and include descendants, on v1 through the `total_` lines.

| figure | meaning |
|---|---|
| `file_refaults` | pages of files read again soon after they were reclaimed: the working set does not fit |
| `anon_refaults` | the same for pages from swap |
| `scanned_pages`, `reclaimed_pages` | looked at, and taken, by reclaim |
| `major_faults` | page faults that waited for storage |
| `memory_high_events` | times it was slowed for exceeding memory.high |
| `memory_max_events` | times it was about to exceed its limit |
| `oom_kills` | processes killed for that |
"""

from collections.abc import Callable

from collectors.host.readings import Missing
from collectors.sources.kernel_files import FileFigures, KernelFile, flat, flat_number, single

_STAT = ("file_refaults", "anon_refaults", "scanned_pages", "reclaimed_pages", "major_faults")
# The kernel sums it up every 2 s, and a reading does where that is late by a cycle (FLUSH_TIME, mm/memcontrol.c).
_LAG_NS = 4_000_000_000
_V1_HAS_NO_HIGH = Missing("cgroup v1 has no memory.high")


def _stat(prefix: str) -> Callable[[str, str], FileFigures]:
    others = flat(
        *(f"{prefix}{key}" for key in ("workingset_refault_anon", "pgscan", "pgsteal", "pgmajfault"))
    )
    # Until 5.9 there was one counter of refaults, for files alone.
    old, new = f"{prefix}workingset_refault", f"{prefix}workingset_refault_file"

    def parse(text: str, path: str) -> FileFigures:
        file_refaults = flat_number(text, old if f"{old} " in text else new, path)
        return (file_refaults, *others(text, path))

    return parse


_TOTAL_STAT = _stat("total_")


def _stat_v1(text: str, path: str) -> FileFigures:
    return (*_TOTAL_STAT(text, path), _V1_HAS_NO_HIGH)


V2_FILES = (
    KernelFile(("memory.stat",), _STAT, _stat(""), _LAG_NS),
    # With the mount option memory_localevents it does not count what is below.
    KernelFile(
        ("memory.events",),
        ("memory_high_events", "memory_max_events", "oom_kills"),
        flat("high", "max", "oom_kill"),
    ),
)
V1_FILES = (
    KernelFile(
        ("memory.stat",),
        (*_STAT, "memory_high_events"),
        _stat_v1,
    ),
    KernelFile(("memory.failcnt",), ("memory_max_events",), single),
    KernelFile(("memory.oom_control",), ("oom_kills",), flat("oom_kill")),
)
