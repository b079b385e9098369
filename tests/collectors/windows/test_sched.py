"""Windows of snapshots: no negatives, sums preserved, a subtree's inner waits its own."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collectors.host.hierarchy import is_within
from collectors.windows import sched
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import KERNEL, CgroupWindow, WaitFor
from probes.layout import FIELDS, KEY_V1
from probes.snapshot import KEY_OTHER, CpuFigures, SchedFigures, Snapshot, Wait
from tests.agent.analysis.trials import cgroup

NR = len(EDGES_NS)
PATHS = {1: "/a", 2: "/a/x", 3: "/ab", KEY_V1 | 1: "/a", KEY_V1 | 4: "/", KEY_OTHER: "other"}
KEYS = sorted(PATHS)
AGGRESSORS = {key: f"/aggressor-{key}" for key in range(10, 61)}
AMOUNT = st.integers(0, 1 << 50)


def waits_of(pairs: dict[tuple[int, int], tuple[int, int]]) -> dict[int, list[Wait]]:
    """From (wait_ns, preemptions) by (victim, aggressor)."""
    found: dict[int, list[Wait]] = {}
    for (victim, aggressor), pair in pairs.items():
        found.setdefault(victim, []).append((*pair, aggressor))
    return found


@st.composite
def figures(draw: st.DrawFn) -> SchedFigures:
    named = {name: draw(AMOUNT) for name in FIELDS}
    return SchedFigures(**named, histogram=tuple(draw(st.integers(0, 9)) for _ in range(3)) + (0,) * (NR - 3))


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True))
    pairs = draw(st.dictionaries(st.tuples(*[st.sampled_from(KEYS)] * 2), st.tuples(AMOUNT, AMOUNT)))
    return Snapshot(
        monotonic_ns=draw(AMOUNT),
        cgroups={key: draw(figures()) for key in keys},
        waits=waits_of(pairs),
        cpus=(CpuFigures(draw(AMOUNT), draw(AMOUNT), draw(AMOUNT)),),
        paths=PATHS,
        untracked=draw(st.integers(0, 5)),
    )


@st.composite
def possible(draw: st.DrawFn) -> tuple[Snapshot, Snapshot]:
    """Two readings of one source that knows how many tasks there were, and may be wrong about all else."""
    before, after = draw(snapshots()), draw(snapshots())
    tasks = draw(st.dictionaries(st.sampled_from(KEYS), st.integers(0, 3)))
    return before, replace(after, tasks=tasks, reach_ns=draw(AMOUNT))


@given(possible())
def test_no_row_says_more_than_tasks_times_the_window(readings: tuple[Snapshot, Snapshot]) -> None:
    before, after = readings
    after = replace(after, paths={key: f"/{key}" for key in KEYS})
    window = sched.window(before, after)
    told = {key: window.cgroups.get(f"/{key}") for key in KEYS}
    for key, row in told.items():
        if row and key in after.tasks and after.reach_ns + 20_000_000 >= window.duration_ns:
            most_ns = max(1, after.tasks[key]) * (after.reach_ns + 20_000_000)
            assert row.run_ns + row.wait_ns <= most_ns
    free = [sched.window(before, replace(after, tasks={})).cgroups.get(f"/{key}") for key in KEYS]
    assert window.impossible == sum(
        a is not None and told[key] is None for key, a in zip(KEYS, free, strict=True)
    )


def test_a_window_over_several_readings_may_tell_of_all_of_it() -> None:
    """A trial below the eBPF tier: read every 50 ms, told from its begin to its end, when its tasks have ended."""
    ran = NOTHING_YET._replace(run_ns=900_000_000)
    after = replace(empty(500_000_000), cgroups={1: ran}, tasks={1: 0}, reach_ns=50_000_000)
    assert sched.window(empty(), after).cgroups["/a"].run_ns == 900_000_000
    assert sched.window(empty(), replace(after, reach_ns=500_000_000)).impossible == 1


def empty(monotonic_ns: int = 0) -> Snapshot:
    return Snapshot(monotonic_ns, {}, {}, (CpuFigures(0, 0, 0),), PATHS, 0)


def numbers(cgroup: CgroupWindow) -> list[int]:
    own = [getattr(cgroup, name) for name in sched._SUMMED]
    waits = [n for wait in cgroup.waited_for.values() for n in (wait.wait_ns, wait.preemptions)]
    return [*own, *cgroup.histogram, *waits]


@given(snapshots(), snapshots())
def test_no_figure_is_ever_negative(before: Snapshot, after: Snapshot) -> None:
    window = sched.window(before, after)
    assert window.duration_ns > 0
    assert all(number >= 0 for cgroup in window.cgroups.values() for number in numbers(cgroup))
    assert all(cpu.running >= 0 and cpu.waiting >= 0 and cpu.switches >= 0 for cpu in window.cpus)


@given(snapshots())
def test_a_window_from_the_beginning_holds_all_there_is(after: Snapshot) -> None:
    window = sched.window(empty(), after)
    busy = [f for f in after.cgroups.values() if f.run_ns or f.wait_ns or f.switches_in]
    assert sum(c.run_ns for c in window.cgroups.values()) == sum(f.run_ns for f in busy)
    assert sum(c.wakeup_ns for c in window.cgroups.values()) == sum(f.wakeup_ns for f in busy)
    assert sum(c.sampled_ns for c in window.cgroups.values()) == sum(f.sampled_ns for f in busy)
    unattributed_ns = sum(f.unattributed_ns for f in busy)
    assert sum(c.unattributed_ns for c in window.cgroups.values()) == unattributed_ns
    assert set(window.cgroups) == {PATHS[key] for key, f in after.cgroups.items() if f in busy}


@given(snapshots())
def test_nothing_happened_between_a_snapshot_and_itself(snapshot: Snapshot) -> None:
    assert sched.window(snapshot, snapshot).cgroups == {}


NOTHING_YET = SchedFigures(**dict.fromkeys(FIELDS, 0), histogram=(0,) * NR)


@given(st.dictionaries(st.integers(10, 60), st.tuples(AMOUNT, st.integers(0, 1 << 20))))
def test_the_heaviest_are_named_and_the_others_are_the_rest(aggressors: dict[int, tuple[int, int]]) -> None:
    after = replace(
        empty(1),
        waits=waits_of({(1, key): wait for key, wait in aggressors.items()}),
        cgroups={1: NOTHING_YET._replace(switches_in=1)},
        paths=PATHS | AGGRESSORS,
    )
    waited_for = dict(sched.window(empty(), after).cgroups["/a"].waited_for)
    rest = waited_for.pop(sched.REST, WaitFor(0, 0))
    assert len(waited_for) == min(len(aggressors), sched.MOST_AGGRESSORS)
    assert waited_for.items() <= {AGGRESSORS[key]: WaitFor(*wait) for key, wait in aggressors.items()}.items()
    left_out = [wait for key, wait in aggressors.items() if AGGRESSORS[key] not in waited_for]
    assert rest == (sum(ns for ns, _ in left_out), sum(count for _, count in left_out))
    assert not left_out or max(left_out)[0] <= min(waited_for.values())[0]


def test_of_the_lightest_those_of_one_tenant_are_told_as_that_tenant() -> None:
    """However many single ones are heavier; in the victim's own tenant, each branch beside it is one."""
    singles = [(f"/single-{n}", 100) for n in range(45)]
    light = [
        ("/t/v/own", 5),
        ("/t", 4),
        ("/t/w/a", 3),
        ("/t/w/b", 3),
        ("/u/a", 2),
        ("/u/b/c", 2),
        ("/t/x", 1),
    ]
    paths = {number: path for number, (path, _) in enumerate([*singles, *light], start=2)}
    after = replace(
        empty(1),
        waits=waits_of({(1, key): (ns, 1) for key, (_, ns) in enumerate([*singles, *light], start=2)}),
        cgroups={1: NOTHING_YET._replace(switches_in=1)},
        paths={**paths, 1: "/t/v"},
    )
    waited_for = dict(sched.window(empty(), after).cgroups["/t/v"].waited_for)
    told = {name: wait for name, wait in waited_for.items() if not name.startswith("/single-")}
    assert told == {"/t/w": (6, 2), "/u": (4, 2), sched.REST: (25 * 100 + 5 + 4 + 1, 25 + 3)}
    assert len(waited_for) == sched.MOST_AGGRESSORS + 3


