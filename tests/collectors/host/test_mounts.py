from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.mounts import Mount, read_mounts
from collectors.host.readings import Missing
from tests.collectors.tree import lay_out


def mounts(root: Path, mountinfo: str) -> list[Mount]:
    reading = read_mounts(lay_out(root, f"=== proc/self/mountinfo\n{mountinfo}"))
    assert isinstance(reading, list)
    return reading


def test_optional_fields_and_options(tmp_path: Path) -> None:
    lines = "36 35 98:0 /top /point rw,noatime master:1 shared:2 - cgroup none rw,cpu,cpuacct\n"
    assert mounts(tmp_path, lines) == [
        Mount(tmp_path / "point", "/top", "cgroup", frozenset({"rw", "cpu", "cpuacct"}))
    ]


def test_the_last_mount_on_a_point_hides_the_others(tmp_path: Path) -> None:
    lines = "1 1 0:1 / /a rw - ext4 x rw\n1 1 0:1 / /b rw - ext4 x rw\n1 1 0:1 / /a rw - tmpfs x rw\n"
    assert [(mount.point.name, mount.kind) for mount in mounts(tmp_path, lines)] == [
        ("a", "tmpfs"),
        ("b", "ext4"),
    ]


@given(
    name=st.text(
        st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20
    )
)
def test_octal_escapes(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("root")
    escaped = "".join(f"\\{ord(char):03o}" if char in " \t\n\\" else char for char in f"m{name}")
    path = root / "proc/self/mountinfo"
    path.parent.mkdir(parents=True)
    path.write_bytes(f"1 1 0:1 / /{escaped} rw - ext4 x rw\n".encode())
    assert read_mounts(root) == [Mount(root / f"m{name}", "/", "ext4", frozenset({"rw"}))]


def test_absent(tmp_path: Path) -> None:
    assert isinstance(read_mounts(tmp_path), Missing)


def test_this_machine_agrees_with_psutil() -> None:
    reading = read_mounts()
    assert isinstance(reading, list)
    assert {str(mount.point) for mount in reading} == {
        part.mountpoint for part in psutil.disk_partitions(all=True)
    }
