"""Signals of windows added up to one."""

from collections.abc import Iterable, Sequence
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from collectors.host.workloads import identify
from collectors.windows.corun import Corun
from collectors.windows.figures import CacheSignals, CgroupSignals, CpuSignals
from collectors.windows.signals import Absence, HostSignals, SignalWindow, add_signals
from tests.agent.store.test_run_file import signals

recordings = st.lists(signals(["/a", "/b", "/c"]), min_size=1, max_size=5)


def known_sum(figures: Iterable[int | None]) -> int | None:
    """What the window of a whole has, in a loop of its own."""
    whole = None
    for figure in figures:
        if figure is not None:
            whole = figure + (whole or 0)
    return whole


@given(recordings)
def test_counters_are_summed_over_the_windows_that_have_them(parts: Sequence[SignalWindow]) -> None:
    whole = add_signals(parts)
    assert whole.cgroups.keys() == {path for part in parts for path in part.cgroups}
    for path, row in whole.cgroups.items():
        rows = [part.cgroups[path] for part in parts if path in part.cgroups]
        assert row.limit_cpus == rows[-1].limit_cpus
        for name in CgroupSignals._fields[1:]:
            assert getattr(row, name) == known_sum(getattr(each, name) for each in rows)
    for name, stalled in whole.host.pressure.items():
        assert stalled == known_sum(part.host.pressure.get(name) for part in parts)
    for cpu, taken in whole.host.cpus.items():
        assert taken.irq_ns == known_sum(
            part.host.cpus[cpu].irq_ns for part in parts if cpu in part.host.cpus
        )


@given(recordings)
def test_who_ran_beside_whom_and_what_was_counted_adds_up(parts: Sequence[SignalWindow]) -> None:
    whole = add_signals(parts)
    for path, partners in whole.coruns.items():
        for name, corun in partners.items():
            each = [part.coruns.get(path, {}).get(name, Corun(0, 0)) for part in parts]
            assert corun == Corun(sum(one.smt_ns for one in each), sum(one.llc_ns for one in each))
    for path, counts in whole.counters.items():
        for event, reading in counts.items():
            found = [part.counters.get(path, {}).get(event) for part in parts]
            assert reading.value == sum(one.value for one in found if one)


def test_levels_are_means_of_the_windows_that_have_them() -> None:
    def host(khz: int | None, occupancy_bytes: int | None) -> SignalWindow:
        cache = CacheSignals(occupancy_bytes, 5, None)
        return SignalWindow({}, HostSignals({0: CpuSignals(1, 2, None, khz)}, {}, {"g": {0: cache}}))

    whole = add_signals([host(2_000_000, 10), host(None, None), host(3_000_000, 30)]).host
    assert whole.cpus == {0: CpuSignals(3, 6, None, 2_500_000)}
    assert whole.caches == {"g": {0: CacheSignals(20, 15, None)}}


def test_the_limit_is_the_one_of_the_last_window() -> None:
    def limited(limit_cpus: float | None) -> SignalWindow:
        figures = dict.fromkeys(CgroupSignals._fields[1:], 1)
        return SignalWindow({"/a": CgroupSignals(limit_cpus=limit_cpus, **figures)}, HostSignals({}, {}))

    assert add_signals([limited(0.5), limited(inf)]).cgroups["/a"].limit_cpus == inf
    assert add_signals([limited(0.5), limited(None)]).cgroups["/a"].limit_cpus is None


def test_names_are_kept() -> None:
    parts = [SignalWindow({}, HostSignals({}, {}), names={path: identify(path)}) for path in ("/a", "/b")]
    assert add_signals(parts).names == {path: identify(path) for path in ("/a", "/b")}


def test_of_what_is_missing_the_first_reason_stands_for_all() -> None:
    parts = [
        SignalWindow({}, HostSignals({}, {}), missing={"reads": Absence(reason, count, None)})
        for reason, count in (("gone", 2), ("unreadable", 3))
    ]
    assert add_signals(parts).missing == {"reads": Absence("gone", 5, None)}
