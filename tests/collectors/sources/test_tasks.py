"""Who runs within the root cgroup and within the kernel, beside the kernel's own books."""

import ctypes
import os
import threading
import time
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources.tasks import BusyTask, TaskReading, busiest, kernel_thread_name, read_tasks
from collectors.windows.sched import KERNEL
from tests.collectors.tree import lay_out
from tests.kernel.situations import Situation, spin

MOUNTS = "20 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
_PR_SET_NAME = 15


def stat(
    name: str, *, flags: int = 0, ticks: tuple[int, int] = (0, 0), threads: int = 1, began: int = 9
) -> str:
    """/proc/PID/stat, as far as it is read."""
    return f"1 ({name}) S 2 0 0 0 -1 {flags} 0 0 0 0 {ticks[0]} {ticks[1]} 0 0 20 0 {threads} 0 {began} 0\n"


def read(root: Path, processes: dict[int, dict[str, str]]) -> dict[int, TaskReading]:
    """A host with these processes, each with its files."""
    files = "".join(
        f"=== proc/{pid}/{file}\n{text}" for pid, own in processes.items() for file, text in own.items()
    )
    lay_out(root, f"=== proc/self/mountinfo\n{MOUNTS}=== proc/self/cgroup\n0::/\n{files}")
    return {pid: task for (pid, _), task in read_tasks(detect_layout(root), root).items()}


def test_kernel_threads_and_the_root_cgroups_processes_are_read_and_no_others(tmp_path: Path) -> None:
    kthread = 0x00200040
    found = read(
        tmp_path,
        {
            2: {"stat": stat("kworker/u4:2-events_unbound", flags=kthread), "schedstat": "5000 1 2\n"},
            3: {"stat": stat("a) S (b"), "schedstat": "7000 1 2\n", "cgroup": "0::/\n"},
            4: {"stat": stat("elsewhere"), "schedstat": "9000 1 2\n", "cgroup": "0::/system.slice\n"},
            5: {"stat": stat("ended"), "schedstat": "9000 1 2\n"},
            6: {"stat": "6 (cut"},
        },
    )
    assert found == {
        2: TaskReading("kworker events_unbound", KERNEL, 5000),
        3: TaskReading("a) S (b", "/", 7000),
    }


def test_only_the_root_cgroups_members_are_read_where_they_are_listed(tmp_path: Path) -> None:
    own = {"stat": stat("one"), "schedstat": "7000 1 2\n", "cgroup": "0::/\n"}
    lay_out(tmp_path, "=== sys/fs/cgroup/cgroup.procs\n3\n4\n")
    assert set(read(tmp_path, {3: own, 5: own})) == {3}


def test_of_a_process_with_threads_all_of_them_count_also_those_that_ended(tmp_path: Path) -> None:
    own = {"schedstat": "7000 1 2\n", "cgroup": "0::/\n"}
    found = read(tmp_path, {3: {"stat": stat("many", ticks=(30, 12), threads=4), **own}})
    assert found[3].run_ns == 42 * 10**9 // os.sysconf("SC_CLK_TCK")


def test_without_scheduler_statistics_ticks_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, {3: {"stat": stat("one", ticks=(1, 2)), "cgroup": "0::/\n"}})
    assert found[3].run_ns == 3 * 10**9 // os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("comm", "name"),
    [
        ("kworker/0:1H-kblockd", "kworker kblockd"),
        ("kworker/u4:2+flush-8:0", "kworker flush-8:0"),
        ("kworker/u4:2-ext4-rsv-conversion", "kworker ext4-rsv-conversion"),
        ("kworker/1:0", "kworker/1:0"),
        ("kworker/R-rcu_gp", "kworker rcu_gp"),
        ("ksoftirqd/1", "ksoftirqd/1"),
        ("irq/24-nvme0q0", "irq/24-nvme0q0"),
    ],
)
def test_kernel_threads_are_named_by_what_they_do(comm: str, name: str) -> None:
    assert kernel_thread_name(comm) == name


