"""What is read of the victim after a trial, from windows built for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import DURATION, STRETCH
from agent.experiment.victim import fold_subtrees, idle, owner_of, samples_of, stretch
from agent.experiment.victim_metrics import parse_spec
from collectors.windows.sched import WaitFor
from tests.agent.analysis.trials import NEIGHBOUR, NS, OTHER, VICTIM, cgroup

POD, OTHER_POD = "/kubepods/a", "/kubepods/ab"


def test_the_stretch_is_1_when_it_never_waits_and_2_when_it_waits_as_long_as_it_runs() -> None:
    assert stretch(cgroup(3.0)) == 1
    assert stretch(cgroup(1.0, {NEIGHBOUR: 0.5}, throttled_s=0.5)) == 2


def test_duration_and_stretch_need_no_output() -> None:
    specs = [parse_spec("stretch"), parse_spec("duration")]
    samples = samples_of(specs, 7.0, cgroup(1.0, {NEIGHBOUR: 2.0}), ())
    assert [(sample.metric, sample.value) for sample in samples] == [(STRETCH, 3.0), (DURATION, 7.0)]


@pytest.mark.parametrize(("run_s", "says"), [(0.0, True), (0.01, True), (0.2, False)])
def test_a_cgroup_that_hardly_ran_is_idle(run_s: float, *, says: bool) -> None:
    assert (idle(cgroup(run_s), 10.0) is not None) is says


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
    assert after.path == VICTIM
    assert sum(wait.wait_ns for wait in after.waited_for.values()) == sum(
        wait.wait_ns for wait in victim.waited_for.values()
    )
