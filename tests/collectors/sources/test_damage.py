"""Every reader on every recorded tree, with every file damaged: no exception, no negative figure."""

import os
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from collectors.host.hierarchy import CgroupLayout, cgroup_of_pid, detect_layout, members, walk
from collectors.host.names import name_workload
from collectors.host.readings import Missing
from collectors.host.topology import read_topology
from collectors.sources.capabilities import file_capabilities
from collectors.sources.cpu_time import read_cpu_time
from collectors.sources.frequency import read_frequencies, read_msr_pmu
from collectors.sources.psi import host_pressure
from collectors.sources.resctrl import read_resctrl
from collectors.sources.schedstat import SchedstatTally
from collectors.sources.signal_reader import signals_within
from probes.errors import HostError
from tests.collectors.tree import CGROUPFS, SYSTEMD, figures, lay_out, reading, recorded

TREES = ["v1-after", "v2-after", "hybrid", "resctrl", "runtimes"]
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "whole": lambda content: content,
    "empty": lambda _: b"",
    "one newline": lambda _: b"\n",
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "negative": lambda content: content.replace(b" ", b" -").replace(b"=", b"=-"),
    "huge": lambda content: content.replace(b"0", b"9" * 25).replace(b"1", b"9" * 25),
    "letters": lambda content: content.translate(bytes.maketrans(b"0123456789", b"abcdefghij")),
    "binary": lambda _: bytes(range(256)),
    "many lines": lambda content: content * 50,
    "no separators": lambda content: content.replace(b" ", b"").replace(b"=", b"").replace(b":", b""),
}


def damaged(root: Path, tree: str, damage: Callable[[bytes], bytes]) -> Path:
    recorded(root, tree)
    for path in [path for path in root.rglob("*") if path.is_file() and path.name != "mountinfo"]:
        path.write_bytes(damage(path.read_bytes()))
    return root


def numbers(value: object) -> Iterator[float]:
    """Every number inside a record, however deeply nested."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from numbers(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from numbers(getattr(value, field.name))


def layout_of(root: Path) -> CgroupLayout | None:
    try:
        return detect_layout(root)
    except HostError:
        return None


def read_everything(root: Path) -> dict[str, object]:
    layout = layout_of(root)
    mounts = {layout.v2_mount, *layout.v1_mounts.values()} - {None} if layout else set()
    directories = [Path(folder) for mount in mounts if mount is not None for folder, _, _ in os.walk(mount)]
    found = {cgroup.path for mount in mounts if mount is not None for cgroup in walk(mount)}
    paths = sorted({*found, *SYSTEMD.values(), *CGROUPFS.values()})
    return {
        "walk": [list(walk(mount)) for mount in mounts if mount is not None],
        "members": [members(folder) for folder in directories],
        "membership": [cgroup_of_pid(pid, layout, root) for pid in range(300)] if layout else [],
        "cgroups": [figures(root, path) for path in paths] if layout else [],
        "psi": host_pressure(root),
        "cpu_time": read_cpu_time(root, ticks_per_s=100),
        "topology": read_topology(root),
        "frequency": [read_frequencies(root), read_msr_pmu(root)],
        "resctrl": read_resctrl(root),
        "schedstat": [SchedstatTally(folder, root, ticks_per_s=100).read() for folder in directories],
        "names": [name_workload(path, root) for path in paths],
        "signals": file_capabilities(root),
    }


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("tree", TREES)
def test_no_reader_fails_or_gives_a_negative_figure(tmp_path: Path, tree: str, damage: str) -> None:
    readings = read_everything(damaged(tmp_path, tree, DAMAGE[damage]))
    assert all(number >= 0 for number in numbers(readings))


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_no_window_fails_or_gives_a_negative_figure(tmp_path: Path, version: str, damage: str) -> None:
    """Windows from a good reading to a damaged one, and back."""
    good, bad = recorded(tmp_path / "good", f"{version}-after"), tmp_path / "bad"
    damaged(bad, f"{version}-before", DAMAGE[damage])
    for before, after in ((good, bad), (bad, good), (bad, bad)):
        assert all(number >= 0 for number in numbers(list(windows(before, after, version))))


def windows(before: Path, after: Path, version: str) -> Iterator[object]:
    for path in (SYSTEMD if version == "v2" else CGROUPFS).values():
        yield signals_within(reading(before, path), reading(after, path))


def test_a_figure_is_still_given_where_nothing_is_damaged(tmp_path: Path) -> None:
    """The tests above would also pass if everything were missing."""
    whole = read_everything(recorded(tmp_path, "v2-after"))
    assert sum(1 for number in numbers(whole) if number > 0) > 50
    assert not isinstance(whole["cpu_time"], Missing)


@pytest.mark.parametrize("mountinfo", list(DAMAGE))
def test_damaged_mounts_give_a_layout_or_an_error_with_a_remedy(tmp_path: Path, mountinfo: str) -> None:
    recorded(tmp_path, "hybrid")
    path = tmp_path / "proc/self/mountinfo"
    path.write_bytes(DAMAGE[mountinfo](path.read_bytes()))
    try:
        assert detect_layout(tmp_path).mode in ("v1", "v2", "hybrid")
    except HostError as error:
        assert error.remedy is not None  # noqa: PT017  either outcome is right


def test_files_in_place_of_directories(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "=== proc/self/mountinfo\n1 1 0:1 / /cg rw - cgroup2 none rw\n1 1 0:1 / /r rw - resctrl none rw\n"
        "=== cg\n=== r\n=== sys/devices/system/cpu/online\n0\n=== sys/devices/system/cpu/cpu0\n=== sys/bus\n"
        "=== proc/pressure\n=== run\n=== var/lib/docker\n",
    )
    readings = read_everything(tmp_path)
    assert all(number >= 0 for number in numbers(readings))
