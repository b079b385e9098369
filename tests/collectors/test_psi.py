from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.psi import (
    REMEDY,
    Pressure,
    Stall,
    StalledWindow,
    cgroup_pressure,
    host_pressure,
    read_pressure,
    stalled_within,
)
from collectors.readings import Missing, missing_in
from tests.collectors.tree import SYSTEMD, noted, recorded

CGROUP = f"sys/fs/cgroup{SYSTEMD['besteffort']}"


def pressure_of(root: Path, content: str) -> Pressure:
    path = root / "cpu.pressure"
    path.write_text(content)
    return read_pressure(path)


def test_a_recorded_cgroup(tmp_path: Path) -> None:
    recorded(tmp_path, "v2-after")
    pressures = cgroup_pressure(tmp_path / CGROUP)
    assert list(missing_in(pressures)) == []
    assert (
        pressures.memory.some.total_ns
        == noted("v2-after", f"{CGROUP}/memory.pressure", r"^some .*total=(\d+)") * 1000
    )
    assert (
        pressures.memory.full.total_ns
        == noted("v2-after", f"{CGROUP}/memory.pressure", r"^full .*total=(\d+)") * 1000
    )
    assert (
        pressures.cpu.some.avg10_pct
        == noted("v2-after", f"{CGROUP}/cpu.pressure", r"^some avg10=(\d+)\.") + 0.32
    )


def test_a_recorded_host(tmp_path: Path) -> None:
    pressures = host_pressure(recorded(tmp_path, "hybrid"))
    assert list(missing_in(pressures)) == []
    assert pressures.io.some.total_ns == noted("hybrid", "proc/pressure/io", r"^some .*total=(\d+)") * 1000


def test_stalled_time_of_a_window(tmp_path: Path) -> None:
    before, after = (
        cgroup_pressure(recorded(tmp_path / when, f"v2-{when}") / CGROUP) for when in ("before", "after")
    )
    totals = [
        noted(f"v2-{when}", f"{CGROUP}/cpu.pressure", r"^some .*total=(\d+)") for when in ("before", "after")
    ]
    window = stalled_within(before, after)
    assert window.cpu.some_ns == (totals[1] - totals[0]) * 1000
    assert list(missing_in(window)) == []


def test_switched_off_names_the_remedy(tmp_path: Path) -> None:
    pressures = host_pressure(tmp_path)
    assert len(list(missing_in(pressures))) == 24
    assert {missing.remedy for missing in missing_in(pressures)} == {REMEDY}


def test_refused_by_the_kernel_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "open", refuse)
    total = read_pressure(tmp_path / "cpu.pressure").some.total_ns
    assert total == Missing(f"{tmp_path}/cpu.pressure is not supported here by the kernel", REMEDY)


def test_kernels_before_5_13_have_no_full_line_for_cpu(tmp_path: Path) -> None:
    pressure = pressure_of(tmp_path, "some avg10=1.50 avg60=2.00 avg300=100.00 total=7\n")
    assert pressure.some == Stall(7000, 1.5, 2.0, 100.0)
    assert isinstance(pressure.full.total_ns, Missing)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "some\n",
        "some avg10=-1 avg60=nan avg300=inf total=-5\n",
        "some avg10=100.1 avg60=x avg300= total=1.5\n",
        "some total=18446744073709551616\n",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=12",
        "\0\1\2\n",
    ],
)
def test_nonsense_is_missing(tmp_path: Path, line: str) -> None:
    stall = pressure_of(tmp_path, line).some
    assert len(list(missing_in(stall))) == 4


@given(total=st.integers(0, 2**63), tens=st.integers(0, 10000))
def test_what_the_kernel_prints(tmp_path_factory: pytest.TempPathFactory, total: int, tens: int) -> None:
    line = f"full avg10={tens // 100}.{tens % 100:02} avg60=0.00 avg300=0.00 total={total}\n"
    stall = pressure_of(tmp_path_factory.mktemp("psi"), line).full
    assert stall.total_ns == total * 1000
    assert stall.avg10_pct == pytest.approx(tens / 100)


def test_a_total_that_went_back_is_missing(tmp_path: Path) -> None:
    recorded(tmp_path, "v2-after")
    later = cgroup_pressure(tmp_path / CGROUP)
    recorded(tmp_path, "v2-before")
    earlier = cgroup_pressure(tmp_path / CGROUP)
    window = stalled_within(later, earlier)
    assert isinstance(window.cpu.some_ns, Missing)
    assert window.io == StalledWindow(window.io.some_ns, 0)
