import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.host.readings import Missing
from collectors.sources.schedstat import NONE, SchedstatTally, TaskTimes, read_task
from tests.collectors.tree import CGROUPFS, SYSTEMD, lay_out, noted, recorded


class FakeHost:
    """A /proc and one cgroup, /a, whose tasks a test starts, runs, moves and ends."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now_s = 1000
        self.tally = SchedstatTally(root / "a", root, ticks_per_s=100)

    def task(self, tid: int, wait_ns: int, started_s: int, name: str = "worker") -> None:
        after_name = "S 1 " + "0 " * 17 + f"{started_s * 100} 0 0\n"
        lay_out(
            self.root,
            f"=== proc/{tid}/schedstat\n{wait_ns * 2} {wait_ns} {wait_ns // 10}\n"
            f"=== proc/{tid}/stat\n{tid} ({name}) {after_name}"
            f"=== proc/{tid}/status\nName:\t{name}\nnonvoluntary_ctxt_switches:\t{wait_ns // 100}\n",
        )

    def holds(self, *tids: int) -> None:
        lay_out(self.root, "=== a/cgroup.threads\n" + "".join(f"{tid}\n" for tid in tids))

    def read(self) -> TaskTimes:
        lay_out(self.root, f"=== proc/uptime\n{self.now_s}.00 5.00\n")
        self.now_s += 10
        times = self.tally.read()
        assert isinstance(times, TaskTimes)
        return times


def times(wait_ns: int) -> TaskTimes:
    return TaskTimes(wait_ns * 2, wait_ns, wait_ns // 10, wait_ns // 100)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_counting_begins_with_the_first_reading(host: FakeHost) -> None:
    host.task(5, wait_ns=7000, started_s=10)
    host.holds(5)
    assert host.read() == NONE
    host.task(5, wait_ns=9000, started_s=10)
    assert host.read() == times(2000)


def test_a_task_that_exits_keeps_what_was_seen(host: FakeHost) -> None:
    host.task(5, wait_ns=1000, started_s=10)
    host.holds(5)
    host.read()
    host.task(5, wait_ns=4000, started_s=10)
    assert host.read() == times(3000)
    host.holds()
    assert host.read() == times(3000)
    assert host.read() == times(3000)


def test_a_listed_task_whose_files_are_gone_has_exited(host: FakeHost) -> None:
    host.holds(5, 6)
    assert host.read() == NONE


def test_a_new_task_counts_from_its_start(host: FakeHost) -> None:
    host.holds()
    host.read()
    host.task(5, wait_ns=3000, started_s=1005)
    host.holds(5)
    assert host.read() == times(3000)


def test_a_task_that_moves_in_counts_from_then(host: FakeHost) -> None:
    host.holds()
    host.read()
    host.task(5, wait_ns=3000, started_s=990)
    host.holds(5)
    assert host.read() == NONE
    host.task(5, wait_ns=4000, started_s=990)
    assert host.read() == times(1000)


def test_a_task_that_leaves_and_returns_does_not_count_its_absence(host: FakeHost) -> None:
    host.task(5, wait_ns=1000, started_s=10)
    host.holds(5)
    host.read()
    host.holds()
    host.read()
    host.task(5, wait_ns=8000, started_s=10)
    host.holds(5)
    assert host.read() == NONE


def test_a_reused_id_is_another_task(host: FakeHost) -> None:
    host.task(5, wait_ns=1000, started_s=10)
    host.holds(5)
    host.read()
    host.task(5, wait_ns=5000, started_s=10)
    assert host.read() == times(4000)
    host.task(5, wait_ns=2000, started_s=1015)
    assert host.read() == times(6000)


def test_names_of_tasks_cannot_disturb_the_parsing(host: FakeHost) -> None:
    host.holds()
    host.read()
    hostile = ") S 1 1 1 1 1 1 (\nnonvoluntary_ctxt_switches:\t99"
    host.task(5, wait_ns=3000, started_s=1005, name=hostile)
    host.holds(5)
    assert host.read() == times(3000)


@settings(max_examples=40)
@given(
    steps=st.lists(
        st.dictionaries(st.integers(2, 5), st.integers(0, 10_000), max_size=4), min_size=2, max_size=8
    )
)
def test_sums_never_go_back_whatever_comes_and_goes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[dict[int, int]]
) -> None:
    """Each step gives the ids in the cgroup and their counters, which may go back when an id is reused."""
    host = FakeHost(tmp_path_factory.mktemp("host"))
    last = NONE
    for step in steps:
        for tid, wait_ns in step.items():
            host.task(tid, wait_ns, started_s=host.now_s - 5)
        host.holds(*step)
        sums = host.read()
        assert sums.may_follow(last)
        last = sums


@pytest.mark.parametrize(("tree", "paths"), [("v2-after", SYSTEMD), ("v1-after", CGROUPFS)])
def test_recorded_tasks(tmp_path: Path, tree: str, paths: dict[str, str]) -> None:
    root = recorded(tmp_path, tree)
    mount = "sys/fs/cgroup" if tree == "v2-after" else "sys/fs/cgroup/cpu,cpuacct"
    (pid,) = (int(path.name) for path in (root / "proc").iterdir() if path.name.isdigit())
    task = read_task(root / f"proc/{pid}")
    assert isinstance(task, TaskTimes)
    assert task.wait_ns == noted(tree, f"proc/{pid}/schedstat", r"^\d+ (\d+) ")
    assert task.involuntary_switches == noted(
        tree, f"proc/{pid}/status", r"^nonvoluntary_ctxt_switches:\s(\d+)$"
    )
    tally = SchedstatTally(root / mount / paths["burstable"][1:], root, ticks_per_s=100)
    assert tally.read() == NONE
    (root / f"proc/{pid}/schedstat").write_text(f"{task.run_ns + 7} {task.wait_ns + 8} {task.slices + 9}\n")
    assert tally.read() == TaskTimes(7, 8, 9, 0)


@pytest.mark.parametrize("text", ["", "\n", "1 2\n", "1 2 3 4\n", "-1 2 3\n", "a b c\n", "\0"])
def test_a_nonsense_schedstat_is_missing(host: FakeHost, text: str) -> None:
    host.task(5, wait_ns=100, started_s=10)
    (host.root / "proc/5/schedstat").write_text(text)
    assert isinstance(read_task(host.root / "proc/5"), Missing)


@pytest.mark.parametrize(
    "text", ["", "nonvoluntary_ctxt_switches:\n", "nonvoluntary_ctxt_switches:\t-1\n", "Name:\tx\n"]
)
def test_a_nonsense_status_is_missing(host: FakeHost, text: str) -> None:
    host.task(5, wait_ns=100, started_s=10)
    (host.root / "proc/5/status").write_text(text)
    assert isinstance(read_task(host.root / "proc/5"), Missing)


@pytest.mark.parametrize("stat", ["", "5 (x\n", "5 (x) S 1 2\n", "5 (x) S 1 " + "0 " * 17 + "-3 0\n"])
def test_an_unknown_start_counts_from_when_the_task_was_seen(host: FakeHost, stat: str) -> None:
    host.holds()
    host.read()
    host.task(5, wait_ns=3000, started_s=1005)
    (host.root / "proc/5/stat").write_text(stat)
    host.holds(5)
    assert host.read() == NONE


@pytest.mark.parametrize("uptime", ["", "soon\n"])
def test_without_uptime_or_cgroup_the_reading_is_missing(host: FakeHost, uptime: str) -> None:
    host.holds()
    lay_out(host.root, f"=== proc/uptime\n{uptime}")
    assert isinstance(host.tally.read(), Missing)
    host.read()
    (host.root / "a/cgroup.threads").unlink()
    assert isinstance(host.tally.read(), Missing)


def test_this_process_agrees_with_its_own_clock() -> None:
    before = read_task(Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}"))
    cpu_ns = time.thread_time_ns()
    after = read_task(Path(f"/proc/{threading.get_native_id()}"))
    assert isinstance(before, TaskTimes)
    assert isinstance(after, TaskTimes)
    assert before.run_ns <= cpu_ns
    assert after.may_follow(before)
