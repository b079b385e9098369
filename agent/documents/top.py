"""One window as the rows of `jostle top`, schema `jostle.top/1`."""

import math
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from agent.documents.codec import Document, Record, null_keys

# A cgroup that waits less than this part of a window suffers from nobody, however little it ran.
LEAST_WAIT_RATIO = 0.001


class Sort(StrEnum):
    """What the table is sorted by; the largest first."""

    WAIT = "wait"  # per second of run: who suffers most
    P99 = "p99"
    PREEMPTED = "preempted"
    QUEUE = "queue"
    THROTTLED = "throttled"
    RUN = "run"
    NAME = "name"


class LiveRow(Record, frozen=True):
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
    sampled_ns: int  # of wait_ns, shared out by sample


class LiveTable(Document, frozen=True):
    """All cgroups of a window that ran or waited, in the order asked for.

    `unavailable` has the reason for each column that is null somewhere.
    """

    SCHEMA = "jostle.top/1"

    hostname: str
    cpus: int
    duration_s: float
    sort: str
    cgroups: tuple[LiveRow, ...]
    warnings: tuple[str, ...]
    unavailable: Mapping[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        nulls = {name for row in self.cgroups for name in null_keys(row)}
        if silent := sorted(nulls - self.unavailable.keys()):
            raise ValueError(f"{silent[0]} is null and unavailable gives no reason")

    def sorted_by(self, sort: Sort) -> "LiveTable":
        """The same window in another order."""
        rows = ordered(self.cgroups, sort, round(self.duration_s * 1e9))
        return replace(self, sort=sort, cgroups=tuple(rows))


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
