"""Which cgroups are recorded, for the resolver: a recording's, and a history's. Names are those recorded with them.

Who runs on this host now was perhaps not there then, so nothing is asked of it.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent.store.codec import decode_path
from agent.store.run_file import Run
from agent.store.signal_reading import names
from collectors.host.resolver import Cgroups, workloads_among
from collectors.host.workloads import Workload, identify


def cgroups_of(run: Run, place: str = " in the recording") -> Cgroups:
    """The cgroups that ran in a recording."""
    signals = [window.signals for window in run.windows if window.signals is not None]
    recorded = {path: workload for window in signals for path, workload in window.names.items()}
    return Cgroups(
        known={path for window in run.windows for path in window.cgroups},
        names=lambda paths: _names(paths, recorded),
        place=place,
        listed_by="jostle report RUN",
    )


def cgroups_in_history(db: sqlite3.Connection) -> Cgroups:
    """The cgroups that a history has ever heard of."""
    paths = {number: decode_path(path) for number, path in db.execute("SELECT id, path FROM cgroups")}
    return Cgroups(
        known=set(paths.values()),
        names=lambda known: _names(known, names(db, paths)),
        place=" in the history",
        listed_by="jostle report --history",
    )


def _names(paths: Iterable[str], recorded: Mapping[str, Workload]) -> dict[str, Workload]:
    own = {workload.path: workload for workload in map(_whole, recorded.values())}
    return workloads_among(paths, lambda path: own.get(path) or identify(path))


def _whole(workload: Workload) -> Workload:
    """The workload itself, of one that may be a cgroup inside it."""
    inside = f"/{workload.inner}" if workload.inner else ""
    path, name = workload.path.removesuffix(inside), workload.name.removesuffix(inside)
    return replace(workload, path=path, name=name, inner="")
