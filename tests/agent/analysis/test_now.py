"""Who suffers now: whom it waits for, for which reason, and no blame where nothing was waited for."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from agent.analysis.now import advice_for, host_now, watched
from agent.analysis.placement import HostSettings, Placement
from agent.documents.blame import Charge
from agent.documents.now import HostNow, Reason
from agent.documents.tasks import NOBODY_KNOWN, TasksWithin, TaskTime
from agent.documents.top import Lot
from collectors.windows.sched import KERNEL, CgroupWindow, CpuWindow, WaitFor
from reports import text
from reports.sections.now import now_report
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, VICTIM, cgroup, window

ALL = frozenset({0, 1})
NOWHERE: Mapping[str, Placement] = {}


def host(
    *cgroups: CgroupWindow,
    busy: tuple[float, float] = (1.0, 1.0),
    placed: Mapping[str, Placement] = NOWHERE,
    shed: tuple[str, ...] = (),
    tasks: TasksWithin = NOBODY_KNOWN,
) -> HostNow:
    cpus = tuple(CpuWindow(running, 0.0, 10) for running in busy)
    seen = [replace(window(*cgroups), cpus=cpus, shed=shed)] * 2
    settings = HostSettings(ALL, lambda path, _: placed.get(path, Placement()))
    return host_now("host", watched(seen, str, settings, tasks))


def test_who_loses_most_is_first_and_those_who_do_well_are_not_told() -> None:
    little = cgroup(0.5, {NEIGHBOUR: 0.1}, path="/little")
    found = host(
        little, cgroup(0.5, {NEIGHBOUR: 0.4, OTHER: 0.1}), cgroup(1.0, {VICTIM: 0.01}, path=NEIGHBOUR)
    )
    assert [each.cgroup for each in found.sufferers] == [VICTIM, "/little"]
    first = found.sufferers[0]
    assert first.lost_cpus == pytest.approx(0.5)
    assert [part.cgroup for part in first.behind] == [NEIGHBOUR, OTHER]
    assert [part.share_pct for part in first.behind] == pytest.approx([80, 20])
    assert found.duration_s == 2
    assert found.busy_cpus == 2


def test_without_waiting_nobody_is_blamed() -> None:
    found = host(cgroup(1.0), cgroup(1.0, path=NEIGHBOUR))
    assert found.sufferers == ()
    assert found.untold == ()


def test_what_nobody_knows_is_no_all_clear() -> None:
    found = host(cgroup(0.2, unattributed_s=0.8), shed=("blame",))
    assert found.sufferers == ()
    assert found.untold == (VICTIM,)
    assert "2 of 2 windows" in found.warnings[0]


@pytest.mark.parametrize(
    ("victim", "busy", "place", "reason", "advice"),
    [
        (cgroup(0.5, {OTHER: 0.5}), (0.3, 1.0), Placement(frozenset({1})), Reason.PINNED, "CPU 0 too"),
        (cgroup(0.5, {OTHER: 0.5}), (0.3, 0.6), Placement(frozenset({1})), Reason.MOMENTS, "a quota"),
        (cgroup(0.5, {OTHER: 0.5}), (0.3, 1.0), Placement(ALL), Reason.MOMENTS, "a quota"),
        (cgroup(0.5, {OTHER: 0.5}), (0.3, 1.0), Placement(), Reason.MOMENTS, "a quota"),
        (
            cgroup(0.5, {OTHER: 0.5}),
            (1.0, 1.0),
            Placement(ALL, weights=(100, 300)),
            Reason.FULL,
            "100 against 300",
        ),
        (
            cgroup(0.2, {OTHER: 0.1}, throttled_s=0.6),
            (0.3, 0.5),
            Placement(ALL, quota=("/jostle-1", 0.2)),
            Reason.QUOTA,
            "the quota of /jostle-1",
        ),
        (cgroup(1.0, {OTHER: 0.05}, self_s=3.0), (1.0, 1.0), Placement(ALL), Reason.THREADS, "fewer threads"),
        (cgroup(0.5, stolen_s=0.3), (1.0, 1.0), Placement(ALL), Reason.STEAL, "dedicated CPUs"),
    ],
)
def test_settings_are_the_reason_where_they_are(
    victim: CgroupWindow, busy: tuple[float, float], place: Placement, reason: Reason, advice: str
) -> None:
    (found,) = host(victim, busy=busy, placed={VICTIM: place}).sufferers
    assert found.reason is reason
    assert advice in " ".join(found.advice)


@pytest.mark.parametrize(
    ("weights", "below", "first"),
    [((100, 100), True, "a quota"), ((100, 300), False, "more weight"), ((10, 1000), False, "more weight")],
)
def test_who_has_less_than_its_weight_promises_needs_no_larger_one(
    weights: tuple[int, int],
    below: bool,  # noqa: FBT001  a parametrised fact
    first: str,
) -> None:
    """A victim that has a quarter of what the two have: promised the half, or the quarter, or next to nothing."""
    both = cgroup(0.5, {OTHER: 0.5}), cgroup(1.5, path=OTHER)
    (found,) = host(*both, placed={VICTIM: Placement(ALL, weights=weights)}).sufferers
    assert found.had_pct == pytest.approx(25)
    assert found.promised_pct == pytest.approx(100 * weights[0] / sum(weights))
    assert found.is_below_promise is below
    assert first in found.advice[0]
    assert {"a quota", "more weight"} == {
        each for each in ("a quota", "more weight") if each in str(found.advice)
    }


def test_the_greedy_one_is_told_after_those_it_takes_from() -> None:
    """It loses more, as it wants more; and it has three quarters, of which its weight promises the half."""
    victim, greedy = cgroup(0.5, {OTHER: 0.5}), cgroup(1.5, {VICTIM: 3.0}, path=OTHER)
    weighed = {path: Placement(ALL, weights=(100, 100)) for path in (VICTIM, OTHER)}
    assert [each.cgroup for each in host(victim, greedy).sufferers] == [VICTIM, OTHER]
    wide = replace(greedy, waited_for={"/unseen": WaitFor(900_000_000, 1), **greedy.waited_for})
    assert [each.cgroup for each in host(victim, wide, placed=weighed).sufferers] == [VICTIM, OTHER]
    assert [each.cgroup for each in host(victim, wide).sufferers] == [OTHER, VICTIM]


@pytest.mark.parametrize("own_s", [0.0, 0.9])
def test_who_waits_for_many_is_not_told_to_limit_one_of_them(own_s: float) -> None:
    """A fifth each: without any one of them it would wait for the other four."""
    many = {f"/tenant-{number}": 0.1 for number in range(5)}
    others = [cgroup(0.2, path=path) for path in many]
    (found,) = host(cgroup(0.5, many, self_s=own_s), *others).sufferers
    assert found.waits_for_many
    assert found.advice == (
        "place some of the tenants on another host: all CPUs are busy, with many a little each",
    )
    (found,) = host(cgroup(0.5, {OTHER: 0.5}, self_s=own_s), cgroup(1.0, path=OTHER)).sufferers
    assert not found.waits_for_many
    assert "a quota" in found.advice[0]


def test_the_root_cgroup_comes_after_those_who_are_somebody() -> None:
    root = cgroup(0.5, {OTHER: 0.9}, path="/")
    victim = cgroup(0.5, {OTHER: 0.4})
    assert [each.cgroup for each in host(root, victim, cgroup(1.0, path=OTHER)).sufferers] == [VICTIM, "/"]


def test_who_uses_up_a_shared_quota_is_named() -> None:
    held = cgroup(0.2, throttled_s=0.6), cgroup(0.7, path=NEIGHBOUR), cgroup(0.9, path=OTHER)
    (found,) = host(*held, placed={VICTIM: Placement(ALL, quota=("/jostle-1", 1.0))}).sufferers
    assert f"limit {NEIGHBOUR}, which lies in it too and used 0.70 CPUs" in found.advice[1]
    (own,) = host(*held, placed={VICTIM: Placement(ALL, quota=(VICTIM, 0.2))}).sufferers
    assert NEIGHBOUR not in str(own.advice)


@pytest.mark.parametrize(
    ("by", "said"),
    [("/", "move backup (PID 42), which runs in the root"), (KERNEL, "what makes kswapd0 (PID 7)")],
)
def test_what_has_no_cgroup_of_its_own_is_named_by_process(by: str, said: str) -> None:
    tasks = TasksWithin(
        (TaskTime("kswapd0", 7, 1, 900.0),), 900.0, (TaskTime("backup", 42, 1, 900.0),), 900.0
    )
    (found,) = host(cgroup(0.5, {by: 0.5}), cgroup(0.9, path=KERNEL), tasks=tasks).sufferers
    assert said in found.advice[0]


def test_one_cgroup_with_all_below_it_gets_the_same_advice() -> None:
    inner = cgroup(0.5, {OTHER: 0.5}, path=f"{VICTIM}/inner")
    seen = watched([window(inner, cgroup(1.0, path=OTHER))], str)
    assert "give /system.slice/cron.service a quota" in advice_for(VICTIM, seen)[0]
    assert advice_for(OTHER, seen) == ()


def test_among_own_threads_the_neighbour_is_still_named() -> None:
    (found,) = host(cgroup(0.5, {OTHER: 0.2}, self_s=3.0)).sufferers
    assert found.lot is Lot.SUFFERS
    assert found.behind[0].charge is Charge.SELF
    assert found.aggressor is not None
    assert found.aggressor.cgroup == OTHER


def test_kernel_threads_are_no_sufferers_and_no_command_is_made_of_their_name() -> None:
    found = host(cgroup(0.1, {VICTIM: 0.9}, path=KERNEL), cgroup(0.5, {KERNEL: 0.4}))
    assert [each.cgroup for each in found.sufferers] == [VICTIM]
    assert found.sufferers[0].confirm == ()


def test_an_experiment_is_offered_that_freezes_the_two_alone() -> None:
    found = host(cgroup(0.5, {"/$(reboot)": 0.4}, path="/a b"))
    both = ("--victim-cgroup", "/a b", "--neighbour-cgroup", "/$(reboot)")
    assert found.sufferers[0].confirm == ("jostle", "experiment", *both, "--allow-freeze")
    shown = text.render(now_report(found))
    assert "To be sure of /a b\n" in shown
    assert "--victim-cgroup '/a b'" in " ".join(shown.split())
    assert "--neighbour-cgroup '/$(reboot)'" in " ".join(shown.replace("\\", " ").split())


def test_the_document_can_be_read_again() -> None:
    found = host(cgroup(0.5, {OTHER: 0.5}), placed={VICTIM: Placement(ALL, ("/", 1.5), (1, 2))})
    assert HostNow.from_document(json.loads(json.dumps(found.to_document()))) == found
