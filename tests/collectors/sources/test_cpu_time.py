import os
from pathlib import Path

import psutil
import pytest

from collectors.host.readings import Missing, missing_in
from collectors.sources.cpu_time import CpuTime, HostCpuTime, cpu_time_within, read_cpu_time
from tests.collectors.tree import lay_out, recorded

TEN_MS = 10_000_000


def read(root: Path, stat: str) -> HostCpuTime:
    reading = read_cpu_time(lay_out(root, f"=== proc/stat\n{stat}"), ticks_per_s=100)
    assert isinstance(reading, HostCpuTime)
    return reading


def test_a_recorded_host(tmp_path: Path) -> None:
    # cpu  352 0 380 334 3 0 26 0 0 0
    reading = read_cpu_time(recorded(tmp_path, "v1-after"), ticks_per_s=100)
    assert isinstance(reading, HostCpuTime)
    assert reading.total == CpuTime(*(ticks * TEN_MS for ticks in (352, 0, 380, 334, 3, 0, 26, 0)))
    assert list(reading.by_cpu) == [0, 1]
    assert reading.by_cpu[1].user_ns == 193 * TEN_MS


def test_guest_time_is_not_counted_twice(tmp_path: Path) -> None:
    assert read(tmp_path, "cpu 1 2 3 4 5 6 7 8 1000 1000\n").total == CpuTime(
        *(ticks * TEN_MS for ticks in range(1, 9))
    )


def test_other_tick_rates(tmp_path: Path) -> None:
    reading = read_cpu_time(lay_out(tmp_path, "=== proc/stat\ncpu 3 0 0 0 0 0 0 0\n"), ticks_per_s=1024)
    assert isinstance(reading, HostCpuTime)
    assert reading.total.user_ns == 3 * 10**9 // 1024


def test_a_window(tmp_path: Path) -> None:
    before, after = (
        read_cpu_time(recorded(tmp_path / when, f"v2-{when}"), ticks_per_s=100)
        for when in ("before", "after")
    )
    change = cpu_time_within(before, after)
    assert isinstance(change, HostCpuTime)
    assert list(missing_in(change)) == []
    assert isinstance(change.total.user_ns, int)
    assert change.total == change.by_cpu[0]  # the only CPU of that machine
    assert change.total.user_ns > 10**9


def test_cpus_that_come_or_go_have_no_window(tmp_path: Path) -> None:
    row = "1 1 1 1 1 1 1 1\n"
    before = read(tmp_path / "1", f"cpu {row}cpu0 {row}cpu1 {row}")
    after = read(tmp_path / "2", f"cpu {row}cpu0 {row}cpu2 {row}")
    change = cpu_time_within(before, after)
    assert isinstance(change, HostCpuTime)
    assert list(change.by_cpu) == [0]


def test_iowait_that_goes_back_is_missing_alone(tmp_path: Path) -> None:
    before = read(tmp_path / "1", "cpu 1 1 1 1 9 1 1 1\nctxt 5\n")
    after = read(tmp_path / "2", "cpu 2 1 1 1 8 1 1 1\nctxt 7\n")
    change = cpu_time_within(before, after)
    assert isinstance(change, HostCpuTime)
    assert list(missing_in(change)) == [change.total.iowait_ns]
    assert change.total.user_ns == TEN_MS


@pytest.mark.parametrize(
    "stat", ["", "\0\n", "cpu\nctxt\n", "cpu a b c d e f g h\nctxt -1\n", "cpu 1 1 1 1 1 1 1 1", "ctxt 1 2\n"]
)
def test_nonsense_is_missing(tmp_path: Path, stat: str) -> None:
    reading = read(tmp_path, stat)
    assert len(list(missing_in(reading))) == 8
    assert reading.by_cpu == {}


def test_a_short_row_of_an_old_kernel_lacks_the_last_columns(tmp_path: Path) -> None:
    total = read(tmp_path, "cpu 1 2 3 4 5 6 7\n").total
    assert total.softirq_ns == 7 * TEN_MS
    assert isinstance(total.steal_ns, Missing)


def test_absent(tmp_path: Path) -> None:
    gone = read_cpu_time(tmp_path)
    assert isinstance(gone, Missing)
    assert cpu_time_within(gone, gone) is gone


def test_this_machine_agrees_with_psutil() -> None:
    before = psutil.cpu_times()
    reading = read_cpu_time()
    after = psutil.cpu_times()
    assert isinstance(reading, HostCpuTime)
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    for name in ("user", "system", "idle", "steal"):
        value_ns = getattr(reading.total, f"{name}_ns")
        assert getattr(before, name) - tick_s <= value_ns / 1e9 <= getattr(after, name) + tick_s
    assert list(reading.by_cpu) == list(range(psutil.cpu_count()))
