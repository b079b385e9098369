import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.hierarchy import (
    Cgroup,
    CgroupLayout,
    Membership,
    cgroup_of_pid,
    detect_layout,
    is_within,
    members,
    threads,
    walk,
)
from collectors.host.readings import Missing
from probes.errors import HostError
from tests.collectors.tree import lay_out

V2 = """\
=== proc/self/mountinfo
22 1 0:21 / /proc rw - proc proc rw
31 22 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
99 22 0:28 / /run/cilium/cgroupv2 rw - cgroup2 none rw
=== proc/self/cgroup
0::/user.slice/session-1.scope
=== sys/fs/cgroup/cgroup.controllers
cpuset cpu io memory pids
"""

V1 = """\
=== proc/self/mountinfo
30 22 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
=== proc/self/cgroup
9:memory:/user.slice
4:cpu,cpuacct:/
1:name=systemd:/user.slice/session-1.scope
"""

HYBRID = """\
=== proc/self/mountinfo
31 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
=== proc/self/cgroup
1:cpu:/
0::/
=== sys/fs/cgroup/unified/cgroup.controllers

"""


def layout_with(root: Path, mountinfo: str) -> CgroupLayout:
    return detect_layout(lay_out(root, f"=== proc/self/mountinfo\n{mountinfo}"))


def test_v2(tmp_path: Path) -> None:
    layout = detect_layout(lay_out(tmp_path, V2))
    assert layout == CgroupLayout(
        mode="v2", v2_mount=tmp_path / "sys/fs/cgroup", v1_mounts={}, cpu_on="v2", v1_cpu_hierarchy_id=None
    )
    assert layout.cpu_mount == layout.v2_mount


def test_v2_without_the_cpu_controller(tmp_path: Path) -> None:
    lay_out(tmp_path, V2)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("cpuset io\n")
    layout = detect_layout(tmp_path)
    assert layout.cpu_on is None
    assert layout.cpu_mount is None


def test_v1_with_controllers_mounted_together(tmp_path: Path) -> None:
    layout = detect_layout(lay_out(tmp_path, V1))
    mounts = tmp_path / "sys/fs/cgroup"
    assert (layout.mode, layout.cpu_on, layout.v2_mount) == ("v1", "v1", None)
    assert layout.v1_cpu_hierarchy_id == 4
    assert layout.v1_mounts == {
        "name=systemd": mounts / "systemd",
        "cpu": mounts / "cpu,cpuacct",
        "cpuacct": mounts / "cpu,cpuacct",
        "memory": mounts / "memory",
    }


def test_hybrid(tmp_path: Path) -> None:
    layout = detect_layout(lay_out(tmp_path, HYBRID))
    assert (layout.mode, layout.cpu_on, layout.v1_cpu_hierarchy_id) == ("hybrid", "v1", 1)
    assert layout.cpu_mount == tmp_path / "sys/fs/cgroup/cpu"


def test_octal_escapes_in_a_mount_point(tmp_path: Path) -> None:
    layout = layout_with(tmp_path, r"1 1 0:1 / /my\040cg\134roups rw - cgroup2 none rw" + "\n")
    assert layout.v2_mount == tmp_path / "my cg\\roups"


def test_a_mount_of_the_whole_hierarchy_is_preferred_to_a_bind_mount_of_a_part(tmp_path: Path) -> None:
    layout = layout_with(
        tmp_path,
        "1 1 0:1 /docker/ab /sys/fs/cgroup rw - cgroup2 none rw\n"
        "1 1 0:1 / /host/cgroup rw - cgroup2 none rw\n",
    )
    assert layout.v2_mount == tmp_path / "host/cgroup"
    assert layout.mount_roots == {}


def test_a_later_mount_on_the_same_point_hides_the_earlier(tmp_path: Path) -> None:
    layout = layout_with(
        tmp_path,
        "1 1 0:1 / /cg rw - cgroup cgroup rw,cpu\n1 1 0:2 / /cg rw - cgroup2 none rw\n"
        "1 1 0:3 / /old rw - cgroup cgroup rw,cpu\n1 1 0:4 / /old rw - tmpfs tmpfs rw\n",
    )
    assert (layout.mode, layout.v2_mount) == ("v2", tmp_path / "cg")


