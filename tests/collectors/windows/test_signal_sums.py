"""Signals of windows added up to one: whoever summarises the sum finds what the windows themselves add up to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis import signal_summary
from collectors.host.workloads import identify
from collectors.windows.signal_sums import add_signals
from collectors.windows.signals import CacheSignals, CpuSignals, HostSignals, SignalWindow
from tests.agent.store.test_run_file import signals

recordings = st.lists(signals(["/a", "/b", "/c"]), min_size=1, max_size=5)


@given(recordings)
def test_the_sum_is_summarised_as_its_parts_are(parts: list[SignalWindow]) -> None:
    whole = [add_signals(parts)]
    for what in ("signal_summaries", "limits_cpus", "corun_partners", "absences"):
        assert getattr(signal_summary, what)(whole) == getattr(signal_summary, what)(parts)


@given(recordings)
def test_so_is_the_host_but_for_the_rounding_of_means(parts: list[SignalWindow]) -> None:
    whole, expected = signal_summary.host_summary([add_signals(parts)]), signal_summary.host_summary(parts)
    assert whole.pressure == expected.pressure
    for cpu, each in zip(whole.cpus, expected.cpus, strict=True):
        assert replace(cpu, frequency_mhz=None) == replace(each, frequency_mhz=None)
        assert cpu.frequency_mhz == pytest.approx(each.frequency_mhz, abs=0.001)
    for cache, one in zip(whole.caches, expected.caches, strict=True):
        assert replace(cache, occupancy_bytes=None) == replace(one, occupancy_bytes=None)
        assert cache.occupancy_bytes == pytest.approx(one.occupancy_bytes, abs=0.5)


def test_levels_are_means_of_the_windows_that_have_them() -> None:
    def host(khz: int | None, occupancy_bytes: int | None) -> SignalWindow:
        cache = CacheSignals(occupancy_bytes, 5, None)
        return SignalWindow({}, HostSignals({0: CpuSignals(1, 2, None, khz)}, {}, {"g": {0: cache}}))

    whole = add_signals([host(2_000_000, 10), host(None, None), host(3_000_000, 30)]).host
    assert whole.cpus == {0: CpuSignals(3, 6, None, 2_500_000)}
    assert whole.caches == {"g": {0: CacheSignals(20, 15, None)}}


def test_names_are_kept() -> None:
    parts = [SignalWindow({}, HostSignals({}, {}), names={path: identify(path)}) for path in ("/a", "/b")]
    assert add_signals(parts).names == {path: identify(path) for path in ("/a", "/b")}
