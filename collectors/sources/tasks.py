"""Which processes of the root cgroup and which kernel threads used the CPUs between two readings.

Sources: /proc/PID/stat, /proc/PID/schedstat and /proc/PID/cgroup (proc_pid_stat(5), Documentation/scheduler/
sched-stats.rst). These two the probe tells of as one though nobody put them together; of any other cgroup its name says
who is in it. A reading takes 10 ms for 150 processes, so it is made where somebody asked, not in every window.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from collectors.host.hierarchy import CgroupLayout, cgroup_of_pid, members
from collectors.host.readings import Missing, parse_count, read_text
from collectors.windows.sched import KERNEL

ROOT_CGROUP = "/"

_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h
_NS_PER_S = 10**9
# Fields of /proc/PID/stat behind the name, which is in parentheses: proc_pid_stat(5) counts from 1, the state is 3.
_READ = [number - 3 for number in (9, 14, 15, 20, 22)]  # flags, utime, stime, threads, when it began
_STARTED = _READ[-1]


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
    for pid in _candidates(layout, root):
        task = _read(pid, layout, root)
        if task is not None:
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
        BusyTask(name, max(tasks)[1], len(tasks), sum(ran_ns for ran_ns, _ in tasks))
        for name, tasks in groups.items()
    )
    return tuple(sorted(found, key=lambda busy: (-busy.run_ns, busy.name)))


def _candidates(layout: CgroupLayout, root: Path) -> Sequence[int]:
    """The members of the root cgroup, where kernel threads are too; all processes where those cannot be listed.

    With 300 processes in cgroups of their own it is 80 instead of 380 that are read.
    """
    mount = layout.v2_mount or layout.cpu_mount
    if mount is not None and mount not in layout.mount_roots:
        found = members(mount)
        if not isinstance(found, Missing):
            return found
    names = os.listdir(root / "proc")  # noqa: PTH208  hundreds of them: no Path for each
    return [pid for pid in map(parse_count, names) if pid is not None]


def _read(pid: int, layout: CgroupLayout, root: Path) -> tuple[int, TaskReading] | None:
    """When it began, and the reading; None: it has ended, or lies in a cgroup other than the root."""
    process = root / "proc" / str(pid)
    text = read_text(process / "stat")
    if isinstance(text, Missing):
        return None
    name = text.partition("(")[2].rpartition(")")[0]
    fields = text.rpartition(")")[2].split()
    if len(fields) <= _STARTED:
        return None
    flags, *ticks, threads, started = [parse_count(fields[place]) for place in _READ]
    if flags is None or started is None:
        return None
    is_kernel = bool(flags & _KERNEL_THREAD)
    if not is_kernel and not _is_in_root(pid, layout, root):
        return None
    run_ns = _schedstat_ns(process) if threads == 1 else None
    if run_ns is None:
        # Of a process with threads only this has those that ended, in ticks.
        run_ns = sum(each or 0 for each in ticks) * _NS_PER_S // os.sysconf("SC_CLK_TCK")
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


def _schedstat_ns(process: Path) -> int | None:
    """Its main thread's time on CPUs; None where the kernel keeps no such account."""
    text = read_text(process / "schedstat")
    return None if isinstance(text, Missing) else parse_count(text.partition(" ")[0])
