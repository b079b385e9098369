"""Run-queue waits of a cgroup without eBPF: sums over the tasks that are directly in it.

Sources: /proc/TID/schedstat (sched-stats.rst: time on a CPU, time waiting for one, time slices) and
nonvoluntary_ctxt_switches in /proc/TID/status. The kernel keeps these per task: one that starts and ends
between two readings is never seen, and whom a task waited for is not known.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from collectors.host.hierarchy import threads
from collectors.host.readings import Missing, parse_count, read_lines, read_text

_STARTTIME = 22 - 3  # proc_pid_stat(5) counts fields from 1, and two come before the closing parenthesis


class TaskTimes(NamedTuple):
    """Time on a CPU, time waiting for one, time slices and preemptions of one task, or summed over several."""

    run_ns: int
    wait_ns: int
    slices: int
    involuntary_switches: int

    def plus(self, other: "TaskTimes", sign: int = 1) -> "TaskTimes":
        """The sum, field by field; with `sign=-1` the difference."""
        return TaskTimes._make(a + sign * b for a, b in zip(self, other, strict=True))

    def may_follow(self, earlier: "TaskTimes") -> bool:
        """Whether this can be a later reading of the same task: nothing went backwards."""
        return min(self.plus(earlier, sign=-1)) >= 0


NONE = TaskTimes(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Task:
    counted_from: TaskTimes
    last: TaskTimes

    @property
    def counted(self) -> TaskTimes:
        return self.last.plus(self.counted_from, sign=-1)


class SchedstatTally:
    """The sums of one cgroup since its first reading, which never go backwards.

    A task that exits or moves away keeps what was last seen of it. One that was started since the reading
    before counts from its start, one that moved in from when it was first seen.
    """

    def __init__(self, directory: Path, root: Path = Path("/"), ticks_per_s: int | None = None) -> None:
        self._directory = directory
        self._proc = root / "proc"
        self._ticks_per_s = ticks_per_s or os.sysconf("SC_CLK_TCK")
        self._last_uptime_s: float | None = None
        self._gone = NONE
        self._tasks: dict[int, _Task] = {}
        self.tasks = 0
        """How many tasks the last two readings saw, each once."""

    def read(self) -> TaskTimes | Missing:
        """The sums so far; the first reading gives zeros."""
        uptime_s = _uptime_s(self._proc)
        if isinstance(uptime_s, Missing):
            return uptime_s
        ids = threads(self._directory)
        if isinstance(ids, Missing):
            return ids
        readings = {tid: read_task(self._proc / str(tid)) for tid in ids}
        self._update({tid: times for tid, times in readings.items() if isinstance(times, TaskTimes)})
        self._last_uptime_s = uptime_s
        return _sum([self._gone, *(task.counted for task in self._tasks.values())])

    def _update(self, readings: dict[int, TaskTimes]) -> None:
        before, self._tasks = self._tasks, {}
        for tid, times in readings.items():
            known = before.get(tid)
            if known is not None and times.may_follow(known.last):
                self._tasks[tid] = _Task(before.pop(tid).counted_from, times)
            else:
                self._tasks[tid] = _Task(NONE if self._started_since(tid) else times, times)
        self.tasks = len(self._tasks) + len(before)
        # What is left has exited, moved away, or its id was reused.
        self._gone = _sum([self._gone, *(task.counted for task in before.values())])

    def _started_since(self, tid: int) -> bool:
        if self._last_uptime_s is None:
            return False
        started_s = _started_s(self._proc / str(tid), self._ticks_per_s)
        return not isinstance(started_s, Missing) and started_s >= self._last_uptime_s


def _sum(times: list[TaskTimes]) -> TaskTimes:
    """The sum of the times of at least one task."""
    return TaskTimes._make(map(sum, zip(*times, strict=True)))


def read_task(directory: Path) -> TaskTimes | Missing:
    """The times of one task since it started, given its directory below /proc."""
    path = directory / "schedstat"
    text = read_text(path)
    if isinstance(text, Missing):
        return text
    counts = [parse_count(word) for word in text.split()]
    switches = _involuntary_switches(directory / "status")
    if isinstance(switches, Missing):
        return switches
    match counts:
        case [int(run_ns), int(wait_ns), int(slices)]:
            return TaskTimes(run_ns, wait_ns, slices, switches)
    return Missing(f"{path} does not hold three numbers")


def _involuntary_switches(path: Path) -> int | Missing:
    lines = read_lines(path)
    if isinstance(lines, Missing):
        return lines
    # From the end: the task's name, near the beginning, may hold anything.
    line = next((line for line in reversed(lines) if line.startswith("nonvoluntary_ctxt_switches:")), "")
    count = parse_count(line.partition(":")[2].strip())
    return count if count is not None else Missing(f"{path} has no valid nonvoluntary_ctxt_switches")


def _started_s(directory: Path, ticks_per_s: int) -> float | Missing:
    """When a task started, in seconds since boot."""
    path = directory / "stat"
    text = read_text(path)
    if isinstance(text, Missing):
        return text
    # The name, in parentheses, may itself hold parentheses and spaces.
    words = text.rpartition(")")[2].split()
    ticks = parse_count(words[_STARTTIME]) if len(words) > _STARTTIME else None
    return ticks / ticks_per_s if ticks is not None else Missing(f"{path} has no valid start time")


def _uptime_s(proc: Path) -> float | Missing:
    text = read_text(proc / "uptime")
    if isinstance(text, Missing):
        return text
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        return Missing(f"{proc}/uptime does not hold a time")
