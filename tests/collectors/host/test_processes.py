"""Where processes run that are known by name or number only: real processes, in cgroups that a fake /proc says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.host.hierarchy import CgroupLayout
from collectors.host.processes import cgroups_of

NAME = f"jostle-{os.getpid()}"
# PR_SET_NAME (linux/prctl.h): no other process is called so.
SLEEPER = f"""
import ctypes, sys
ctypes.CDLL(None).prctl(15, {NAME.encode()!r})
print("ready", flush=True)
sys.stdin.read()
"""


def layout_in(root: Path) -> CgroupLayout:
    for name in "ab":
        (root / "v2" / name).mkdir(parents=True, exist_ok=True)
    return CgroupLayout("hybrid", root / "v2", {"cpu": Path("/v1")}, "v1", 3)


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Of two processes that are called NAME."""
    words, pipe = [sys.executable, "-c", SLEEPER], subprocess.PIPE
    processes = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    yield [process.pid for process in processes]
    for process in processes:
        process.communicate()


def run_in(root: Path, pid: int, v2: str, v1_cpu: str) -> None:
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text(f"1:cpu:{v1_cpu}\n0::{v2}\n")


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (("/a", "/"), ("/a", "/b"), ["/a"]),
        (("/a", "/own"), ("/a", "/b"), ["/a", "/own"]),  # v2 has no cgroup of that path: its own container's
        (("/b", "/"), ("/", "/a"), ["/a", "/b"]),  # what v2 has in its root is told apart by v1
        (("/", "/"), ("/", "/"), []),
    ],
)
def test_the_cgroups_of_a_name(
    tmp_path: Path,
    pids: list[int],
    one: tuple[str, str],
    other: tuple[str, str],
    found: list[str],
) -> None:
    for pid, paths in zip(pids, (one, other), strict=True):
        run_in(tmp_path, pid, *paths)
    assert cgroups_of(NAME, layout_in(tmp_path), tmp_path) == found


def test_the_cgroup_of_a_pid(tmp_path: Path, pids: list[int]) -> None:
    run_in(tmp_path, pids[0], "/a", "/")
    run_in(tmp_path, pids[1], "/b", "/")
    assert [cgroups_of(str(pid), layout_in(tmp_path), tmp_path) for pid in pids] == [["/a"], ["/b"]]


def test_one_that_is_gone_or_in_a_cgroup_that_is_not_seen_is_nowhere(tmp_path: Path, pids: list[int]) -> None:
    run_in(tmp_path, pids[0], "/../elsewhere", "/..")
    assert cgroups_of(NAME, layout_in(tmp_path), tmp_path) == []
    assert cgroups_of("no process is called so", layout_in(tmp_path), tmp_path) == []
