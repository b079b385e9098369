"""Signals of a window: no CPU had more taken from it than the window is long."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing
from collectors.sources.cpu_time import HostCpuTime, read_cpu_time
from collectors.sources.signal_reader import SignalReading, signals_within
from tests.collectors.tree import SYSTEMD, lay_out, reading, recorded

NS_PER_TICK = 10_000_000
TWO_TICKS_NS = 2 * NS_PER_TICK


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="module")
def begin(folder: Path) -> SignalReading:
    """A host whose only CPU was at no interrupt yet, and never stolen."""
    return replace(
        reading(recorded(folder, "v2-before"), SYSTEMD["docker"]), cpu_time=counted(folder, 0, 0, 0)
    )


def counted(folder: Path, *ticks: int) -> HostCpuTime | Missing:
    """Its books: the ticks at interrupts, at soft interrupts and stolen."""
    row = " ".join(map(str, (1, 1, 1, 1, 1, *ticks)))
    return read_cpu_time(lay_out(folder / "stat", f"=== proc/stat\ncpu {row}\ncpu0 {row}\n"), ticks_per_s=100)


def test_stolen_time_that_leaps_is_missing_and_says_why(folder: Path, begin: SignalReading) -> None:
    # As after a guest was moved to another host: 10 years in a second, and 0.3 s at interrupts.
    leapt = replace(
        begin, cpu_time=counted(folder, 30, 0, 31_536_000_000), ended_ns=begin.monotonic_ns + 10**9
    )
    found = signals_within(begin, leapt)
    assert found.host.cpus[0].steal_ns is None
    assert found.host.cpus[0].irq_ns == 300_000_000
    assert "more than there can be in a window" in found.missing["cpu.steal_ns"].reason


@given(st.tuples(*[st.integers(0, 10**9)] * 3), st.integers(0, 10**16))
def test_no_cpu_had_more_taken_than_the_window(
    folder: Path, begin: SignalReading, ticks: tuple[int, int, int], long_ns: int
) -> None:
    after = replace(begin, cpu_time=counted(folder, *ticks), ended_ns=begin.monotonic_ns + long_ns)
    found = signals_within(begin, after).host.cpus[0]
    for told_ns, grown in zip((found.irq_ns, found.softirq_ns, found.steal_ns), ticks, strict=True):
        grown_ns = grown * NS_PER_TICK
        assert told_ns == (grown_ns if grown_ns <= long_ns + TWO_TICKS_NS else None)
