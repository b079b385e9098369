from pathlib import Path

import pytest

from collectors.memory import memory_within, read_memory
from collectors.readings import Missing, missing_in
from tests.collectors.tree import CGROUPFS, SYSTEMD, lay_out, noted, recorded

V2 = f"sys/fs/cgroup{SYSTEMD['besteffort']}"
V1 = f"sys/fs/cgroup/memory{CGROUPFS['besteffort']}"


def test_v2(tmp_path: Path) -> None:
    memory = read_memory(recorded(tmp_path, "v2-after") / V2)
    assert list(missing_in(memory)) == []
    assert (memory.high_bytes, memory.max_bytes) == (12 << 20, 16 << 20)
    assert memory.current_bytes == noted("v2-after", f"{V2}/memory.current", r"(\d+)")
    assert memory.counters.scanned_pages == noted("v2-after", f"{V2}/memory.stat", r"^pgscan (\d+)")
    assert memory.counters.high_events == noted("v2-after", f"{V2}/memory.events", r"^high (\d+)")


def test_a_window_on_v2(tmp_path: Path) -> None:
    before, after = (
        read_memory(recorded(tmp_path / when, f"v2-{when}") / V2) for when in ("before", "after")
    )
    stolen = [noted(f"v2-{when}", f"{V2}/memory.stat", r"^pgsteal (\d+)") for when in ("before", "after")]
    change = memory_within(before, after)
    assert list(missing_in(change)) == []
    assert change.reclaimed_pages == stolen[1] - stolen[0] > 0
    assert change.oom_kills == 0


def test_v1(tmp_path: Path) -> None:
    memory = read_memory(recorded(tmp_path, "v1-after") / V1)
    counters = memory.counters
    assert (memory.high_bytes, memory.max_bytes) == (None, 16 << 20)
    assert memory.current_bytes == noted("v1-after", f"{V1}/memory.usage_in_bytes", r"(\d+)")
    assert counters.max_events == noted("v1-after", f"{V1}/memory.failcnt", r"(\d+)")
    assert (counters.file_refaults, counters.major_faults, counters.oom_kills) == (0, 0, 0)
    # Neither is in any file of v1.
    absent = (counters.scanned_pages, counters.reclaimed_pages, counters.high_events, counters.oom_events)
    assert list(missing_in(memory)) == list(absent)


def test_v1_counts_descendants_too(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "=== memory.limit_in_bytes\n9223372036854771712\n"
        "=== memory.stat\npgmajfault 1\ntotal_pgmajfault 3\ntotal_workingset_refault 8\n",
    )
    memory = read_memory(tmp_path)
    assert memory.max_bytes is None
    assert memory.counters.major_faults == 3
    assert memory.counters.file_refaults == 8


def test_the_single_refault_counter_of_old_kernels(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== memory.stat\nworkingset_refault 5\n")
    counters = read_memory(tmp_path).counters
    assert counters.file_refaults == 5
    assert isinstance(counters.anon_refaults, Missing)


@pytest.mark.parametrize(("text", "limit"), [("max\n", None), ("0\n", 0), ("4096\n", 4096)])
def test_limits(tmp_path: Path, text: str, limit: int | None) -> None:
    lay_out(tmp_path, f"=== memory.max\n{text}")
    assert read_memory(tmp_path).max_bytes == limit


@pytest.mark.parametrize("text", ["", "-1\n", "maximum\n", "1e9\n", "\0\n", "9" * 30])
def test_nonsense_limits_are_missing(tmp_path: Path, text: str) -> None:
    lay_out(tmp_path, f"=== memory.max\n{text}")
    assert isinstance(read_memory(tmp_path).max_bytes, Missing)


def test_a_vanished_cgroup_is_missing_throughout(tmp_path: Path) -> None:
    assert len(list(missing_in(read_memory(tmp_path / "gone")))) == 12


def test_a_reset_counter_is_missing_alone(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== 1/memory.stat\npgscan 9\npgsteal 1\n=== 2/memory.stat\npgscan 3\npgsteal 2\n")
    change = memory_within(read_memory(tmp_path / "1"), read_memory(tmp_path / "2"))
    assert isinstance(change.scanned_pages, Missing)
    assert change.reclaimed_pages == 1
