"""The tier below eBPF: sums of /proc per cgroup as snapshots."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.sources.tiers import SchedstatSource, open_source
from collectors.windows import sched

SPIN = "while True: pass"


@pytest.fixture
def layout() -> CgroupLayout:
    return detect_layout()


@pytest.fixture
def cgroup(layout: CgroupLayout) -> Iterator[Path]:
    mount = layout.v2_mount or layout.v1_mounts["cpu"]
    directory = mount / f"jostle-test-source-{os.getpid()}"
    directory.mkdir()
    yield directory
    for _ in range(100):
        try:
            directory.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"{directory} is still busy")


def schedstat(pid: int) -> tuple[int, int, int]:
    run_ns, wait_ns, slices = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(run_ns), int(wait_ns), int(slices)


@pytest.mark.kernel
def test_a_cgroups_window_is_its_tasks_schedstat(layout: CgroupLayout, cgroup: Path) -> None:
    tasks = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(2)]
    try:
        for task in tasks:
            (cgroup / "cgroup.procs").write_text(str(task.pid))
            os.sched_setaffinity(task.pid, {0})
        with open_source(layout, "schedstat") as source:
            source.read()
            floor = [schedstat(task.pid) for task in tasks]
            first = source.read()
            start = [schedstat(task.pid) for task in tasks]
            time.sleep(1.0)
            end = [schedstat(task.pid) for task in tasks]
            second = source.read()
            ceiling = [schedstat(task.pid) for task in tasks]
    finally:
        for task in tasks:
            task.kill()
            task.wait()
    window = sched.window(first, second).cgroups[f"/{cgroup.name}"]
    for index, name in enumerate(("run_ns", "wait_ns", "switches")):
        least = sum(b[index] - a[index] for a, b in zip(start, end, strict=True))
        most = sum(b[index] - a[index] for a, b in zip(floor, ceiling, strict=True))
        assert least <= getattr(window, name) <= most, name
    assert window.wait_ns > 0
    assert window.unattributed_ns == window.wait_ns
    assert window.waited_for == {}


def test_a_wait_that_began_long_ago_is_told_bit_by_bit(tmp_path: Path) -> None:
    # The kernel's books have a wait when it ends: here one of 50 s, between two readings within a moment.
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "7").mkdir(parents=True)
    (mount / "starved").mkdir(parents=True)
    (mount / "starved" / "cgroup.threads").write_text("7\n")
    (proc / "uptime").write_text("100.0 100.0\n")
    (proc / "7" / "status").write_text("nonvoluntary_ctxt_switches:\t0\n")
    (proc / "7" / "schedstat").write_text("0 0 0\n")
    layout = CgroupLayout("v2", mount, {}, "v2", None)
    source = SchedstatSource(layout, tmp_path)
    snapshots = [source.read()]
    (proc / "7" / "schedstat").write_text(f"1000 {50 * 10**9} 1\n")
    for _ in range(3):
        time.sleep(0.05)
        snapshots.append(source.read())
    for before, after in pairwise(snapshots):
        window = sched.window(before, after)
        found = window.cgroups["/starved"]
        assert 0 < found.run_ns + found.wait_ns <= after.reach_ns + 20_000_000
        assert window.impossible == 0


def test_it_accounts_for_no_programs_and_sheds_nothing(layout: CgroupLayout) -> None:
    source = SchedstatSource(layout)
    source.shed(2)
    assert source.cost() is None


@pytest.mark.kernel
def test_a_removed_cgroup_stays_for_one_more_snapshot(layout: CgroupLayout) -> None:
    mount = layout.v2_mount or layout.v1_mounts["cpu"]
    directory = mount / f"jostle-test-gone-{os.getpid()}"
    path = f"/{directory.name}"
    source = SchedstatSource(layout)
    directory.mkdir()
    try:
        present = source.read()
    finally:
        directory.rmdir()
    assert [path in snapshot.paths.values() for snapshot in (present, source.read(), source.read())] == [
        True,
        True,
        False,
    ]


def test_the_root_cgroup_is_left_out(layout: CgroupLayout) -> None:
    assert "/" not in SchedstatSource(layout).read().paths.values()
