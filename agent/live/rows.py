"""One window as the rows of `jostle top`, schema `jostle.top/1`: who suffers, how much, and from whom."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from agent import homeless
from agent.documents import decode, encode, null_keys
from collectors import counters, histogram
from collectors.readings import Missing
from collectors.sched import CgroupWindow, SchedWindow
from probes.snapshot import Snapshot

SCHEMA = "jostle.top/1"
# A cgroup that waits less than this part of a window suffers from nobody, however little it ran.
LEAST_WAIT_RATIO = 0.001
DID_NOT_RUN = "a cgroup that did not run in this window has no wait per second of run"
DID_NOT_WAIT = "a cgroup of which no wait ended in this window has no such wait"
NOT_PREEMPTED = "a cgroup that nobody preempted"


class Sort(StrEnum):
    """What the table is sorted by; the largest first."""

    WAIT = "wait"  # per second of run: who suffers most
    P99 = "p99"
    PREEMPTED = "preempted"
    QUEUE = "queue"
    THROTTLED = "throttled"
    RUN = "run"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One cgroup in one window. Times are summed over its tasks; rates are per second of the window."""

    cgroup: str
    name: str
    wait_per_run: float | None  # seconds waited per second that it ran
    wait_ns: int
    run_ns: int
    wait_p50_ns: float | None
    wait_p99_ns: float | None
    preempted_per_s: float  # by other cgroups
    preempted_by: str | None  # the one that did so most often
    mean_waiting: float  # its queue: tasks that waited, over time, those on a quota not counted
    ipc: float | None
    throttled_ns_per_s: float
    sampled_ns: int | None = None  # of wait_ns, shared out by sample


@dataclass(frozen=True, slots=True)
class LiveTable:
    """All cgroups of a window that ran or waited, in the order asked for.

    `unavailable` has the reason for each column that is null somewhere.
    """

    hostname: str
    cpus: int
    duration_s: float
    sort: str
    cgroups: tuple[LiveRow, ...]
    warnings: tuple[str, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        nulls = {name for row in self.cgroups for name in null_keys(row)}
        if silent := sorted(nulls - self.unavailable.keys()):
            raise ValueError(f"{silent[0]} is null and unavailable gives no reason")

    def sorted_by(self, sort: Sort) -> "LiveTable":
        """The same window in another order."""
        rows = ordered(self.cgroups, sort, round(self.duration_s * 1e9))
        return replace(self, sort=sort, cgroups=tuple(rows))

    def to_document(self) -> dict[str, Any]:
        """The document, ready for `json.dump`."""
        return encode(self, SCHEMA)

    @classmethod
    def from_document(cls, document: object) -> "LiveTable":
        """The inverse.

        Raises:
            UsageError: another schema, or a key that is missing or wrong, by name.
        """
        return decode(cls, document, SCHEMA)


def live_table(  # noqa: D417  the first four are what they are called
    hostname: str,
    window: SchedWindow,
    sort: Sort,
    named: Callable[[str], str],
    ipc: Mapping[str, float] | Missing,
) -> LiveTable:
    """A window's table.

    Args:
        ipc: Instructions per cycle by cgroup, or why there are none.
    """
    rows = [_row(cgroup, window.duration_ns, named, ipc) for cgroup in window.cgroups.values()]
    return LiveTable(
        hostname=hostname,
        cpus=len(window.cpus),
        duration_s=window.duration_ns / 1e9,
        sort=sort,
        cgroups=tuple(ordered(rows, sort, window.duration_ns)),
        warnings=tuple(_warnings(window)),
        unavailable=_reasons(rows, ipc),
    )


def ipc_of(before: Snapshot, after: Snapshot) -> Mapping[str, float] | Missing:
    """Instructions per cycle between two snapshots, of the cgroups that have them; where none has, why not."""
    refused = {name: Missing(why.reason, why.remedy) for name, why in after.uncounted.items()}
    counted = {
        path: counters.figures({**refused, **counts}).ipc
        for path, counts in counters.grown(before, after).items()
    }
    found = {path: ipc for path, ipc in counted.items() if not isinstance(ipc, Missing)}
    nobodys = counters.figures(refused).ipc
    return nobodys if isinstance(nobodys, Missing) and not found else found


def ordered(rows: Iterable[LiveRow], sort: Sort, duration_ns: int) -> list[LiveRow]:
    """Rows in the order of `sort`, those that are equal in it by who waited longer, then by name."""
    keys: dict[Sort, Callable[[LiveRow], float]] = {
        Sort.WAIT: lambda row: suffering(row, duration_ns),
        Sort.P99: lambda row: row.wait_p99_ns or 0.0,
        Sort.PREEMPTED: lambda row: row.preempted_per_s,
        Sort.QUEUE: lambda row: row.mean_waiting,
        Sort.THROTTLED: lambda row: row.throttled_ns_per_s,
        Sort.RUN: lambda row: row.run_ns,
        Sort.NAME: lambda _: 0.0,
    }
    by_name = sorted(rows, key=lambda row: (row.name, row.cgroup))
    if sort is Sort.NAME:
        return by_name
    return sorted(by_name, key=lambda row: (-keys[sort](row), -row.wait_ns))


def suffering(row: LiveRow, duration_ns: int) -> float:
    """Wait per second of run; infinite where it waited and never ran, 0 where it hardly waited."""
    if row.wait_ns < LEAST_WAIT_RATIO * duration_ns:
        return 0.0
    return math.inf if row.wait_per_run is None else row.wait_per_run


def _row(
    cgroup: CgroupWindow,
    duration_ns: int,
    named: Callable[[str], str],
    ipc: Mapping[str, float] | Missing,
) -> LiveRow:
    per_s = 1e9 / duration_ns
    by = max(cgroup.waited_for.items(), key=lambda item: item[1].preemptions, default=None)
    return LiveRow(
        cgroup=cgroup.path,
        name=named(cgroup.path),
        wait_per_run=cgroup.wait_ns / cgroup.run_ns if cgroup.run_ns else None,
        wait_ns=cgroup.wait_ns,
        run_ns=cgroup.run_ns,
        wait_p50_ns=histogram.percentile_ns(cgroup.histogram, 50),
        wait_p99_ns=histogram.percentile_ns(cgroup.histogram, 99),
        preempted_per_s=cgroup.preempted_foreign * per_s,
        preempted_by=named(by[0]) if by and by[1].preemptions else None,
        mean_waiting=(cgroup.wait_ns - cgroup.throttled_ns) / duration_ns,
        ipc=None if isinstance(ipc, Missing) else ipc.get(cgroup.path),
        throttled_ns_per_s=cgroup.throttled_ns * per_s,
        sampled_ns=cgroup.sampled_ns,
    )


def _reasons(rows: list[LiveRow], ipc: Mapping[str, float] | Missing) -> dict[str, str]:
    reasons = {
        "wait_per_run": DID_NOT_RUN,
        "wait_p50_ns": DID_NOT_WAIT,
        "wait_p99_ns": DID_NOT_WAIT,
        "preempted_by": NOT_PREEMPTED,
        "ipc": ipc.reason if isinstance(ipc, Missing) else "not counted for this cgroup in this window",
    }
    return {key: why for key, why in reasons.items() if any(getattr(row, key) is None for row in rows)}


def _warnings(window: SchedWindow) -> list[str]:
    told = []
    if window.shed:
        told.append(f"left out to keep the overhead budget: {', '.join(window.shed)}")
    return [*told, *homeless.told([window])]