def test_no_waits_are_lost_between_snapshots_that_do_not_follow_one_another() -> None:
    with pytest.raises(ValueError, match="and the next one"):
        sched.window(empty(1), replace(empty(3), waits_since_ns=2))


def cgroup_window(path: str, run_ns: int, self_ns: int, waits: dict[str, WaitFor]) -> CgroupWindow:
    foreign = sum(wait.preemptions for wait in waits.values())
    return CgroupWindow(
        path=path,
        run_ns=run_ns,
        wait_ns=self_ns + sum(wait.wait_ns for wait in waits.values()),
        self_ns=self_ns,
        wakeup_ns=0,
        throttled_ns=0,
        unattributed_ns=0,
        preempt_wait_ns=0,
        stolen_ns=0,
        switches=foreign,
        preempted_own=0,
        preempted_foreign=foreign,
        preempted_throttled=0,
        sampled_ns=0,
        histogram=(0,) * NR,
        waited_for=waits,
    )


NAMES = st.sampled_from(["/", "/a", "/a/x", "/a/y", "/ab", "kernel", "other"])
WAITS = st.dictionaries(NAMES, st.builds(WaitFor, st.integers(0, 1000), st.integers(0, 9)))
PARTS = st.dictionaries(NAMES, st.tuples(st.integers(0, 1000), st.integers(0, 1000), WAITS))


