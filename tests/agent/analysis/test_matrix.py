"""Who waited for whom."""

from dataclasses import replace

import pytest

from agent.analysis.matrix import EVERYONE_ELSE, MOST_OTHERS, wait_matrix
from agent.documents.verdict_parts import WaitMatrix
from collectors.windows.sched import KERNEL, CgroupWindow
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, VICTIM, cgroup, trial, window

NAMES = {NEIGHBOUR: "neighbour-1 spin"}


def matrix(*trials: tuple[CgroupWindow, ...]) -> WaitMatrix:
    made = [replace(trial(victim=cgroups[0]), window=window(*cgroups)) for cgroups in trials]
    return wait_matrix(made, NAMES)


def cells(found: WaitMatrix) -> dict[tuple[str, str], float]:
    return {
        (row, column): ms
        for row, waits in zip(found.waiting, found.wait_ms_per_trial, strict=True)
        for column, ms in zip(found.waited_for, waits, strict=True)
        if ms
    }


def test_every_wait_has_its_cell_in_a_mean_trial() -> None:
    victim = cgroup(1.0, {NEIGHBOUR: 0.4, KERNEL: 0.1}, self_s=0.2)
    neighbour = cgroup(1.0, {VICTIM: 0.3}, path=NEIGHBOUR)
    assert cells(matrix((victim, neighbour), (victim,))) == pytest.approx(
        {
            ("victim", "neighbour-1 spin"): 400,
            ("victim", "kernel"): 100,
            ("victim", "victim"): 200,
            ("neighbour-1 spin", "victim"): 150,
        }
    )


def test_what_is_below_a_neighbour_is_the_neighbour() -> None:
    victim = cgroup(1.0, {f"{NEIGHBOUR}/a": 0.1, f"{NEIGHBOUR}/b": 0.2})
    inner = cgroup(1.0, {f"{NEIGHBOUR}/b": 0.3}, path=f"{NEIGHBOUR}/a")
    assert cells(matrix((victim, inner))) == pytest.approx(
        {("victim", "neighbour-1 spin"): 300, ("neighbour-1 spin", "neighbour-1 spin"): 300}
    )


def test_those_beyond_the_largest_are_one_column() -> None:
    others = [cgroup(1.0, {VICTIM: 1.0 + n}, path=f"/other-{n}") for n in range(MOST_OTHERS + 2)]
    victim = cgroup(1.0, {other.path: 0.1 for other in others})
    found = matrix((victim, *others))
    assert len(found.waiting) == 2 + MOST_OTHERS
    assert cells(found)["victim", EVERYONE_ELSE] == pytest.approx(200)
    assert sum(ms for (row, _), ms in cells(found).items() if row == "victim") == pytest.approx(
        victim.wait_ns / 1e6
    )


def test_nobody_waited() -> None:
    found = matrix((cgroup(1.0),))
    assert found == WaitMatrix(("victim", "neighbour-1 spin"), (), ((), ()))


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="a row for each"):
        WaitMatrix(("a",), ("b",), ((1.0, 2.0),))


def test_cgroups_that_waited_for_nobody_are_not_listed() -> None:
    idle = cgroup(1.0, path=OTHER)
    assert "cron.service" not in matrix((cgroup(1.0, {NEIGHBOUR: 0.1}), idle)).waiting
