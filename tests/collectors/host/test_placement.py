"""Where tasks of a cgroup may run, and the weights by which two cgroups share CPUs."""

import os
from pathlib import Path

import pytest

from collectors.host.hierarchy import CgroupLayout
from collectors.host.placement import allowed_cpus, weights

THREE = {"a": 100, "a/victim": 300, "b": 50, "b/batch": 10_000}


def laid_out(root: Path, file: str = "cpu.weight", cpu_on: str = "v2") -> CgroupLayout:
    for path, weight in THREE.items():
        (root / path).mkdir()
        (root / path / file).write_text(f"{weight}\n")
    v1 = {"cpu": root} if cpu_on == "v1" else {}
    return CgroupLayout("v2" if not v1 else "v1", None if v1 else root, v1, "v1" if v1 else "v2", None)


@pytest.mark.parametrize(("file", "cpu_on"), [("cpu.weight", "v2"), ("cpu.shares", "v1")])
def test_weights_are_those_of_the_siblings(tmp_path: Path, file: str, cpu_on: str) -> None:
    layout = laid_out(tmp_path, file, cpu_on)
    assert weights(layout, "/a/victim", "/b/batch") == (100, 50)
    assert weights(layout, "/a/victim", "/b") == (100, 50)


@pytest.mark.parametrize("other", ["/a", "/", "/a/victim", "/gone"])
def test_without_two_siblings_there_are_no_weights(tmp_path: Path, other: str) -> None:
    assert weights(laid_out(tmp_path), "/a/victim", other) is None


def test_the_cpus_are_those_of_all_tasks_in_it_and_below(tmp_path: Path) -> None:
    layout = laid_out(tmp_path)
    (tmp_path / "a/victim/cgroup.threads").write_text(f"{os.getpid()}\n")
    assert allowed_cpus(layout, "/a") == frozenset(os.sched_getaffinity(os.getpid()))
    assert allowed_cpus(layout, "/b") is None
