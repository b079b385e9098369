"""The mean frequency: the arithmetic on counts with known answers, and the reader on PMUs and drivers laid out here."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic_ns, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing
from collectors.sources import frequency
from collectors.sources.frequency import IDLE, NO_CPUFREQ, CpuClock, FrequencyReader, frequency_khz
from probes import perf_event
from probes.perf_event import PerfEvent, Reading, Refusal
from tests.collectors.tree import SOFTWARE_CLOCKS, lay_out

SECOND_NS = 1_000_000_000
NOMINAL_KHZ = 2_600_000
# The kernel's clocks may drift apart by as much as NTP may slew one of them (adjtimex(2): 500 ppm).
CLOCKS_DIFFER = 1e-3
DRIVER = "=== sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq\n800000\n"

counts = st.integers(0, 2**64 - 1)
clocks = st.builds(CpuClock, aperf=counts, mperf=counts, tsc=counts)


def later(before: CpuClock, khz: int, busy_ns: int, elapsed_ns: int) -> CpuClock:
    """What the clocks show after a stretch in which the CPU ran at `khz` for `busy_ns`, and idled otherwise."""
    return CpuClock(
        aperf=before.aperf + khz * busy_ns // 1_000_000,
        mperf=before.mperf + NOMINAL_KHZ * busy_ns // 1_000_000,
        tsc=before.tsc + NOMINAL_KHZ * elapsed_ns // 1_000_000,
    )


@given(
    before=clocks,
    khz=st.integers(100_000, 8_000_000),
    elapsed_ns=st.integers(SECOND_NS // 20, 3600 * SECOND_NS),
    busy_pct=st.floats(0.1, 100),
)
def test_the_mean_is_of_the_time_that_was_not_idle(
    before: CpuClock, khz: int, elapsed_ns: int, busy_pct: float
) -> None:
    after = later(before, khz, round(elapsed_ns * busy_pct / 100), elapsed_ns)
    assert frequency_khz({3: before}, {3: after}, 3, elapsed_ns) == pytest.approx(khz, rel=1e-3)


@given(before=clocks, after=clocks, elapsed_ns=st.integers(-1, 3600 * SECOND_NS))
def test_no_two_readings_give_a_negative_frequency(
    before: CpuClock, after: CpuClock, elapsed_ns: int
) -> None:
    found = frequency_khz({0: before}, {0: after}, 0, elapsed_ns)
    assert isinstance(found, Missing) or found >= 0


@pytest.mark.parametrize("clock", frequency.CLOCKS)
def test_a_clock_that_went_back_gives_none(clock: str) -> None:
    before = CpuClock(aperf=10, mperf=10, tsc=10)
    after = replace(later(before, 3_000_000, SECOND_NS, SECOND_NS), **{clock: 9})
    assert isinstance(frequency_khz({0: before}, {0: after}, 0, SECOND_NS), Missing)


def test_an_idle_cpu_has_none() -> None:
    assert frequency_khz({0: CpuClock()}, {0: later(CpuClock(), 1, 0, SECOND_NS)}, 0, SECOND_NS) is IDLE


def test_a_cpu_that_came_or_went_within_the_window_has_none() -> None:
    one = {0: CpuClock(tsc=1)}
    for before, after in ((one, {}), ({}, one), (NO_CPUFREQ, one)):
        assert isinstance(frequency_khz(before, after, 0, SECOND_NS), Missing)


def test_what_a_driver_says_is_that_of_the_second_reading() -> None:
    before, after = ({0: CpuClock(current_khz=khz)} for khz in (800_000, 3_000_000))
    assert frequency_khz(before, after, 0, SECOND_NS) == 3_000_000


@given(khz=counts)
def test_the_reader_asks_the_driver_where_nothing_is_counted(
    tmp_path_factory: pytest.TempPathFactory, khz: int
) -> None:
    root = lay_out(tmp_path_factory.mktemp("root"), DRIVER.replace("800000", str(khz)))
    reader = FrequencyReader(root)
    assert reader.read() == {0: CpuClock(current_khz=khz)}
    reader.close()


def test_the_reader_says_that_there_is_no_driver(tmp_path: Path) -> None:
    assert FrequencyReader(tmp_path).read() is NO_CPUFREQ


class FakeCounters:
    """Counters that run on given CPUs, each at its own rate, and of which some are refused or gone."""

    def __init__(self, rates: dict[str, int], cpus: range) -> None:
        self.rates, self.cpus, self.now_s = rates, cpus, 0
        self.refused: set[str] = set()
        self.offline: set[int] = set()
        self.open: dict[int, tuple[str, int]] = {}
        self.started: set[int] = set()

    def open_per_cpu(self, event: PerfEvent, _cpus: range) -> dict[int, int] | Refusal:
        if event.name in self.refused:
            return Refusal("not-counted", "this CPU's PMU does not count it")
        opened = {cpu: os.open("/dev/null", os.O_RDONLY) for cpu in self.cpus}
        self.open |= {descriptor: (event.name, cpu) for cpu, descriptor in opened.items()}
        return opened

    def enable(self, descriptor: int) -> None:
        self.started.add(descriptor)

    def read(self, descriptor: int) -> Reading:
        name, cpu = self.open[descriptor]
        if cpu in self.offline:
            raise OSError("the kernel gave this event up")
        assert descriptor in self.started
        return Reading(self.rates[name] * self.now_s, self.now_s, self.now_s)

    def left_open(self) -> list[int]:
        return [descriptor for descriptor in self.open if Path(f"/proc/self/fd/{descriptor}").exists()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCounters]:
    """Half busy at 3 GHz on a TSC of 2 GHz."""
    made = FakeCounters({"aperf": 1_500_000_000, "mperf": 1_000_000_000, "tsc": 2_000_000_000}, range(2))
    for name in ("open_per_cpu", "enable", "read"):
        monkeypatch.setattr(perf_event, name, getattr(made, name))
    yield made
    assert made.left_open() == []


def test_counted_clocks_give_the_mean_of_each_cpu(tmp_path: Path, fake: FakeCounters) -> None:
    reader = FrequencyReader(lay_out(tmp_path, SOFTWARE_CLOCKS + DRIVER))
    before, fake.now_s = reader.read(), 7
    after = reader.read()
    assert [frequency_khz(before, after, cpu, 7 * SECOND_NS) for cpu in (0, 1)] == [3_000_000] * 2
    reader.close()
    reader.close()


def test_a_cpu_that_goes_offline_is_left_out_and_the_others_stay(tmp_path: Path, fake: FakeCounters) -> None:
    reader = FrequencyReader(lay_out(tmp_path, SOFTWARE_CLOCKS))
    fake.offline = {0}
    found = reader.read()
    assert not isinstance(found, Missing)
    assert list(found) == [1]
    reader.close()


def test_where_one_clock_is_refused_the_driver_is_asked(tmp_path: Path, fake: FakeCounters) -> None:
    fake.refused = {"tsc"}
    reader = FrequencyReader(lay_out(tmp_path, SOFTWARE_CLOCKS + DRIVER))
    assert fake.open
    assert fake.left_open() == []
    assert reader.read() == {0: CpuClock(current_khz=800_000)}


@pytest.mark.kernel
def test_clocks_that_all_tick_each_ns_run_at_1_ghz(tmp_path: Path) -> None:
    """The way from sysfs through perf_event_open(2), on an event whose rate is known."""
    reader = FrequencyReader(lay_out(tmp_path, SOFTWARE_CLOCKS))
    begin_ns, before, begun_ns = monotonic_ns(), reader.read(), monotonic_ns()
    sleep(0.2)
    end_ns, after, ended_ns = monotonic_ns(), reader.read(), monotonic_ns()
    reader.close()
    # Each clock grew by what passed between its own two readings: at least and at most so much of the whole.
    least = (end_ns - begun_ns) / (ended_ns - begin_ns) * (1 - CLOCKS_DIFFER)
    assert not isinstance(before, Missing)
    assert before.keys() == set(range(os.cpu_count() or 1))
    for cpu in before:
        khz = frequency_khz(before, after, cpu, ended_ns - begin_ns)
        assert not isinstance(khz, Missing)
        assert least**2 <= khz / 1_000_000 <= 1 / least
