"""What the charts of a recording show, from windows whose figures are known."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from agent.analysis.summarise import (
    EVERYONE_ELSE,
    MOST_CGROUPS,
    MOST_POINTS,
    NOBODY,
    OWN_THREADS,
    QUOTA,
    distinct,
    run_details,
    waits_by_moment,
)
from agent.documents.summary import MOST_WAITED_FOR, Moment, RunDetails, WaitedFor
from collectors.windows.sched import KERNEL, REST, SchedWindow, totals
from tests.agent.analysis.trials import NS, cgroup, window

VICTIM, BATCH = "/jobs/victim", "/jobs/batch"


def recorded(*windows: SchedWindow) -> list[SchedWindow]:
    """One after the other, each a second long, from a point in time on."""
    return [replace(each, end_ns=(100 + number) * NS) for number, each in enumerate(windows, 1)]


def details(run: Sequence[SchedWindow]) -> RunDetails:
    whole = totals(run)
    longest_first = sorted(whole, key=lambda path: -whole[path].wait_ns)
    return run_details(run, whole, {path: path.rpartition("/")[2] for path in longest_first})


def test_the_time_line_has_the_mean_number_waiting_in_each_window() -> None:
    made = details(
        recorded(
            window(cgroup(waits_s={BATCH: 0.5}, path=VICTIM)),
            window(cgroup(waits_s={BATCH: 2.0}, throttled_s=0.75, path=VICTIM), cgroup(1.0, path=BATCH)),
            window(cgroup(1.0, path=BATCH)),
        )
    )
    assert made.moments == (Moment(0.0, 1.0), Moment(1.0, 2.0), Moment(2.0, 3.0))
    assert [(each.name, each.mean_waiting) for each in made.over_time] == [("victim", (0.5, 2.0, 0.0))]


def test_a_long_recording_has_points_of_several_windows() -> None:
    waits_s = [0.25, 0.75] * MOST_POINTS
    made = details(recorded(*(window(cgroup(waits_s={BATCH: wait_s}, path=VICTIM)) for wait_s in waits_s)))
    assert len(made.moments) == MOST_POINTS
    assert made.moments[1] == Moment(2.0, 4.0)
    assert made.over_time[0].mean_waiting == pytest.approx((0.5,) * MOST_POINTS)


def test_whom_a_cgroup_waited_for_adds_up_over_the_moments() -> None:
    waits_s = {BATCH: 3.0, KERNEL: 0.5, **{f"/other/{n}": 0.01 * (n + 1) for n in range(8)}}
    run = recorded(
        window(cgroup(waits_s=waits_s, self_s=0.25, path=VICTIM), cgroup(1.0, path=BATCH)),
        window(cgroup(1.0, path=BATCH)),
        window(cgroup(waits_s={BATCH: 0.5}, throttled_s=0.75, unattributed_s=0.125, path=VICTIM)),
    )
    whole = totals(run)
    (victim,) = waits_by_moment(run, whole, {VICTIM: "victim", BATCH: "batch"}).cgroups
    assert [each.name for each in victim.waited_for[:2]] == ["batch", KERNEL]
    assert victim.waited_for[0].wait_ns == (3 * NS, 0, NS // 2)
    assert len(victim.waited_for) == MOST_WAITED_FOR + 4
    assert victim.waited_for[MOST_WAITED_FOR:] == (
        WaitedFor(OWN_THREADS, (NS // 4, 0, 0)),
        WaitedFor(QUOTA, (0, 0, NS * 3 // 4)),
        WaitedFor(EVERYONE_ELSE, (NS * 15 // 100, 0, 0)),
        WaitedFor(NOBODY, (0, 0, NS // 8)),
    )
    assert sum(sum(each.wait_ns) for each in victim.waited_for) == whole[VICTIM].wait_ns


def test_who_waited_for_whom_adds_up_to_what_each_waited_behind_somebody() -> None:
    waits_s = {BATCH: 3.0, KERNEL: 0.5, REST: 9.0, **{f"/other/{n}": 0.01 * (n + 1) for n in range(8)}}
    made = details(
        recorded(
            window(
                cgroup(waits_s=waits_s, self_s=0.25, path=VICTIM),
                cgroup(waits_s={VICTIM: 1.0}, path=BATCH),
            )
        )
    ).matrix
    assert made.waiting == ("victim", "batch")
    assert made.waited_for[:4] == ("batch", "victim", KERNEL, "/other/7")
    assert made.waited_for[-1] == EVERYONE_ELSE
    assert len(made.waited_for) == MOST_CGROUPS + 1
    first, second = made.wait_ns
    assert first[:3] == (3 * NS, NS // 4, NS // 2)
    assert sum(first) == round((sum(waits_s.values()) + 0.25) * NS)
    assert second == (0, NS, *([0] * (len(second) - 2)))


def test_only_those_that_waited_longest_are_shown() -> None:
    cgroups = [cgroup(waits_s={BATCH: 1.0 + n}, path=f"/jobs/{n}") for n in range(9)]
    made = details(recorded(window(*cgroups, cgroup(1.0, path=BATCH))))
    assert [each.name for each in made.by_length] == ["8", "7", "6", "5", "4", "3"]


def test_the_waits_are_those_of_all_windows() -> None:
    waited = cgroup(waits_s={BATCH: 1.0}, path=VICTIM)
    waited = replace(waited, histogram=(1, 2, 3, *waited.histogram[3:]))
    made = details(recorded(window(waited), window(waited)))
    assert made.edges_ns[:3] == (256.0, 512.0, 1024.0)
    assert made.by_length[0].waits[:3] == (2, 4, 6)
    assert len(made.by_length[0].waits) == len(made.edges_ns)


def test_nobody_waited() -> None:
    assert details([]) == structs.replace(details(recorded(window(cgroup(1.0)))), moments=())


def test_cgroups_of_one_name_are_told_apart_by_their_paths() -> None:
    assert distinct({"/a/x": "x", "/b/x": "x", "/b/y": "y"}) == {"/a/x": "/a/x", "/b/x": "/b/x", "/b/y": "y"}
