"""What a victim did in a stretch of time, from windows built for it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.observation import (
    VictimSignals,
    bystanders_ns,
    fold_subtrees,
    is_idle,
    observe,
    owner_of,
    stretch,
    victim_signals,
)
from collectors.windows.figures import CgroupSignals, CpuSignals
from collectors.windows.sched import CpuWindow, SchedWindow, WaitFor
from collectors.windows.signals import HostSignals, SignalWindow
from tests.agent.analysis import trials
from tests.agent.analysis.trials import NS, OTHER, cgroup, trial

VICTIM, NEIGHBOUR = "/victim", "/neighbour"
POD, OTHER_POD = "/kubepods/a", "/kubepods/ab"
NOTHING: CgroupSignals = CgroupSignals(*[None] * len(CgroupSignals._fields))


def window(victim: CgroupSignals, *cpus: CpuSignals) -> SignalWindow:
    neighbour = NOTHING._replace(read_bytes=10, written_bytes=5)
    return SignalWindow(
        cgroups={VICTIM: victim, NEIGHBOUR: neighbour}, host=HostSignals(dict(enumerate(cpus)), {})
    )


def test_what_the_kernel_tells() -> None:
    victim = NOTHING._replace(throttled_own_ns=1, throttled_ancestors_ns=2, io_some_ns=3, memory_some_ns=4)
    victim = victim._replace(file_refaults=7, anon_refaults=8)
    cpus = (CpuSignals(5, 0, 0, 2_000_000), CpuSignals(6, 0, 0, 3_000_000))
    assert victim_signals(window(victim, *cpus), VICTIM, [NEIGHBOUR], frequency=True) == VictimSignals(
        throttled_own_ns=1,
        throttled_ancestors_ns=2,
        io_stalled_ns=3,
        memory_stalled_ns=4,
        refaulted_pages=15,
        steal_ns=11,
        frequency_khz=2_500_000.0,
        io_bytes={NEIGHBOUR: 15},
    )


def test_what_it_does_not_tell_is_unavailable() -> None:
    found = victim_signals(window(NOTHING, CpuSignals(None, None, None, None)), VICTIM, [], frequency=True)
    assert found == VictimSignals()
    assert victim_signals(window(NOTHING), "/elsewhere", [], frequency=True) == VictimSignals()


def test_a_frequency_of_the_moment_is_not_one_of_the_trial() -> None:
    cpus = CpuSignals(None, None, None, 800_000)
    assert victim_signals(window(NOTHING, cpus), VICTIM, [], frequency=False).frequency_khz is None


def test_the_stretch_is_1_when_it_never_waits_and_2_when_it_waits_as_long_as_it_runs() -> None:
    assert stretch(cgroup(3.0)) == 1
    assert stretch(cgroup(1.0, {NEIGHBOUR: 0.5}, throttled_s=0.5)) == 2


@pytest.mark.parametrize(("run_s", "says"), [(0.0, True), (0.01, True), (0.2, False)])
def test_a_cgroup_that_hardly_ran_is_idle(run_s: float, *, says: bool) -> None:
    assert is_idle(cgroup(run_s), 10.0) is says


def test_waits_for_parts_of_a_neighbour_are_charged_to_the_neighbour() -> None:
    victim = cgroup(1.0, {f"{POD}/x": 1.0, f"{POD}/y": 2.0, OTHER_POD: 4.0, OTHER: 8.0})
    assert fold_subtrees(victim, [POD, NEIGHBOUR]).waited_for == {
        POD: WaitFor(3 * NS, 2),
        OTHER_POD: WaitFor(4 * NS, 1),
        OTHER: WaitFor(8 * NS, 1),
    }


@pytest.mark.parametrize(
    ("path", "whole"), [(POD, POD), (f"{POD}/x/y", POD), (OTHER_POD, OTHER_POD), ("kernel", "kernel")]
)
def test_a_part_belongs_to_its_neighbour(path: str, whole: str) -> None:
    assert owner_of(path, [NEIGHBOUR, POD]) == whole


paths = st.sampled_from([POD, f"{POD}/x", OTHER_POD, OTHER, "kernel"])


@given(st.dictionaries(paths, st.floats(0, 100)))
def test_folding_loses_no_wait(waits_s: dict[str, float]) -> None:
    victim = cgroup(1.0, waits_s)
    after = fold_subtrees(victim, [POD])
    assert after.path == victim.path
    assert sum(wait.wait_ns for wait in after.waited_for.values()) == sum(
        wait.wait_ns for wait in victim.waited_for.values()
    )


def test_windows_of_a_recording_become_one_observation() -> None:
    first = trials.window(
        cgroup(0.5, {f"{POD}/x": 0.5}), cgroup(0.25, path=f"{POD}/x"), cgroup(0.125, path=OTHER)
    )
    second = trials.window(cgroup(0.25, {POD: 0.25}, path=f"{trials.VICTIM}/inner"), duration_s=3.0)
    seen = observe([first, second], trials.VICTIM, [POD])
    assert seen.duration_s == 4.0
    assert seen.sample.value == 2.0
    assert (seen.work, seen.spent_s) == (0.75, 1.5)
    assert {path: wait.wait_ns for path, wait in seen.victim.waited_for.items()} == {POD: 3 * NS // 4}
    assert seen.others_run_ns == {POD: NS // 4, OTHER: NS // 8}


def test_the_busiest_cpu_is_by_its_mean_over_all_windows() -> None:
    def ran(*ratios: float, duration_s: float) -> SchedWindow:
        cpus = tuple(CpuWindow(ratio, 0.0, 1) for ratio in ratios)
        return replace(trials.window(cgroup(0.5), duration_s=duration_s), cpus=cpus)

    seen = observe([ran(1.0, 0.5, duration_s=1), ran(0.2, 0.5, duration_s=3)], trials.VICTIM)
    assert seen.busiest_cpu == pytest.approx(0.5)
    changed = observe([ran(1.0, 0.5, duration_s=1), ran(0.2, duration_s=3)], trials.VICTIM)
    assert changed.busiest_cpu is None


def test_throttling_that_one_window_does_not_tell_of_is_not_known() -> None:
    told = replace(trials.window(cgroup(0.5)), signals=window(NOTHING))
    known = NOTHING._replace(throttled_own_ns=3, throttled_ancestors_ns=0)
    signals = SignalWindow(cgroups={trials.VICTIM: known}, host=HostSignals({}, {}))
    knows = replace(trials.window(cgroup(0.5)), signals=signals)
    assert observe([knows, knows], trials.VICTIM).signals.throttled_own_ns == 6
    assert observe([knows, told], trials.VICTIM).signals.throttled_own_ns is None
    assert observe([trials.window(cgroup(0.5))], trials.VICTIM).signals == VictimSignals()


def test_what_bystanders_took_of_the_time() -> None:
    """Two tasks for 1 s: 1.2 s on a CPU, 0.5 s behind a bystander, 0.3 s behind the neighbour."""
    waited = cgroup(1.2, {NEIGHBOUR: 0.3, OTHER: 0.4, "other": 0.1}, stolen_s=0.1)
    took_ns = bystanders_ns(waited, [NEIGHBOUR])
    assert took_ns == 0.4 * NS
    seen = trial(duration_s=1.0, victim=waited).seen
    assert seen.taken_ratio is None
    assert replace(seen, bystanders_ns=took_ns).taken_ratio == pytest.approx(0.4 / 2.0)
    stolen = replace(seen, bystanders_ns=took_ns, signals=VictimSignals(steal_ns=NS))
    assert stolen.taken_ratio == pytest.approx(0.5 / 2.0)
