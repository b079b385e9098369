from pathlib import Path

import pytest

from collectors.block_io import COUNTS_NOTHING, DeviceIo, block_io_within, device_name, read_block_io
from collectors.readings import Missing
from tests.collectors.tree import CGROUPFS, SYSTEMD, lay_out, recorded

V2 = f"sys/fs/cgroup{SYSTEMD['besteffort']}"
V1 = f"sys/fs/cgroup/blkio{CGROUPFS['besteffort']}"
MIB = 1 << 20


@pytest.mark.parametrize(("version", "cgroup"), [("v2", V2), ("v1", V1)])
def test_a_window_counts_what_was_read_and_written(tmp_path: Path, version: str, cgroup: str) -> None:
    before, after = (
        read_block_io(recorded(tmp_path / when, f"{version}-{when}") / cgroup) for when in ("before", "after")
    )
    change = block_io_within(before, after)
    assert isinstance(change, dict)
    assert list(change) == ["259:0"]
    # `dd` read 2 × 24 MiB, of which readahead made one more, and wrote 2 MiB.
    assert change["259:0"].read_bytes == 49 * MIB
    assert change["259:0"].written_bytes == 2 * MIB
    assert change["259:0"].reads == 98


def test_v1_without_a_device_limit_counts_nothing_and_says_so(tmp_path: Path) -> None:
    assert read_block_io(recorded(tmp_path, "hybrid") / V1) == COUNTS_NOTHING


def test_v1_prefers_the_figures_with_descendants(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "=== blkio.throttle.io_serviced\n8:0 Read 1\n8:0 Write 2\nTotal 3\n"
        "=== blkio.throttle.io_service_bytes\n8:0 Read 10\n8:0 Write 20\nTotal 30\n",
    )
    assert read_block_io(tmp_path) == {"8:0": DeviceIo(10, 20, 1, 2)}
    lay_out(tmp_path, "=== blkio.throttle.io_serviced_recursive\n8:0 Read 5\n8:0 Write 6\nTotal 11\n")
    assert read_block_io(tmp_path) == {"8:0": DeviceIo(10, 20, 5, 6)}


def test_v1_with_lines_missing_is_missing_figure_by_figure(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "=== blkio.throttle.io_serviced\n8:0 Read 1\n8:0 Write -2\nx Read 1\n8:0\n8:0 Wri"
        "\n=== blkio.throttle.io_service_bytes\n",
    )
    usage = read_block_io(tmp_path)
    assert isinstance(usage, dict)
    assert usage["8:0"].reads == 1
    assert isinstance(usage["8:0"].writes, Missing)
    assert isinstance(usage["8:0"].read_bytes, Missing)


def test_v1_with_half_the_files_is_missing(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== blkio.throttle.io_serviced\n8:0 Read 1\n")
    assert isinstance(read_block_io(tmp_path), Missing)


def test_v2_nonsense(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "=== io.stat\n8:0 rbytes=1 wbytes=-1 rios=x\n8:16 \nloop0 rbytes=1\n\0\n8:32 rbytes=1 wbytes=2 rios",
    )
    usage = read_block_io(tmp_path)
    assert isinstance(usage, dict)
    assert list(usage) == ["8:0", "8:16"]
    assert usage["8:0"].read_bytes == 1
    for figure in (usage["8:0"].written_bytes, usage["8:0"].reads, usage["8:0"].writes, usage["8:16"].reads):
        assert isinstance(figure, Missing)


def test_an_idle_cgroup_used_no_device_and_a_vanished_one_is_missing(tmp_path: Path) -> None:
    lay_out(tmp_path, "=== io.stat\n")
    assert read_block_io(tmp_path) == {}
    assert isinstance(read_block_io(tmp_path / "gone"), Missing)


def test_windows() -> None:
    before = {"8:0": DeviceIo(10, 10, 1, 1)}
    after = {"8:0": DeviceIo(15, 9, 1, 1), "8:16": DeviceIo(4, 0, 1, 0)}
    change = block_io_within(before, after)
    assert isinstance(change, dict)
    assert change["8:0"].read_bytes == 5
    assert isinstance(change["8:0"].written_bytes, Missing)
    assert change["8:16"] == DeviceIo(4, 0, 1, 0)
    gone = Missing("gone")
    assert block_io_within(gone, after) is gone
    assert block_io_within(before, gone) is gone


def test_device_names(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "=== sys/dev/block/8:0/uevent\nMAJOR=8\nMINOR=0\nDEVNAME=sda\n"
        "=== sys/dev/block/8:1/uevent\nMAJOR=8\n",
    )
    assert device_name("8:0", tmp_path) == "sda"
    for device in ("8:1", "8:2", "../../x", "8:0/.."):
        assert isinstance(device_name(device, tmp_path), Missing)
