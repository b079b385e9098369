import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing, missing_in
from collectors.host.topology import (
    MAX_CPUS,
    CpuGroups,
    parse_cpu_list,
    read_cpu_list,
    read_topology,
)
from tests.collectors.tree import lay_out


def groups(*members: set[int]) -> CpuGroups:
    return frozenset(map(frozenset, members))


def cpu_text(number: int, *, core: str, llc: str, package: int) -> str:
    """A CPU with a core of its own L1 and L2, and an L3 as the last level."""
    base = f"=== sys/devices/system/cpu/cpu{number}"
    caches = (
        (0, 1, "Data", core),
        (1, 1, "Instruction", core),
        (2, 2, "Unified", core),
        (3, 3, "Unified", llc),
    )
    return (
        f"{base}/topology/thread_siblings_list\n{core}\n{base}/topology/physical_package_id\n{package}\n"
        + "".join(
            f"{base}/cache/index{index}/{name}\n{value}\n"
            for index, level, kind, shared in caches
            for name, value in (("level", level), ("type", kind), ("shared_cpu_list", shared))
        )
    )


def two_sockets(root: Path, online: str = "0-7") -> Path:
    """Two sockets of two SMT cores each, numbered as the firmware of servers does: siblings are 4 apart."""
    sockets = {0: "0,2,4,6", 1: "1,3,5,7"}
    cpus = "".join(
        cpu_text(number, core=f"{number % 4},{number % 4 + 4}", llc=sockets[number % 2], package=number % 2)
        for number in range(8)
    )
    nodes = "".join(
        f"=== sys/devices/system/node/node{node}/cpulist\n{cpus}\n" for node, cpus in sockets.items()
    )
    return lay_out(root, f"=== sys/devices/system/cpu/online\n{online}\n{cpus}{nodes}")


def test_two_sockets_with_smt(tmp_path: Path) -> None:
    topology = read_topology(two_sockets(tmp_path))
    sockets = groups({0, 2, 4, 6}, {1, 3, 5, 7})
    assert topology.online == frozenset(range(8))
    assert topology.cores == groups({0, 4}, {1, 5}, {2, 6}, {3, 7})
    assert topology.llc == topology.packages == topology.nodes == sockets


def test_cpus_taken_offline_are_in_no_group(tmp_path: Path) -> None:
    topology = read_topology(two_sockets(tmp_path, online="0-3,5,7"))
    assert topology.cores == groups({0}, {1, 5}, {2}, {3, 7})
    assert topology.llc == groups({0, 2}, {1, 3, 5, 7})


def test_the_new_name_of_the_siblings_comes_first(tmp_path: Path) -> None:
    two_sockets(tmp_path)
    for number in range(8):
        lay_out(tmp_path, f"=== sys/devices/system/cpu/cpu{number}/topology/core_cpus_list\n{number}\n")
    assert read_topology(tmp_path).cores == groups(*({number} for number in range(8)))


def test_the_last_level_is_the_highest_not_the_last_index(tmp_path: Path) -> None:
    base = "=== sys/devices/system/cpu/cpu0/cache"
    lay_out(
        tmp_path,
        "=== sys/devices/system/cpu/online\n0-1\n"
        f"{base}/index0/level\n3\n{base}/index0/shared_cpu_list\n0-1\n"
        f"{base}/index10/level\n1\n{base}/index10/shared_cpu_list\n0\n"
        f"{base}/index2/level\nx\n{base}/index2/shared_cpu_list\n1\n"
        "=== sys/devices/system/cpu/cpu1/cache/index9/level\n3\n"
        "=== sys/devices/system/cpu/cpu1/cache/index9/shared_cpu_list\n0-1\n",
    )
    assert read_topology(tmp_path).llc == groups({0, 1})


def test_hidden_caches_are_missing_not_private(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== sys/devices/system/cpu/online\n0-1\n")
    topology = read_topology(tmp_path)
    assert topology.online == frozenset({0, 1})
    assert len(list(missing_in(topology))) == 4


@pytest.mark.parametrize("shared", ["0,2", "1", "0-99999999999", "x", "3-0"])
def test_contradicting_or_nonsense_groups_are_missing(tmp_path: Path, shared: str) -> None:
    two_sockets(tmp_path)
    (tmp_path / "sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_list").write_text(f"{shared}\n")
    topology = read_topology(tmp_path)
    assert isinstance(topology.llc, Missing)
    assert topology.cores == groups({0, 4}, {1, 5}, {2, 6}, {3, 7})


def test_a_package_that_is_unknown_makes_packages_missing(tmp_path: Path) -> None:
    two_sockets(tmp_path)
    (tmp_path / "sys/devices/system/cpu/cpu5/topology/physical_package_id").write_text("-1\n")
    assert isinstance(read_topology(tmp_path).packages, Missing)


def test_nothing_to_read(tmp_path: Path) -> None:
    assert len(list(missing_in(read_topology(tmp_path)))) == 5


def written(cpus: set[int]) -> str:
    """How the kernel writes a set of CPUs: runs of consecutive numbers."""
    starts = sorted(cpu for cpu in cpus if cpu - 1 not in cpus)
    ends = sorted(cpu for cpu in cpus if cpu + 1 not in cpus)
    return ",".join(
        f"{low}-{high}" if high > low else f"{low}" for low, high in zip(starts, ends, strict=True)
    )


@given(st.sets(st.integers(0, 300)))
def test_a_list_reads_as_the_set_it_was_written_from(cpus: set[int]) -> None:
    assert parse_cpu_list(written(cpus)) == frozenset(cpus)


@given(st.text(st.sampled_from("0123456789-, x")))
def test_any_text_is_a_set_or_none(text: str) -> None:
    cpus = parse_cpu_list(text)
    assert cpus is None or (max(cpus, default=0) < MAX_CPUS and parse_cpu_list(written(set(cpus))) == cpus)


@pytest.mark.parametrize("text", ["-", "1-", "-1", "0-3,", ",", "0--3", "3-1", "0 1", "0-4294967295", "٣"])
def test_what_is_not_a_list(text: str) -> None:
    assert parse_cpu_list(text) is None


def test_this_machine() -> None:
    topology = read_topology()
    assert topology.online == read_cpu_list(Path("/sys/devices/system/cpu/online"))
    assert isinstance(topology.online, frozenset)
    assert len(topology.online) == os.cpu_count()
