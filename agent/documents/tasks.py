"""Who ran within the kernel or within the root cgroup: part of a blame, of an event and of a recording."""

from collections.abc import Iterable

from agent.documents.codec import Record
from collectors.sources.tasks import ROOT_CGROUP, BusyTask, TaskReadings, busiest
from collectors.windows.sched import KERNEL, NS_PER_MS

MOST_TASKS = 5
_LEAST_SHARE_PCT, _WORTH_NAMING_PCT = 1.0, 10.0


class TaskTime(Record, frozen=True):
    """Processes or kernel threads of one name: how many ran, the PID of the busiest, and how long all ran."""

    name: str
    pid: int
    count: int
    run_ms: float


class TaskShare(Record, frozen=True):
    """The same with its share of what the kernel, or the root cgroup, ran: by CPU time, not by who was in the way."""

    name: str
    pid: int
    count: int
    run_ms: float
    share_pct: float


class TasksWithin(Record, frozen=True):
    """Who ran in a recording, the busiest first, MOST_TASKS of each at most, and how long all of them ran."""

    kernel: tuple[TaskTime, ...] = ()
    kernel_run_ms: float = 0.0
    root: tuple[TaskTime, ...] = ()
    root_run_ms: float = 0.0

    def describe(self, name: str) -> str | None:
        """The kernel or the root cgroup with its busiest one or two: `/: python, mypy`; None for any other cgroup.

        None as well where nobody looked.
        """
        busiest = [share.name for share in self.shares(name, 0) if share.share_pct >= _WORTH_NAMING_PCT][:2]
        return f"{name}: {', '.join(busiest)}" if busiest else None

    def shares(self, name: str, run_ns: int) -> tuple[TaskShare, ...]:
        """Those within `name`, the kernel or the root cgroup, with their shares of the `run_ns` it ran; else none.

        Where the tasks ran longer than that, as their readings lie around the windows, it is the share among them.
        """
        if name not in {KERNEL, ROOT_CGROUP}:
            return ()
        tasks, all_ms = (self.kernel, self.kernel_run_ms) if name == KERNEL else (self.root, self.root_run_ms)
        whole_ms = max(run_ns / NS_PER_MS, all_ms)
        shares = (
            TaskShare(task.name, task.pid, task.count, task.run_ms, 100 * task.run_ms / whole_ms)
            for task in tasks
        )
        return tuple(share for share in shares if share.share_pct >= _LEAST_SHARE_PCT)


NOBODY_KNOWN = TasksWithin()
"""Where nobody looked who ran within."""


def tasks_within(before: TaskReadings, after: TaskReadings) -> TasksWithin:
    """Who ran between two readings."""
    kernel, root = busiest(before, after, KERNEL), busiest(before, after, ROOT_CGROUP)
    return TasksWithin(_times(kernel), _all_ms(kernel), _times(root), _all_ms(root))


def _times(tasks: Iterable[BusyTask]) -> tuple[TaskTime, ...]:
    first = list(tasks)[:MOST_TASKS]
    return tuple(TaskTime(each.name, each.pid, each.count, each.run_ns / NS_PER_MS) for each in first)


def _all_ms(tasks: Iterable[BusyTask]) -> float:
    return sum(each.run_ns for each in tasks) / NS_PER_MS