def built(parts: dict[str, tuple[int, int, dict[str, WaitFor]]]) -> dict[str, CgroupWindow]:
    return {path: cgroup_window(path, *part) for path, part in parts.items()}


@given(PARTS, NAMES)
def test_a_subtree_keeps_every_sum_and_waits_for_outsiders_only(
    parts: dict[str, tuple[int, int, dict[str, WaitFor]]], path: str
) -> None:
    windows = built(parts)
    whole = sched.subtree(windows, path)
    inside = [cgroup for name, cgroup in windows.items() if is_within(name, path)]
    assert whole.run_ns == sum(cgroup.run_ns for cgroup in inside)
    assert whole.wait_ns == sum(cgroup.wait_ns for cgroup in inside)
    assert whole.wait_ns == whole.self_ns + sum(wait.wait_ns for wait in whole.waited_for.values())
    assert whole.preempted_foreign == sum(wait.preemptions for wait in whole.waited_for.values())
    assert whole.preempted_own + whole.preempted_foreign == sum(c.preempted_foreign for c in inside)
    assert not any(is_within(name, path) for name in whole.waited_for)


@given(PARTS)
def test_adding_in_two_steps_is_adding_in_one(
    parts: dict[str, tuple[int, int, dict[str, WaitFor]]],
) -> None:
    windows = list(built(parts).values())
    half = len(windows) // 2
    steps = [sched.add("sum", windows[:half]), sched.add("sum", windows[half:])]
    assert sched.add("sum", steps) == sched.add("sum", windows)


@given(figures(), figures())
def test_a_v1_and_a_v2_cgroup_of_one_path_are_one(v1: SchedFigures, v2: SchedFigures) -> None:
    after = Snapshot(
        monotonic_ns=1,
        cgroups={1: v2, KEY_V1 | 1: v1},
        waits=waits_of({(1, 3): (5, 1), (KEY_V1 | 1, 3): (6, 2)}),
        cpus=(CpuFigures(0, 0, 0),),
        paths=PATHS,
        untracked=0,
    )
    window = sched.window(empty(), after)
    assume(all(f.run_ns or f.wait_ns or f.switches_in for f in (v1, v2)))
    assert list(window.cgroups) == ["/a"]
    assert window.cgroups["/a"].run_ns == v1.run_ns + v2.run_ns
    assert window.cgroups["/a"].waited_for["/ab"] == WaitFor(11, 3)
    assert window.cgroups["/a"].histogram[:3] == tuple(
        a + b for a, b in zip(v1.histogram[:3], v2.histogram[:3], strict=True)
    )


def test_littles_law() -> None:
    before = empty(1_000)
    after = Snapshot(2_001_000, {}, {}, (CpuFigures(1_000_000, 5_000_000, 42),), PATHS, 0)
    (cpu,) = sched.window(before, after).cpus
    assert (cpu.running, cpu.waiting, cpu.switches) == (0.5, 2.5, 42)


def test_only_matching_cgroups_are_kept() -> None:
    cgroups = {path: sched.add(path, []) for path in ("/a", "/a/x", "/b")}
    both = sched.SchedWindow(end_ns=1, duration_ns=1, cgroups=cgroups, cpus=(), untracked=0)
    assert list(sched.matching(both, ["/a", "/c"]).cgroups) == ["/a", "/a/x"]
    assert sched.matching(both, []) is both


def test_the_contention_ratio_is_of_what_a_cgroup_wanted_and_no_quota_forbade() -> None:
    assert cgroup(2.0, {"/a": 1.0, KERNEL: 0.5}, self_s=0.5, throttled_s=40.0).contention_ratio == 1.5 / 4
    assert cgroup(0.0, {"/a": 3.0}).contention_ratio == 1.0
    assert cgroup(1.0).contention_ratio == 0.0


def test_where_it_is_not_known_whom_a_cgroup_waited_for_there_is_no_contention_ratio() -> None:
    assert cgroup(1.0, {"/a": 1.0}, unattributed_s=0.9).contention_ratio == 1.0 / 2.9
    assert cgroup(1.0, {"/a": 1.0}, unattributed_s=1.1).contention_ratio is None
    assert cgroup(1.0, unattributed_s=3.0).contention_ratio is None
    assert cgroup(0.0, throttled_s=5.0).contention_ratio is None
