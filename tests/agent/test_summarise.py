"""From windows to the summary of a recording."""

import pytest

from agent.runfile import Notes, Run, pack
from agent.summarise import summarise
from agent.verdict import SelfCost
from collectors.sched import CgroupWindow
from probes.errors import UsageError
from tests.agent.experiment.trials import NEIGHBOUR, OTHER, cgroup, window
from tests.agent.summaries import HOST


def run(*cgroups: CgroupWindow, windows: int = 2, partial: bool = False, **meta: str) -> Run:
    return Run({"host": pack(HOST), **meta}, (window(*cgroups),) * windows, partial)


def test_times_add_up_and_the_longest_wait_comes_first() -> None:
    summary = summarise(
        run(cgroup(0.5, path="/a/quiet"), cgroup(0.2, {NEIGHBOUR: 0.3, OTHER: 0.1}, path="/b"))
    )
    assert summary.duration_s == 2.0
    assert [each.name for each in summary.cgroups] == ["b", "quiet"]
    first = summary.cgroups[0]
    assert (first.run_ns, first.wait_ns) == (400_000_000, 800_000_000)
    assert (first.mean_running, first.mean_waiting) == pytest.approx((0.2, 0.4))
    assert [wait.name for wait in first.wait_by] == [NEIGHBOUR, OTHER]


def test_what_throttled_tasks_waited_is_no_queue() -> None:
    assert summarise(run(cgroup(0.5, throttled_s=0.5))).cgroups[0].mean_waiting == 0


def test_what_is_unavailable_has_a_reason() -> None:
    summary = summarise(run(cgroup(1.0)))
    assert summary.cgroups[0].wait_p99_ns is None
    assert summary.unavailable.keys() >= {"wait_p99_ns", "self_cost.cpu_pct"}


def test_the_cost_and_the_warnings_are_those_that_were_written_down() -> None:
    cost = SelfCost(200.0, 1000.0, 0.1)
    summary = summarise(run(cgroup(1.0), self_cost=pack(cost), notes=pack(Notes(("blame was left out",)))))
    assert summary.self_cost == cost
    assert summary.warnings == ("blame was left out",)


@pytest.mark.parametrize("windows", [0, 1])
def test_an_empty_recording_says_why(windows: int) -> None:
    assert summarise(run(windows=windows)).warnings == ("nothing was recorded",)
    assert "no cgroup that ran matches /x*, y" in summarise(run(windows=windows, globs="/x*, y")).warnings[0]


def test_a_recording_without_a_host_is_damaged() -> None:
    with pytest.raises(UsageError, match="host"):
        summarise(Run({}, (), partial=False))