@pytest.mark.parametrize(
    "mountinfo",
    [
        "",
        "\0\1\2\n",
        "1 1 0:1 / /sys rw - sysfs sysfs rw\n",
        "1 1 0:1 / /cg rw - cgroup2 none rw",
        "a - b - c\n",
    ],
    ids=["empty", "binary", "no cgroups", "cut off", "nonsense"],
)
def test_no_hierarchy_is_an_error_with_a_remedy(tmp_path: Path, mountinfo: str) -> None:
    with pytest.raises(HostError) as error:
        layout_with(tmp_path, mountinfo)
    assert error.value.remedy is not None


def test_an_absent_mountinfo_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="mountinfo does not exist"):
        detect_layout(tmp_path)


@given(st.binary(max_size=300))
def test_no_mountinfo_makes_detection_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_bytes(b"1 1 0:1 / /cg rw - cgroup2 none rw\n" + content)
    assert detect_layout(root).mode in ("v2", "hybrid", "v1")


def test_walk_names_parents_first_with_their_inodes(tmp_path: Path) -> None:
    for path in ["b/c/d", "a", "b/e"]:
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("1\n")
    (tmp_path / "b/link").symlink_to(tmp_path / "a")
    found = list(walk(tmp_path))
    places = {cgroup.path: cgroup for cgroup in found}
    assert sorted(places) == ["/", "/a", "/b", "/b/c", "/b/c/d", "/b/e"]
    assert len(found) == len(places)
    for path, cgroup in places.items():
        assert cgroup.id == (tmp_path / path[1:]).stat().st_ino
        assert cgroup.directory(tmp_path) == tmp_path / path[1:]
    order = [cgroup.path for cgroup in found]
    assert order.index("/b") < order.index("/b/c") < order.index("/b/c/d")


def test_walk_goes_on_when_directories_vanish(tmp_path: Path) -> None:
    for path in ["a/x", "b/x"]:
        (tmp_path / path).mkdir(parents=True)
    seen = []
    for cgroup in walk(tmp_path):
        seen.append(cgroup.path)
        if cgroup.path == "/":
            (tmp_path / "a/x").rmdir()
            (tmp_path / "a").rmdir()
    assert sorted(seen) == ["/", "/b", "/b/x"]


def test_walk_of_nothing_is_empty(tmp_path: Path) -> None:
    assert list(walk(tmp_path / "gone")) == []


def test_walk_has_no_depth_limit_of_its_own(tmp_path: Path) -> None:
    chain = [tmp_path]
    for _ in range(1200):
        chain.append(chain[-1] / "d")
        chain[-1].mkdir()
    depth = sum(1 for _ in walk(tmp_path))
    for directory in reversed(chain):  # too deep for pytest to remove
        directory.rmdir()
    assert depth == len(chain)


def test_the_cgroup_of_a_process(tmp_path: Path) -> None:
    layout = detect_layout(lay_out(tmp_path, HYBRID))
    lay_out(tmp_path, "=== proc/7/cgroup\n3:cpuset:/x\n1:cpu,cpuacct:/a:b\n0::/system.slice/x y.service\n")
    assert cgroup_of_pid(7, layout, tmp_path) == Membership(v2="/system.slice/x y.service", v1_cpu="/a:b")
    assert isinstance(cgroup_of_pid(8, layout, tmp_path), Missing)


@pytest.mark.parametrize(
    ("mount_root", "path", "seen"),
    [
        ("/", "/", "/"),
        ("/", "/a/b", "/a/b"),
        ("/", "/../host", None),
        ("/", "/..", None),
        ("/", "/..a", "/..a"),
        ("/docker/ab", "/docker/ab", "/"),
        ("/docker/ab", "/docker/ab/c", "/c"),
        ("/docker/ab", "/docker/abc", None),
        ("/docker/ab", "/", None),
        ("/../..", "/../../system.slice", "/system.slice"),
        ("/../..", "/../../..", None),
        ("/../..", "/", None),
    ],
)
def test_a_path_is_seen_from_the_mount(tmp_path: Path, mount_root: str, path: str, seen: str | None) -> None:
    layout = layout_with(tmp_path, f"1 1 0:1 {mount_root} /cg rw - cgroup2 none rw\n")
    lay_out(tmp_path, f"=== proc/7/cgroup\n0::{path}\n")
    assert cgroup_of_pid(7, layout, tmp_path) == Membership(v2=seen, v1_cpu=None)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/", "/user/ours"),  # what a process in the namespace's top is told
        ("/inner", "/user/ours/inner"),
        ("/../theirs", "/user/theirs"),
        ("/../..", "/"),
        ("/../../..", None),
    ],
)
def test_a_path_is_seen_from_a_cgroup_namespace_below_the_mounts_top(
    tmp_path: Path, path: str, seen: str | None
) -> None:
    lay_out(
        tmp_path, f"=== cg/user/ours/agent/cgroup.procs\n{os.getpid()}\n=== cg/user/theirs/cgroup.procs\n1\n"
    )
    lay_out(tmp_path, f"=== proc/self/cgroup\n0::/agent\n=== proc/7/cgroup\n0::{path}\n")
    layout = layout_with(tmp_path, "1 1 0:1 /../.. /cg rw - cgroup2 none rw\n")
    assert cgroup_of_pid(7, layout, tmp_path) == Membership(v2=seen, v1_cpu=None)


