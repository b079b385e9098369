"""Which processes of the root cgroup and which kernel threads used the CPUs between two readings.

Sources: /proc/PID/stat, /proc/PID/schedstat and /proc/PID/cgroup (proc_pid_stat(5), Documentation/scheduler/
sched-stats.rst). These two the probe tells of as one though nobody put them together; of any other cgroup its name says
who is in it. A reading takes 10 ms for 150 processes, so it is made where somebody asked, not in every window.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.host.hierarchy import CgroupLayout, cgroup_of_pid
from collectors.host.readings import Missing, parse_count, read_text
from collectors.windows.sched import KERNEL

ROOT_CGROUP = "/"

_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h
_NS_PER_S = 10**9
# Fields of /proc/PID/stat behind the name, which is in parentheses: proc_pid_stat(5) counts from 1, the state is 3.
_FLAGS, _UTIME, _STIME, _THREADS, _STARTED = (number - 3 for number in (9, 14, 15, 20, 22))


@dataclass(frozen=True, slots=True)
class TaskReading:
    """One process or kernel thread: how long it has run on CPUs since it began, in ns.

    `whose` is KERNEL or ROOT_CGROUP.
    """

    name: str
    whose: str
    run_ns: int


TaskReadings = Mapping[tuple[int, int], TaskReading]
"""By PID and when it began, in ticks since boot: a PID is given again."""


@dataclass(frozen=True, slots=True)
class BusyTask:
    """Processes or kernel threads of one name: how many ran, the PID of the busiest, and for how long all did."""

    name: str
    pid: int
    count: int
    run_ns: int


def read_tasks(layout: CgroupLayout, root: Path = Path("/")) -> TaskReadings:
    """All kernel threads and all processes of the root cgroup; who ends meanwhile is left out."""
    found = {}
    for name in os.listdir(root / "proc"):  # noqa: PTH208  hundreds of them: no Path for each
        pid = parse_count(name)
        task = None if pid is None else _read(pid, layout, root)
        if pid is not None and task is not None:
            found[pid, task[0]] = task[1]
    return found


def busiest(before: TaskReadings, after: TaskReadings, whose: str) -> tuple[BusyTask, ...]:
    """Who ran between two readings, by name, the busiest first; who began meanwhile counts from 0."""
    groups: dict[str, list[tuple[int, int]]] = {}
    for key, task in after.items():
        ran_ns = task.run_ns - (before[key].run_ns if key in before else 0)
        if task.whose == whose and ran_ns > 0:
            groups.setdefault(task.name, []).append((ran_ns, key[0]))
    found = (
        BusyTask(name, max(members)[1], len(members), sum(ran_ns for ran_ns, _ in members))
        for name, members in groups.items()
    )
    return tuple(sorted(found, key=lambda busy: (-busy.run_ns, busy.name)))


def _read(pid: int, layout: CgroupLayout, root: Path) -> tuple[int, TaskReading] | None:
    """When it began, and the reading; None: it has ended, or lies in a cgroup other than the root."""
    text = read_text(root / "proc" / str(pid) / "stat")
    if isinstance(text, Missing):
        return None
    name = text.partition("(")[2].rpartition(")")[0]
    fields = [parse_count(field) for field in text.rpartition(")")[2].split()]
    if len(fields) <= _STARTED:
        return None
    flags, threads, started = fields[_FLAGS], fields[_THREADS], fields[_STARTED]
    if flags is None or started is None:
        return None
    is_kernel = bool(flags & _KERNEL_THREAD)
    if not is_kernel and not _is_in_root(pid, layout, root):
        return None
    run_ns = _schedstat_ns(pid, root) if threads == 1 else None
    if run_ns is None:
        # Of a process with threads only this has those that ended, in ticks.
        run_ns = sum(fields[place] or 0 for place in (_UTIME, _STIME)) * _NS_PER_S // os.sysconf("SC_CLK_TCK")
    if is_kernel:
        return started, TaskReading(kernel_thread_name(name), KERNEL, run_ns)
    return started, TaskReading(name, ROOT_CGROUP, run_ns)


def kernel_thread_name(comm: str) -> str:
    """What a kernel thread does, as far as its name tells: of a kworker the workqueue it works for, or did last.

    The kernel appends it, behind a + while it works and a - when it has (wq_worker_comm, since 6b59808bfe48 in 4.18).
    """
    worker, _, queue = comm.replace("+", "-", 1).partition("-")
    return f"kworker {queue}" if worker.startswith("kworker/") and queue else comm


def _is_in_root(pid: int, layout: CgroupLayout, root: Path) -> bool:
    """Whether the probe takes it for one of the root cgroup: it is there in each hierarchy that tells tasks apart."""
    membership = cgroup_of_pid(pid, layout, root)
    if isinstance(membership, Missing):
        return False
    return {membership.v2, membership.v1_cpu} - {None} == {ROOT_CGROUP}


def _schedstat_ns(pid: int, root: Path) -> int | None:
    """Its main thread's time on CPUs; None where the kernel keeps no such account."""
    text = read_text(root / "proc" / str(pid) / "schedstat")
    return None if isinstance(text, Missing) else parse_count(text.partition(" ")[0])
