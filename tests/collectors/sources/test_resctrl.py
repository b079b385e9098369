from pathlib import Path

from collectors.host.readings import Missing, missing_in
from collectors.sources.resctrl import (
    NOT_MOUNTED,
    BandwidthCounters,
    CacheDomain,
    ResctrlGroups,
    bandwidth_within,
    read_resctrl,
)
from tests.collectors.tree import lay_out, recorded

MOUNTED = "=== proc/self/mountinfo\n40 22 0:35 / /sys/fs/resctrl rw - resctrl resctrl rw\n"


def groups_of(root: Path) -> ResctrlGroups:
    groups = read_resctrl(root)
    assert not isinstance(groups, Missing)
    return groups


def test_groups_and_domains(tmp_path: Path) -> None:
    groups = groups_of(recorded(tmp_path, "resctrl"))
    assert sorted(groups) == ["/", "/batch", "/batch/mon_groups/pod7", "/mon_groups/web"]
    assert {path: list(domains) for path, domains in groups.items()} == {
        "/": [0, 1],
        "/batch": [0],
        "/batch/mon_groups/pod7": [0],
        "/mon_groups/web": [0],
    }
    assert groups["/mon_groups/web"][0] == CacheDomain(8060928, BandwidthCounters(1024, 512))


def test_what_the_hardware_cannot_say_is_missing(tmp_path: Path) -> None:
    groups = groups_of(recorded(tmp_path, "resctrl"))
    assert isinstance(groups["/"][1].bandwidth.local_bytes, Missing)
    assert isinstance(groups["/batch"][0].occupancy_bytes, Missing)
    assert len(list(missing_in(groups))) == 2


def test_a_window(tmp_path: Path) -> None:
    before = groups_of(recorded(tmp_path, "resctrl"))
    lay_out(
        tmp_path,
        "=== sys/fs/resctrl/mon_groups/web/mon_data/mon_L3_00/mbm_total_bytes\n5000\n"
        "=== sys/fs/resctrl/mon_groups/web/mon_data/mon_L3_00/mbm_local_bytes\n5\n"
        "=== sys/fs/resctrl/mon_groups/new/mon_data/mon_L3_00/mbm_total_bytes\n5\n",
    )
    window = bandwidth_within(before, groups_of(tmp_path))
    assert not isinstance(window, Missing)
    assert "/mon_groups/new" not in window
    assert window["/mon_groups/web"][0].total_bytes == 5000 - 1024
    assert isinstance(window["/mon_groups/web"][0].local_bytes, Missing)
    assert window["/batch"] == {0: BandwidthCounters(0, 0)}
    assert bandwidth_within(NOT_MOUNTED, before) == bandwidth_within(before, NOT_MOUNTED) == NOT_MOUNTED


def test_not_mounted(tmp_path: Path) -> None:
    assert isinstance(read_resctrl(tmp_path), Missing)
    lay_out(tmp_path, "=== proc/self/mountinfo\n31 22 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    assert read_resctrl(tmp_path) == NOT_MOUNTED


def test_hardware_that_only_allocates(tmp_path: Path) -> None:
    lay_out(tmp_path, f"{MOUNTED}=== sys/fs/resctrl/schemata\nL3:0=7ff\n=== sys/fs/resctrl/batch/tasks\n")
    groups = read_resctrl(tmp_path)
    assert isinstance(groups, Missing)
    assert groups != NOT_MOUNTED


def test_domains_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    data = "=== sys/fs/resctrl/mon_data"
    lay_out(
        tmp_path,
        f"{MOUNTED}{data}/mon_PERF_PKG_00/core_energy\n1\n{data}/mon_L3_x/\n{data}/mon_L3_07/llc_occupancy\n3\n",
    )
    assert list(groups_of(tmp_path)["/"]) == [7]
