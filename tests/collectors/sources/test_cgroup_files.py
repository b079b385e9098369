from pathlib import Path

import pytest

from collectors.host.hierarchy import CgroupLayout
from collectors.host.readings import Missing, missing_in
from collectors.sources.cgroup_files import CgroupReader, CgroupReading
from collectors.sources.signal_reader import signals_within
from collectors.windows.figures import CGROUP_FIGURES
from tests.collectors.tree import (
    CGROUPFS,
    SYSTEMD,
    figures,
    grown,
    lay_out,
    noted,
    reading,
    recorded,
    recorded_window,
)

V2 = f"sys/fs/cgroup{SYSTEMD['besteffort']}"
V1 = f"sys/fs/cgroup/memory{CGROUPFS['besteffort']}"
NAMES = [spec.name for spec in CGROUP_FIGURES if spec.v2 and spec.v2.file in ("memory.stat", "memory.events")]


def memory(found: CgroupReading) -> dict[str, object]:
    return {name: getattr(found, name) for name in NAMES}


def read(root: Path, controller_on: str) -> CgroupReading:
    v1 = {"memory": root} if controller_on == "v1" else {}
    layout = CgroupLayout("v2", None if v1 else root, v1, None, None)
    return CgroupReader(layout).read(["/"])["/"]


def test_v2(tmp_path: Path) -> None:
    found = figures(recorded(tmp_path, "v2-after"), SYSTEMD["besteffort"])
    assert list(missing_in(memory(found))) == []
    assert found.scanned_pages == noted("v2-after", f"{V2}/memory.stat", r"^pgscan (\d+)")
    assert found.memory_high_events == noted("v2-after", f"{V2}/memory.events", r"^high (\d+)")


def test_a_window_on_v2(tmp_path: Path) -> None:
    change = recorded_window(tmp_path, "v2", SYSTEMD["besteffort"]).cgroups[SYSTEMD["besteffort"]]
    assert change.reclaimed_pages == grown("v2", f"{V2}/memory.stat", r"^pgsteal (\d+)")
    assert change.oom_kills == 0


def test_v1(tmp_path: Path) -> None:
    found = figures(recorded(tmp_path, "v1-after"), CGROUPFS["besteffort"])
    assert found.memory_max_events == noted("v1-after", f"{V1}/memory.failcnt", r"(\d+)")
    assert (found.file_refaults, found.major_faults, found.oom_kills) == (0, 0, 0)
    # None is in any file of v1.
    absent = (found.scanned_pages, found.reclaimed_pages, found.direct_scans, found.memory_high_events)
    assert list(missing_in(memory(found))) == list(absent)


def test_v1_counts_descendants_too(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== memory.stat\npgmajfault 1\ntotal_pgmajfault 3\ntotal_workingset_refault 8\n")
    found = read(tmp_path, "v1")
    assert (found.major_faults, found.file_refaults) == (3, 8)


def test_the_single_refault_counter_of_old_kernels(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== memory.stat\nworkingset_refault 5\n")
    found = read(tmp_path, "v2")
    assert found.file_refaults == 5
    assert isinstance(found.anon_refaults, Missing)


def test_without_the_controller_all_is_missing(tmp_path: Path) -> None:
    layout = CgroupLayout("v1", None, {"cpu": tmp_path}, "v1", 1)
    found = CgroupReader(layout).read(["/"])["/"]
    assert {why.remedy for why in missing_in(memory(found))} == {"mount the memory controller"}


@pytest.mark.parametrize("controller_on", ["v1", "v2"])
def test_a_vanished_cgroup_is_missing_throughout(tmp_path: Path, controller_on: str) -> None:
    assert len(list(missing_in(memory(read(tmp_path / "gone", controller_on))))) == len(NAMES)


def test_a_reset_counter_is_missing_alone(tmp_path: Path) -> None:
    mount = "=== proc/self/mountinfo\n1 1 0:1 / /cg rw - cgroup2 none rw\n"
    before, after = (
        reading(lay_out(tmp_path / name, f"{mount}=== cg/memory.stat\npgscan {scan}\npgsteal {steal}\n"), "/")
        for name, scan, steal in (("1", 9, 1), ("2", 3, 2))
    )
    window = signals_within(before, after)
    assert window.cgroups["/"].scanned_pages is None
    assert window.cgroups["/"].reclaimed_pages == 1
    assert window.missing["scanned_pages"].figures == 1
