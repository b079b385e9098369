"""No tenant hides from blame: by being many, by having others work, by being too much, by coming late."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.analysis.aggressors import aggressors
from agent.analysis.now import host_now, watched
from agent.analysis.observation import VictimSignals
from agent.analysis.top import live_table
from agent.daemon.metrics.totals import Totals
from agent.detection.suspects import BaselineWaits, blamed
from agent.documents.event import Suspect
from agent.documents.top import Sort
from agent.documents.verdict import CauseKind
from collectors.host.hierarchy import detect_layout
from collectors.host.readings import Missing
from collectors.sources import ebpf
from collectors.sources.ebpf import open_probe
from collectors.windows import sched
from collectors.windows.sched import KERNEL, SchedWindow, at_depth
from probes.sched_probe import SchedProbe
from tests.agent.analysis.test_causes import alone, hindered
from tests.agent.analysis.trials import NS, VICTIM, cgroup, pair, window
from tests.attack.evasions import EVASIONS, WITHIN_POINTS, has_kernel_work, tried, workers_ran_ns
from tests.collectors.windows.test_sched import NOTHING_YET, empty
from tests.kernel.answers import assert_agrees, measure
from tests.kernel.situations import Situation, spin
from tests.kernel.test_lifecycle import SMALL

TENANT = "/tenant"
PARTS = [f"{TENANT}/jobs/{number}" for number in range(40)]


@pytest.fixture(scope="module")
def probe() -> Iterator[SchedProbe]:
    with open_probe(detect_layout()) as opened:
        yield opened


@pytest.fixture
def situation() -> Iterator[Situation]:
    with Situation() as made:
        yield made


@pytest.mark.kernel
@pytest.mark.parametrize("evasion", EVASIONS)
def test_the_tenant_is_blamed_for_what_it_caused(probe: SchedProbe, evasion: str) -> None:
    found = tried(probe, evasion, seconds=1.0)
    assert found.caused_pct > 0
    assert found.apart <= WITHIN_POINTS, found


@pytest.mark.kernel
def test_what_a_worker_runs_for_somebody_stays_the_kernels_run_time(
    probe: SchedProbe, situation: Situation
) -> None:
    tenant = situation.group("tenant")
    has_kernel_work(situation, tenant)
    before_ns = workers_ran_ns()
    answer = measure(probe, situation, 1.0)
    worked_ns = workers_ran_ns() - before_ns
    assert worked_ns > answer.books[tenant].run_ns
    assert_agrees(answer.of(tenant), answer.books[tenant])
    (window,) = answer.windows
    assert window.cgroups[KERNEL].run_ns > 0.95 * worked_ns


@pytest.fixture
def split() -> SchedWindow:
    """Half a second of the victim's for another, and one for a tenant in 40 cgroups."""
    waits = [(NS // 2, 1, 99), *((NS // 40, 1, number) for number in range(40))]
    figures = {number: NOTHING_YET._replace(run_ns=NS // 40, switches_in=1) for number in range(40)}
    return sched.window(
        empty(),
        replace(
            empty(2 * NS),
            paths=dict(enumerate(PARTS)) | {98: VICTIM, 99: "/other"},
            cgroups={**figures, 98: NOTHING_YET._replace(wait_ns=3 * NS // 2, run_ns=NS // 2)},
            waits={98: waits},
        ),
    )


def test_one_tenant_in_many_cgroups_is_one_culprit_everywhere(split: SchedWindow) -> None:
    victim = split.cgroups[VICTIM]
    row = next(
        each for each in live_table("h", split, Sort.LOST, str, Missing("")).cgroups if each.cgroup == VICTIM
    )
    assert row.waited_for is not None
    assert row.waited_for.cgroup == TENANT  # 20 of its cgroups stand by themselves, the others as the tenant
    assert row.waited_for.wait_ms == pytest.approx(1000)
    now = host_now("h", watched([split], str)).sufferers[0]
    assert now.aggressor is not None
    assert now.aggressor.wait_ms == pytest.approx(1000)
    (first, *_) = blamed(victim, split.duration_ns, BaselineWaits(), split.cgroups, "waits")
    assert first == Suspect(TENANT, 66.7)
    (first, *_) = blamed(victim, split.duration_ns, BaselineWaits(), split.cgroups, "runs")
    assert first == Suspect(f"{TENANT}/jobs", 100.0)
    (aggressor, *_) = aggressors(
        pair(alone(), hindered(2.0, victim, VictimSignals())), {CauseKind.CPU_WAIT: 100.0}, {}
    )
    assert (aggressor.cgroup, round(aggressor.share_pct, 1)) == (TENANT, 66.7)
    assert set(at_depth(split, 1).cgroups[f"/{VICTIM.split('/')[1]}"].waited_for) == {TENANT, "/other"}


def test_who_comes_late_and_is_large_has_metric_series() -> None:
    totals = Totals(100, 100, str)
    crowd = [cgroup(0.001, {"/first": 0.002}, path=f"/early-{number}") for number in range(100)]
    for second in range(60):
        totals.add(replace(window(*crowd), end_ns=second * NS))
    late = cgroup(0.9, {"/early-1": 1.0}, path="/late")
    victim = cgroup(0.1, {"/late": 1.0}, path="/early-0")
    for second in range(60, 72):
        totals.add(replace(window(*crowd[1:], late, victim), end_ns=second * NS))
    (run_ns,) = [
        total.figures()["run_ns"] for labels, total in totals.cgroups.items() if labels == ("/late",)
    ]
    assert run_ns == pytest.approx(12 * 0.9 * NS)
    assert ("/early-0", "/late") in {labels for labels, _ in totals.pairs.items()}
    assert len(list(totals.cgroups.items())) == 101


@pytest.mark.kernel
def test_empty_cgroups_take_no_slot_from_who_runs_or_comes_later(situation: Situation) -> None:
    layout = detect_layout()
    crowd = situation.group("crowd")
    for number in range(2 * SMALL.slots):
        situation.group(str(number), parent=crowd)
    running = situation.group("running")
    situation.process(spin, running).go()
    with SchedProbe(ebpf.identity_of(layout), lambda: ebpf.list_cgroups(layout), dimensions=SMALL) as small:
        later = situation.group("later")
        situation.process(spin, later).go()
        before = small.read()
        time.sleep(0.2)
        after = small.read()
    assert after.untracked > 0
    for group in (running, later):
        assert after.cgroups[group.key].run_ns > before.cgroups[group.key].run_ns