def test_a_nonsense_membership_names_no_cgroup(tmp_path: Path) -> None:
    layout = detect_layout(lay_out(tmp_path, HYBRID))
    lay_out(tmp_path, "=== proc/7/cgroup\n\n:::\n0:\nx:cpu:/a\n0::relative\n-1:cpu:/b\n")
    assert cgroup_of_pid(7, layout, tmp_path) == Membership(v2=None, v1_cpu=None)


def test_members_are_sorted_unique_and_visible(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== a/cgroup.procs\n20\n0\n3\n20\n-1\njunk\n")
    assert members(tmp_path / "a") == [3, 20]


def test_members_of_a_threaded_cgroup_are_its_threads(tmp_path: Path) -> None:
    # The kernel refuses to read cgroup.procs there; a directory cannot be read either.
    lay_out(tmp_path, "=== a/cgroup.procs/\n=== a/cgroup.threads\n7\n5\n")
    assert members(tmp_path / "a") == [5, 7]


def test_threads_on_v2_and_v1(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== v2/cgroup.threads\n5\n6\n=== v1/tasks\n7\n=== v1/cgroup.procs\n8\n")
    assert threads(tmp_path / "v2") == [5, 6]
    assert threads(tmp_path / "v1") == [7]
    assert isinstance(threads(tmp_path / "gone"), Missing)
    assert isinstance(members(tmp_path / "gone"), Missing)


@pytest.fixture
def real_cgroup() -> Iterator[tuple[CgroupLayout, Path, str]]:
    layout = detect_layout()
    mount = layout.cpu_mount or layout.v2_mount
    if mount is None or not os.access(mount, os.W_OK):
        give_up = pytest.fail if os.environ.get("JOSTLE_REQUIRE_KERNEL") == "1" else pytest.skip
        give_up("no cgroup can be created here: this needs root and a writable cgroup hierarchy")
    name = f"jostle-test-{uuid.uuid4().hex}"
    (mount / name / "child").mkdir(parents=True)
    yield layout, mount, f"/{name}"
    (mount / name / "child").rmdir()
    (mount / name).rmdir()


def test_a_real_cgroup_is_walked_with_its_inode(real_cgroup: tuple[CgroupLayout, Path, str]) -> None:
    _, mount, path = real_cgroup
    found = {cgroup.path: cgroup for cgroup in walk(mount)}
    for expected in ("/", path, f"{path}/child"):
        assert found[expected] == Cgroup((mount / expected[1:]).stat().st_ino, expected)


def test_a_real_process_is_a_member_of_its_cgroup(real_cgroup: tuple[CgroupLayout, Path, str]) -> None:
    layout, mount, path = real_cgroup
    directory = mount / path[1:] / "child"
    assert members(directory) == []
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    try:
        (directory / "cgroup.procs").write_text(str(pid))
        assert members(directory) == threads(directory) == [pid]
        membership = cgroup_of_pid(pid, layout)
        assert not isinstance(membership, Missing)
        assert f"{path}/child" in (membership.v2, membership.v1_cpu)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_within_is_by_whole_names() -> None:
    assert is_within("/a/x", "/a")
    assert is_within("/a", "/a")
    assert is_within("/a", "/")
    assert not is_within("/ab", "/a")
    assert not is_within("kernel", "/")
