"""Which cgroups are recorded, for the resolver: a recording's, and a history's. Names are those recorded with them.

Who runs on this host now was perhaps not there then, so nothing is asked of it.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from agent.store.run_file import Run
from agent.store.windows import windows
from collectors.host.resolver import Cgroups, workloads_among
from collectors.host.workloads import Workload, identify, name_by_path
from collectors.windows.sched import SchedWindow

LISTED_BY = "jostle report --history"


def cgroups_of(run: Run, place: str = " in the recording") -> Cgroups:
    """The cgroups that ran in a recording."""
    return _cgroups(run.windows, place, "jostle report RUN")


def names_of(run: Run) -> Callable[[str], str]:
    """What to call a cgroup of a recording."""
    known = cgroups_of(run).workloads
    return lambda path: known[path].name if path in known else name_by_path(path)


def cgroups_in_history(db: sqlite3.Connection, between_ns: tuple[int, int], place: str) -> Cgroups:
    """The cgroups that ran between two points of time, ns since the epoch; one window is in memory at a time."""
    return _cgroups((window for _, window in windows(db, between_ns)), place, LISTED_BY)


def _cgroups(recorded: Iterable[SchedWindow], place: str, listed_by: str) -> Cgroups:
    known: set[str] = set()
    named: dict[str, Workload] = {}
    for window in recorded:
        known.update(window.cgroups)
        named.update(window.signals.names if window.signals else {})
    return Cgroups(known, lambda paths: _names(paths, named), place=place, listed_by=listed_by)


def _names(paths: Iterable[str], recorded: Mapping[str, Workload]) -> dict[str, Workload]:
    own = {workload.path: workload for workload in map(_whole, recorded.values())}
    return workloads_among(paths, lambda path: own.get(path) or identify(path))


def _whole(workload: Workload) -> Workload:
    """The workload itself, of one that may be a cgroup inside it."""
    inside = f"/{workload.inner}" if workload.inner else ""
    path, name = workload.path.removesuffix(inside), workload.name.removesuffix(inside)
    return replace(workload, path=path, name=name, inner="")
