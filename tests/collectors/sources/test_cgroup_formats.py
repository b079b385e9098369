from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.hierarchy import CgroupLayout
from collectors.host.readings import Missing, missing_in
from collectors.sources.cgroup_files import CgroupReader
from collectors.sources.cgroup_formats import COUNTS_NOTHING, by_device, by_operation
from tests.collectors.tree import CGROUPFS, SYSTEMD, figures, lay_out, recorded, recorded_window

MIB = 1 << 20
parse_v1 = by_operation("Read", "Write")
parse_v2 = by_device("rbytes", "wbytes", "rios", "wios")


@pytest.mark.parametrize(("version", "path"), [("v2", SYSTEMD["besteffort"]), ("v1", CGROUPFS["besteffort"])])
def test_a_window_counts_what_was_read_and_written(tmp_path: Path, version: str, path: str) -> None:
    change = recorded_window(tmp_path, version, path).cgroups[path]
    # `dd` read 2 × 24 MiB, of which readahead made one more, and wrote 2 MiB.
    assert (change.read_bytes, change.written_bytes, change.reads) == (49 * MIB, 2 * MIB, 98)


def test_v1_without_a_device_limit_counts_nothing_and_says_so(tmp_path: Path) -> None:
    found = figures(recorded(tmp_path, "hybrid"), CGROUPFS["besteffort"])
    assert (found.reads, found.read_bytes) == (COUNTS_NOTHING, COUNTS_NOTHING)


def test_v1_prefers_the_figures_with_descendants(tmp_path: Path) -> None:
    layout = CgroupLayout("v1", None, {"blkio": tmp_path}, None, None)
    lay_out(tmp_path, "=== blkio.throttle.io_serviced\n8:0 Read 1\n8:0 Write 2\nTotal 3\n")
    assert CgroupReader(layout).read(["/"])["/"].reads == 1
    lay_out(tmp_path, "=== blkio.throttle.io_serviced_recursive\n8:0 Read 5\n8:0 Write 6\nTotal 11\n")
    assert CgroupReader(layout).read(["/"])["/"].reads == 5


def test_v1_adds_up_the_devices() -> None:
    text = "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\n8:16 Read 10\n8:16 Write 20\nTotal 33\n"
    assert parse_v1(text, "") == (11, 22)


def test_v1_nonsense_is_missing_figure_by_figure() -> None:
    reads, writes = parse_v1("8:0 Read 1\n8:0 Write -2\nx Read 1\n8:0\n8:0 Wri", "")
    assert reads == 1
    assert isinstance(writes, Missing)


def test_v2_nonsense_is_missing_figure_by_figure() -> None:
    text = "8:0 rbytes=1 wbytes=-1 rios=x\nloop0 rbytes=5\n\0\n8:32 rbytes=1 wbytes=2 rios"
    read_bytes, *others = parse_v2(text, "")
    assert read_bytes == 1
    assert len(list(missing_in(others))) == 3


def test_a_device_without_figures_makes_the_sum_unknown() -> None:
    assert len(list(missing_in(parse_v2("8:0 rbytes=1 wbytes=1 rios=1 wios=1\n8:16 \n", "")))) == 4


@given(st.lists(st.tuples(*[st.integers(0, 2**60)] * 4), max_size=5))
def test_v2_adds_up_the_devices(devices: list[tuple[int, ...]]) -> None:
    lines = (
        f"8:{minor} rbytes={rb} wbytes={wb} rios={r} wios={w} dbytes=7 dios=1\n"
        for minor, (rb, wb, r, w) in enumerate(devices)
    )
    assert parse_v2("".join(lines), "") == tuple(
        sum(column) for column in zip((0, 0, 0, 0), *devices, strict=True)
    )


def test_an_idle_cgroup_used_no_device_and_a_vanished_one_is_missing(tmp_path: Path) -> None:
    layout = CgroupLayout("v2", tmp_path, {}, None, None)
    lay_out(tmp_path, "=== a/io.stat\n")
    found = CgroupReader(layout).read(["/a", "/gone"])
    assert (found["/a"].reads, found["/a"].written_bytes) == (0, 0)
    assert isinstance(found["/gone"].reads, Missing)
