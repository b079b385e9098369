from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing, missing_in
from collectors.sources.cgroup_files import V1_HAS_NO_PRESSURE
from collectors.sources.psi import host_pressure, parse_pressure
from tests.collectors.tree import CGROUPFS, SYSTEMD, figures, grown, noted, recorded, recorded_window

BESTEFFORT = SYSTEMD["besteffort"]
CGROUP = f"sys/fs/cgroup{BESTEFFORT}"
AVERAGES = "avg10=1.50 avg60=2.00 avg300=100.00"


def test_a_recorded_cgroup(tmp_path: Path) -> None:
    found = figures(recorded(tmp_path, "v2-after"), BESTEFFORT)
    for kind, figure in (("some", found.memory_some_ns), ("full", found.memory_full_ns)):
        assert figure == noted("v2-after", f"{CGROUP}/memory.pressure", rf"^{kind} .*total=(\d+)") * 1000 > 0


def test_a_recorded_host(tmp_path: Path) -> None:
    pressure = host_pressure(recorded(tmp_path, "hybrid"))
    assert list(missing_in(pressure)) == []
    assert pressure["io_some_ns"] == noted("hybrid", "proc/pressure/io", r"^some .*total=(\d+)") * 1000


def test_stalled_time_of_a_window(tmp_path: Path) -> None:
    window = recorded_window(tmp_path, "v2", BESTEFFORT)
    some_us = grown("v2", f"{CGROUP}/cpu.pressure", r"^some .*total=(\d+)")
    assert window.cgroups[BESTEFFORT].cpu_some_ns == some_us * 1000
    host_us = grown("v2", "proc/pressure/memory", r"^some .*total=(\d+)")
    assert window.host.pressure["memory_some_ns"] == host_us * 1000


def test_switched_off_is_missing(tmp_path: Path) -> None:
    assert len(list(missing_in(host_pressure(tmp_path)))) == 6


def test_v1_cgroups_have_none(tmp_path: Path) -> None:
    found = figures(recorded(tmp_path, "v1-after"), CGROUPFS["besteffort"])
    assert found.cpu_some_ns is V1_HAS_NO_PRESSURE


def test_kernels_before_5_13_have_no_full_line_for_cpu() -> None:
    some_ns, full_ns = parse_pressure(f"some {AVERAGES} total=7\n", "cpu.pressure")
    assert some_ns == 7000
    assert isinstance(full_ns, Missing)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "some\n",
        "some avg10=-1 avg60=nan avg300=inf total=-5\n",
        "some avg10=100.1 avg60=x avg300= total=1.5\n",
        "some total=18446744073709551616\n",
        f"some {AVERAGES} total=12",  # cut off
        f"awesome {AVERAGES} total=12\n",
        "\0\1\2\n",
    ],
)
def test_nonsense_is_missing(text: str) -> None:
    assert len(list(missing_in(parse_pressure(text, "cpu.pressure")))) == 2


@given(some=st.integers(0, 2**63), full=st.integers(0, 2**63))
def test_what_the_kernel_prints(some: int, full: int) -> None:
    text = f"some {AVERAGES} total={some}\nfull {AVERAGES} total={full}\n"
    assert parse_pressure(text, "cpu.pressure") == (some * 1000, full * 1000)
