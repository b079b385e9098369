"""Disk windows: growth, sums, a subtree's waits for its own parts."""

from collectors.windows.disks import DiskUse, add, disk_use, disks_within
from probes.block_io import NR_BUCKETS, DiskFigures

NONE = (0,) * NR_BUCKETS


def figures(reads: int, waits_ns: dict[int, int]) -> DiskFigures:
    return DiskFigures(reads, 0, 0, 512 * reads, 0, 10 * reads, 5 * reads, reads, 0, NONE, waits_ns)


def test_a_window_is_what_grew_by_name() -> None:
    before, after = figures(3, {2: 40}), figures(10, {2: 100, 9: 7})
    paths = {1: "/a", 2: "/b", 5: "/idle"}
    found = disks_within({"vda": {1: before}}, {"vda": {1: after, 5: figures(0, {})}}, paths)
    (use,) = found["vda"].values()
    assert (use.reads, use.read_bytes, use.time_ns) == (7, 512 * 7, 15 * 7)
    assert use.waited_for == {"/b": 60, "other": 7}
    assert disks_within({"vda": {1: after}}, {"vda": {1: after}}, paths) == {}


def test_a_new_cgroup_grew_from_nothing() -> None:
    assert disks_within({}, {"vda": {1: figures(4, {})}}, {1: "/a"})["vda"]["/a"].reads == 4


def test_a_subtree_waits_for_its_own_parts_itself() -> None:
    part = DiskUse(reads=1, queue_ns=10, waited_for={"/a/y": 6, "/b": 3}, self_ns=1)
    whole = disk_use([{"vda": {"/a/x": part, "/b": DiskUse(reads=9)}}, {"vdb": {"/a": part}}], "/a")
    assert (whole.reads, whole.self_ns, whole.waited_for) == (2, 14, {"/b": 6})
    assert add([]) == DiskUse()
