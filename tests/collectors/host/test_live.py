"""Where processes run that are known by name or number only: real processes, in cgroups that a fake /proc says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from collectors.host.hierarchy import CgroupLayout
from collectors.host.live import homes_of, live
from collectors.host.resolver import Homes, resolve
from probes.errors import UsageError
from tests.collectors.tree import CGROUPFS, IDS, SYSTEMD, recorded

NAME = f"jostle-{os.getpid()}"
# PR_SET_NAME (linux/prctl.h): no other process is called so.
SLEEPER = f"""
import ctypes, sys
ctypes.CDLL(None).prctl(15, {NAME.encode()!r})
print("ready", flush=True)
sys.stdin.read()
"""


def layout_in(root: Path) -> CgroupLayout:
    for name in ("a", "b", "ours"):
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
    tmp_path: Path, pids: list[int], one: tuple[str, str], other: tuple[str, str], found: list[str]
) -> None:
    for pid, paths in zip(pids, (one, other), strict=True):
        run_in(tmp_path, pid, *paths)
    assert list(homes_of(NAME, layout_in(tmp_path), tmp_path).paths) == found
    assert homes_of(NAME, layout_in(tmp_path), tmp_path).in_root is not bool(found)


def test_the_cgroup_of_a_pid(tmp_path: Path, pids: list[int]) -> None:
    run_in(tmp_path, pids[0], "/a", "/")
    run_in(tmp_path, pids[1], "/b", "/")
    assert [homes_of(str(pid), layout_in(tmp_path), tmp_path) for pid in pids] == [
        Homes(("/a",)),
        Homes(("/b",)),
    ]


def test_one_that_is_gone_is_nowhere_and_one_beyond_the_namespace_unseen(
    tmp_path: Path, pids: list[int]
) -> None:
    run_in(tmp_path, pids[0], "/../elsewhere", "/..")
    assert homes_of(NAME, layout_in(tmp_path), tmp_path) == Homes(unseen=True)
    assert homes_of("no process is called so", layout_in(tmp_path), tmp_path) == Homes()


def test_jostle_itself_is_not_what_a_program_s_name_means(tmp_path: Path) -> None:
    run_in(tmp_path, os.getpid(), "/ours", "/")
    ours = psutil.Process().name()
    assert "/ours" not in homes_of(ours, layout_in(tmp_path), tmp_path).paths
    assert homes_of(str(os.getpid()), layout_in(tmp_path), tmp_path).paths == ("/ours",)


def node(root: Path, *paths: str) -> tuple[Path, CgroupLayout]:
    """A node with the state of three runtimes, as recorded, and these cgroups, each with one inside it."""
    recorded(root, "runtimes")
    for path in paths:
        (root / "v2" / path[1:] / "init").mkdir(parents=True)
    return root, CgroupLayout("v2", root / "v2", {}, "v2", None)


@pytest.mark.parametrize("paths", [SYSTEMD, CGROUPFS], ids=["systemd", "cgroupfs"])
def test_the_names_of_a_node_lead_to_its_cgroups(tmp_path: Path, paths: dict[str, str]) -> None:
    root, layout = node(tmp_path, *{*paths.values(), SYSTEMD["service"]})
    among = live(layout, root=root)
    pod = paths["burstable"].rpartition("/")[0]
    for wanted, found in [
        ("web", paths["docker"]),
        (IDS["docker"][:6], paths["docker"]),
        ("prod/shop-7d9f/api", paths["burstable"]),
        ("prod/shop-7d9f", pod),
        ("shop-7d9f", pod),
        ("data/pg-0/db", paths["guaranteed"]),
        ("cron", SYSTEMD["service"]),
        (f"{root}/v2{paths['docker']}", paths["docker"]),
    ]:
        assert resolve(wanted, among) == found


def test_one_container_in_two_cgroups_is_several_things(tmp_path: Path) -> None:
    root, layout = node(tmp_path, SYSTEMD["docker"], CGROUPFS["docker"])
    told = rf"2 cgroups are called web: give the path of one: web \(/docker/.*, web \({re.escape(SYSTEMD['docker'])}"
    with pytest.raises(UsageError, match=told):
        resolve("web", live(layout, root=root))


def test_a_hierarchy_is_listed_for_its_controller(tmp_path: Path) -> None:
    for place in ("v2/a", "cpu/b", "freezer/c"):
        (tmp_path / place).mkdir(parents=True)
    v1 = {name: tmp_path / name for name in ("cpu", "freezer")}
    layout = CgroupLayout("hybrid", tmp_path / "v2", v1, "v1", 3)
    assert live(layout).paths == {"/", "/a", "/b"}
    assert live(layout, ("cpu", "freezer")).paths == {"/", "/a", "/b", "/c"}
