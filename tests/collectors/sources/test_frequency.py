from pathlib import Path

import pytest

from collectors.host.readings import Missing
from collectors.sources.frequency import NO_CPUFREQ, MsrPmu, read_frequencies, read_msr_pmu
from tests.collectors.tree import lay_out

CPU0 = "=== sys/devices/system/cpu/cpu0/cpufreq"
MSR = "=== sys/bus/event_source/devices/msr"


def test_cpus_with_a_policy(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        f"{CPU0}/scaling_cur_freq\n2899998\n{CPU0}/scaling_max_freq\n3000000\n"
        "=== sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq\n800000\n"
        "=== sys/devices/system/cpu/cpu2/topology/core_id\n1\n"
        "=== sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq\n1\n",
    )
    assert read_frequencies(tmp_path) == {0: 2899998, 10: 800000}


@pytest.mark.parametrize("text", ["<unknown>\n", "-1\n", "", "\0\n"])
def test_a_frequency_that_the_driver_does_not_know(tmp_path: Path, text: str) -> None:
    frequencies = read_frequencies(lay_out(tmp_path, f"{CPU0}/scaling_cur_freq\n{text}"))
    assert isinstance(frequencies, dict)
    assert isinstance(frequencies[0], Missing)


def test_no_driver(tmp_path: Path) -> None:
    assert read_frequencies(tmp_path) == NO_CPUFREQ


def test_the_msr_pmu(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        f"{MSR}/type\n9\n{MSR}/events/tsc\nevent=0x00\n{MSR}/events/aperf\nevent=0x01\n{MSR}/events/mperf\nevent=0x02\n"
        f"{MSR}/events/cpu_thermal_margin\nevent=0x06\n{MSR}/events/cpu_thermal_margin.unit\nC\n",
    )
    pmu = read_msr_pmu(tmp_path)
    assert pmu == MsrPmu(9, {"tsc": 0, "aperf": 1, "mperf": 2, "cpu_thermal_margin": 6})
    assert pmu.has_aperf_mperf


@pytest.mark.parametrize(
    "event", ["event=1\n", "event=0x\n", "config=0x01\n", "event=0x01,umask=0x02\n", "", "\0"]
)
def test_an_event_that_cannot_be_parsed_is_not_offered(tmp_path: Path, event: str) -> None:
    pmu = read_msr_pmu(
        lay_out(
            tmp_path,
            f"{MSR}/type\n9\n{MSR}/events/mperf\nevent=0x02\n{MSR}/events/tsc\nevent=0x00\n{MSR}/events/aperf\n{event}",
        )
    )
    assert pmu == MsrPmu(9, {"mperf": 2, "tsc": 0})
    assert not pmu.has_aperf_mperf


@pytest.mark.parametrize("text", ["", "-1\n", "x\n"])
def test_no_msr_pmu(tmp_path: Path, text: str) -> None:
    assert isinstance(read_msr_pmu(tmp_path), Missing)
    assert isinstance(read_msr_pmu(lay_out(tmp_path, f"{MSR}/type\n{text}")), Missing)
