"""One window as the rows of `jostle top`, schema `jostle.top/1`."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from agent.documents.blame import WaitPart
from agent.documents.codec import Document, Record, null_keys


class Sort(StrEnum):
    """What the table is sorted by; the largest first."""

    LOST = "lost"  # CPUs lost to others: who suffers most
    P99 = "p99"
    PREEMPTED = "preempted"
    QUEUE = "queue"
    THROTTLED = "throttled"
    RUN = "run"
    NAME = "name"


class Lot(StrEnum):
    """How a cgroup fares, in a word."""

    FINE = "fine"
    SUFFERS = "suffers"  # others have a part of the CPU time that it would have had
    STARVED = "starved"  # they have nearly all of it
    QUOTA = "quota"  # its own quota, or an ancestor's, takes more from it than others do
    CROWDED = "crowded"  # it waits for its own threads


NO_HISTORY = "there is no history of this host to compare with (jostle agent keeps one)"


class Usual(Record, frozen=True):
    """The CPUs that a cgroup lost to others in the windows of the history that it ran or waited in."""

    median_cpus: float
    p95_cpus: float
    windows: int


class LiveRow(Record, frozen=True):
    """One cgroup in one window. Times are summed over its tasks; rates are per second of the window.

    `wanted_cpus` is the mean number of its tasks that ran or waited. `lost_cpus` is what others had of it: the time it
    waited for each of them, and of each no more than that one ran. Its own threads, its quota and an idle CPU that is
    slow to begin are nobody else.
    """

    cgroup: str
    name: str
    lot: Lot
    wanted_cpus: float
    got_cpus: float
    lost_cpus: float
    wait_ns: int
    run_ns: int
    wait_p50_ns: float | None
    wait_p99_ns: float | None
    preempted_per_s: float  # by other cgroups
    waited_for: WaitPart | None  # the one that it waited for longest; its share is of the whole wait
    mean_waiting: float  # its queue: tasks that waited, over time, those on a quota not counted
    ipc: float | None
    throttled_ns_per_s: float
    sampled_ns: int  # of wait_ns, shared out by sample
    # Of what it wanted, quotas apart, the part it waited behind others, 0 to 1; left out: it is not known for whom.
    contention_ratio: float | None = None
    # Its disk requests waited while others' were served, summed over them; left out: it had none, or nobody looked.
    disk_behind_ns_per_s: float | None = None
    # Its packets in network queues, likewise.
    network_behind_ns_per_s: float | None = None
    usual: Usual | None = None  # what it usually loses; left out: the history does not tell


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
    sufferer: str | None = None  # path of the first that suffers; left out: nobody does, or nobody looked
    advice: tuple[str, ...] = ()  # for that one, as `jostle now` has it
    history: str = NO_HISTORY  # what `usual` is from

    def __post_init__(self) -> None:
        nulls = {name for row in self.cgroups for name in null_keys(row)}
        if silent := sorted(nulls - self.unavailable.keys()):
            raise ValueError(f"{silent[0]} is null and unavailable gives no reason")

    def sorted_by(self, sort: Sort) -> "LiveTable":
        """The table with its rows in another order."""
        rows = ordered(self.cgroups, sort)
        return replace(self, sort=sort, cgroups=tuple(rows))


def ordered(rows: Iterable[LiveRow], sort: Sort) -> list[LiveRow]:
    """Rows in the order of `sort`, those that are equal in it by who waited longer, then by name."""
    keys: dict[Sort, Callable[[LiveRow], float]] = {
        Sort.LOST: lambda row: row.lost_cpus,
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