def test_those_of_one_name_are_one_and_a_pid_that_is_given_again_counts_from_0() -> None:
    before = {(1, 5): TaskReading("web", "/", 100), (2, 5): TaskReading("old", "/", 900)}
    after = {
        (1, 5): TaskReading("web", "/", 150),
        (2, 6): TaskReading("new", "/", 10),
        (3, 6): TaskReading("web", "/", 70),
        (4, 6): TaskReading("idle", "/", 0),
        (5, 6): TaskReading("web", KERNEL, 70),
    }
    assert busiest(before, after, "/") == (BusyTask("web", 3, 2, 120), BusyTask("new", 2, 1, 10))


def is_kernel_thread(process: Path) -> bool:
    """Whether it has no parent but kthreadd, PID 2, or is that."""
    try:
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return parent == "2" or process.name == "2"


def kernel_threads() -> set[int]:
    return {int(path.name) for path in Path("/proc").glob("[0-9]*") if is_kernel_thread(path)}


def named_spin() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"in) the (root", 0, 0, 0)
    spin()


def threaded_spin() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"jostle-threads", 0, 0, 0)
    threading.Thread(target=spin).start()
    spin()


@pytest.mark.kernel
def test_a_real_process_of_the_root_cgroup_has_what_the_kernels_books_say() -> None:
    with Situation() as situation:
        group = situation.group()
        first, threaded, other = (situation.process(work) for work in (named_spin, threaded_spin, spin))
        for mount in {situation.layout.v2_mount, situation.layout.v1_mounts.get("cpu")} - {None}:
            for process in (first, threaded):
                (Path(str(mount)) / "cgroup.procs").write_text(str(process.pid))
        group.take(other.pid)
        before, begun = read_tasks(situation.layout), first.schedstat.run_ns
        situation.go(0.5)
        found = {busy.pid: busy for busy in busiest(before, read_tasks(situation.layout), "/")}
        assert found[first.pid] == BusyTask("in) the (root", first.pid, 1, first.schedstat.run_ns - begun)
        assert other.pid not in found
        threads = Path(f"/proc/{threaded.pid}/task").glob("*/schedstat")
        all_ns = sum(int(text.read_text().split()[0]) for text in threads)
        # Two roundings down to ticks.
        assert found[threaded.pid].run_ns == pytest.approx(all_ns, abs=30_000_000)


@pytest.mark.kernel
def test_all_kernel_threads_are_among_those_that_are_read() -> None:
    before = kernel_threads()
    found = {pid for (pid, _), task in read_tasks(detect_layout()).items() if task.whose == KERNEL}
    assert before & kernel_threads() <= found


@pytest.mark.kernel
def test_a_real_kernel_thread_has_what_the_kernels_books_say(tmp_path: Path) -> None:
    layout = detect_layout()
    before = read_tasks(layout)
    kthreads = {key for key, task in before.items() if task.whose == KERNEL}
    # Writing files back is a kernel thread's work.
    for number in range(20):
        with (tmp_path / str(number)).open("wb") as file:
            file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())
    time.sleep(0.05)
    first_ns = {pid: ran_ns(pid) for pid, _ in kthreads}
    after = read_tasks(layout)
    then_ns = {pid: ran_ns(pid) for pid, _ in kthreads}
    there = {pid for pid, run_ns in then_ns.items() if run_ns is not None}  # an idle kworker may end
    told_ns = {key[0]: after[key].run_ns for key in kthreads & after.keys() if key[0] in there}
    assert told_ns
    assert all((first_ns[pid] or 0) <= told_ns[pid] <= (then_ns[pid] or 0) for pid in told_ns)
    found = {busy.pid for busy in busiest(before, after, KERNEL)} & there
    assert {Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found} == {b""}


def ran_ns(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except OSError:
        return None
