import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing
from collectors.sources import counting
from collectors.sources.capabilities import Capability
from collectors.windows import counters
from collectors.windows.counters import figures, grown, running_ratio, scaled
from collectors.windows.figures import CounterFigures, add_counts
from probes.perf_event import (
    BRANCH_MISSES,
    CYCLES,
    DTLB_LOAD_MISSES,
    INSTRUCTIONS,
    ITLB_LOAD_MISSES,
    LLC_LOAD_MISSES,
    NO_PMU,
    Reading,
    Refusal,
)
from probes.snapshot import Snapshot

SECOND = 1_000_000_000
NO_PMU_HERE = Missing(NO_PMU.reason, NO_PMU.remedy)
NOT_COUNTED = Refusal("not-counted", "this CPU's PMU does not count it")

times = st.integers(0, 10**18)
readings = st.builds(Reading, value=times, enabled_ns=times, running_ns=times)


def full(value: int) -> Reading:
    return Reading(value, SECOND, SECOND)


def part(value: int, ratio: float) -> Reading:
    return Reading(value, SECOND, round(SECOND * ratio))


ALL_COUNTED = {
    "instructions": full(2_000_000),
    "cycles": full(1_000_000),
    "LLC-load-misses": full(4_000),
    "dTLB-load-misses": full(200),
    "iTLB-load-misses": full(20),
    "branch-misses": full(10_000),
}


def snapshot(
    counted: dict[int, dict[str, Reading]],
    paths: dict[int, str] | None = None,
    uncounted: dict[str, Refusal] | None = None,
) -> Snapshot:
    return Snapshot(
        monotonic_ns=0,
        cgroups={},
        waits={},
        cpus=(),
        paths=paths or {key: f"/{key}" for key in counted},
        untracked=0,
        counters=counted,
        uncounted=uncounted or {},
    )


def test_figures_of_counters_that_always_ran() -> None:
    assert figures(ALL_COUNTED) == CounterFigures(
        instructions=2_000_000,
        cycles=1_000_000,
        ipc=2.0,
        llc_misses=2.0,
        dtlb_misses=0.1,
        itlb_misses=0.01,
        branch_misses=5.0,
        running_ratio=1.0,
    )


def test_counters_that_took_turns_are_scaled_and_the_ratio_is_shown() -> None:
    found = figures(
        {**ALL_COUNTED, "instructions": part(1_800_000, 0.9), "LLC-load-misses": part(3_200, 0.8)}
    )
    assert found.instructions == 2_000_000
    assert found.ipc == pytest.approx(2.0)
    assert found.llc_misses == pytest.approx(2.0)
    assert found.running_ratio == 0.8


def test_below_the_least_ratio_counts_are_shown_and_nothing_is_derived() -> None:
    found = figures({**ALL_COUNTED, "cycles": part(790_000, 0.79)})
    assert found.cycles == 1_000_000
    assert isinstance(found.ipc, Missing)
    assert "79%" in found.ipc.reason
    assert found.llc_misses == 2.0  # of instructions, which ran all the time
    assert found.running_ratio == 0.79


def test_an_event_that_never_got_a_register_is_missing_not_0() -> None:
    found = figures({**ALL_COUNTED, "branch-misses": Reading(0, SECOND, 0)})
    assert isinstance(found.branch_misses, Missing)
    assert found.running_ratio == 0.0
    assert found.ipc == 2.0


def test_without_instructions_there_is_no_rate() -> None:
    found = figures({**ALL_COUNTED, "instructions": full(0)})
    assert isinstance(found.llc_misses, Missing)
    assert found.ipc == 0.0


@given(readings)
def test_a_ratio_is_between_0_and_1_and_scaling_never_shrinks_a_count(reading: Reading) -> None:
    assert 0.0 <= running_ratio(reading) <= 1.0
    value = scaled(reading)
    assert isinstance(value, Missing) or value >= reading.value * (1 - 1e-9)


@given(st.lists(readings, min_size=12, max_size=12))
def test_no_figure_of_any_two_snapshots_is_negative(drawn: list[Reading]) -> None:
    before, after = (
        snapshot({1: dict(zip(ALL_COUNTED, half, strict=True))}) for half in (drawn[:6], drawn[6:])
    )
    for counts in grown(before, after).values():
        found = figures(counts)
        for value in found:
            assert isinstance(value, Missing) or value >= 0


def test_a_window_is_the_difference_of_its_snapshots() -> None:
    before = snapshot({1: {name: full(7) for name in ALL_COUNTED}})
    after = snapshot(
        {1: {name: Reading(r.value + 7, 2 * SECOND, 2 * SECOND) for name, r in ALL_COUNTED.items()}}
    )
    assert grown(before, after) == {"/1": ALL_COUNTED}


def test_a_new_cgroup_counts_from_0_and_an_idle_one_is_left_out() -> None:
    idle = {2: {name: full(5) for name in ALL_COUNTED}}
    found = grown(snapshot(idle), snapshot({1: ALL_COUNTED, **idle}))
    assert found == {"/1": ALL_COUNTED}


def test_two_hierarchies_with_one_path_are_shown_as_one() -> None:
    both = snapshot({1: ALL_COUNTED, 2: ALL_COUNTED}, paths={1: "/a", 2: "/a"})
    found = figures(grown(snapshot({}), both)["/a"])
    assert (found.instructions, found.ipc) == (4_000_000, 2.0)


def test_figures_of_a_stretch_are_those_of_its_sum() -> None:
    half = {name: Reading(r.value // 2, SECOND // 2, SECOND // 2) for name, r in ALL_COUNTED.items()}
    assert add_counts((half, half)) == ALL_COUNTED
    assert add_counts(()) == {}


def test_without_a_pmu_every_figure_says_so() -> None:
    found = figures(dict.fromkeys((event.name for event in counters.WANTED), NO_PMU_HERE))
    assert set(found) == {NO_PMU_HERE}


def test_one_event_that_is_not_counted_takes_nothing_else_away() -> None:
    refused = Missing(NOT_COUNTED.reason)
    found = figures({**ALL_COUNTED, "LLC-load-misses": refused})
    assert found.llc_misses == refused
    assert (found.ipc, found.branch_misses) == (2.0, 5.0)


def test_signals_where_all_is_counted() -> None:
    states = {signal.name: signal.state for signal in counting.capabilities(dict.fromkeys(counters.WANTED))}
    assert states == {counting.IPC: "available", counting.MISS_RATES: "available"}


def test_signals_without_a_pmu() -> None:
    found = counting.capabilities(dict.fromkeys(counters.WANTED, NO_PMU))
    assert found == [
        Capability(name, "missing", NO_PMU.reason, NO_PMU.remedy)
        for name in (counting.IPC, counting.MISS_RATES)
    ]


def test_signals_where_some_misses_are_not_counted() -> None:
    refusals = {
        CYCLES: None,
        INSTRUCTIONS: None,
        LLC_LOAD_MISSES: NOT_COUNTED,
        DTLB_LOAD_MISSES: None,
        ITLB_LOAD_MISSES: NOT_COUNTED,
        BRANCH_MISSES: None,
    }
    ipc, misses = counting.capabilities(refusals)
    assert ipc.state == "available"
    assert misses.state == "degraded"
    assert "LLC-load-misses, iTLB-load-misses" in misses.reason


def test_this_host_has_a_state_and_a_reason_for_each() -> None:
    for signal in counting.capabilities():
        assert signal.state in {"available", "degraded", "missing"}
        assert signal.reason
