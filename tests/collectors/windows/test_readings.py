"""Readings as one: a window of them is the sum of theirs, also of cgroups that went in between."""

from functools import reduce
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collectors.windows import sched
from collectors.windows.readings import merged
from collectors.windows.sched import MOST_AGGRESSORS, SchedWindow
from collectors.windows.sums import add_windows
from probes.snapshot import SchedFigures, Snapshot
from tests.collectors.windows.readings import PATHS, readings


def seconds_of(found: list[Snapshot]) -> list[SchedWindow]:
    return [sched.window(before, after) for before, after in pairwise(found)]


@given(readings())
def test_a_window_of_several_readings_is_the_sum_of_theirs(found: list[Snapshot]) -> None:
    assert len(PATHS) <= MOST_AGGRESSORS  # all are told by name
    whole = sched.window(found[0], reduce(merged, found[1:]))
    parts = add_windows(seconds_of(found))
    assert whole.cgroups == parts.cgroups
    assert whole.disks == parts.disks
    assert whole.duration_ns == parts.duration_ns
    assert [cpu.switches for cpu in whole.cpus] == [cpu.switches for cpu in parts.cpus]
    assert whole.untracked == parts.untracked


@given(readings())
def test_it_is_no_matter_in_which_order_they_become_one(found: list[Snapshot]) -> None:
    first, *rest = found[1:]
    left = reduce(merged, rest, first)
    right = merged(first, reduce(merged, rest)) if rest else first
    assert sched.window(found[0], left) == sched.window(found[0], right)


def with_tasks(came: list[int], had: int, tasks: int) -> list[Snapshot]:
    """One cgroup with so many tasks at first, and so many that came in each second; `tasks`: at most, at the end."""
    found, newcomers = [], 0
    for second, more in enumerate([0, *came]):
        newcomers += more
        figures = SchedFigures._make((*(0,) * 14, newcomers, (0,) * 96))
        found.append(
            Snapshot(
                monotonic_ns=second * 10**9,
                cgroups={1: figures},
                waits={},
                cpus=(),
                paths={1: "/a"},
                untracked=0,
                tasks={1: max(had + more, tasks)} if second else {},
                reach_ns=10**9,
            )
        )
    return found


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 5))
def test_at_most_so_many_tasks_as_were_there_and_came(came: list[int], had: int) -> None:
    whole = reduce(merged, with_tasks(came, had, 0)[1:])
    assert whole.tasks == {1: had + sum(came)}
    assert whole.reach_ns == len(came) * 10**9
