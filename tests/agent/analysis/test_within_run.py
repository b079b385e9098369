"""A verdict from within one recording, on recordings built for it."""

import json
import random
from dataclasses import replace

import pytest

from agent.analysis.within_run import NOT_RANDOM, classify, compare_within
from agent.documents.verdict import CauseKind, Conclusion, Verdict
from agent.statistics.cycles import Activity
from agent.store.run_file import Run, pack
from collectors.windows.sched import CgroupWindow, SchedWindow
from probes.errors import UsageError
from reports.sections.verdict import effect_facts
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import OTHER, VICTIM, cgroup, window

TENANT = "/tenants/batch"


def run(text: str, wait_s: float, load_s: float = 0.4, seed: int = 1) -> Run:
    """One window of 1 s per letter: `b` with a busy tenant, for which the victim waits `wait_s`, `q` without."""
    draw = random.Random(seed)  # noqa: S311  made-up noise
    windows = [one(letter == "b", wait_s, load_s * draw.uniform(0.97, 1.03), draw) for letter in text]
    return Run({"host": pack(HOST)}, tuple(windows), partial=False)


def one(busy: bool, wait_s: float, load_s: float, draw: random.Random) -> SchedWindow:  # noqa: FBT001  a letter's meaning
    waits = {OTHER: 0.01 * draw.uniform(0.5, 1.5)} | ({TENANT: wait_s} if busy else {})
    return window(cgroup(load_s, waits), cgroup(0.9 if busy else 0.01, path=f"{TENANT}/worker"))


def verdict(of: Run, tenant: str = TENANT, cgroup_path: str | None = VICTIM) -> Verdict:
    return compare_within(of, tenant, cgroup_path, 5.0)


def test_a_tenant_that_slows_the_victim_whenever_it_is_busy() -> None:
    found = verdict(run("qqqbbb" * 8, 0.2))
    assert found.verdict is Conclusion.INTERFERENCE
    assert found.effect is not None
    assert found.effect.slowdown_pct == pytest.approx(50, abs=5)
    assert found.effect.pairs == 8
    assert found.causes[0].cause is CauseKind.CPU_WAIT
    assert found.causes[0].share_pct == pytest.approx(100)
    assert found.aggressors[0].cgroup == TENANT


def test_a_tenant_that_does_not_matter() -> None:
    found = verdict(run("qqqbbb" * 8, 0.002))
    assert found.verdict is Conclusion.NO_INTERFERENCE
    assert found.causes == ()
    assert found.aggressors == ()


def test_the_words_are_of_the_tenant() -> None:
    found = verdict(run("qqqbbb" * 8, 0.2))
    assert found.effect is not None
    facts = dict(effect_facts(found.effect).items)
    assert facts["Evidence"] == "all 8 of 8 comparisons slower"
    assert {"Tenant quiet", "Tenant busy"} < facts.keys()


def test_what_is_below_the_tenant_is_the_tenant() -> None:
    worker = f"{TENANT}/worker"
    windows = run("qqqbbb" * 8, 0.2).windows
    moved = tuple(
        replace(each, cgroups={VICTIM: renamed(each, worker), **but(each, VICTIM)}) for each in windows
    )
    found = verdict(Run({"host": pack(HOST)}, moved, partial=False))
    assert [aggressor.cgroup for aggressor in found.aggressors] == [TENANT]


def renamed(of: SchedWindow, name: str) -> CgroupWindow:
    victim = of.cgroups[VICTIM]
    waits = {name if path == TENANT else path: wait for path, wait in victim.waited_for.items()}
    return replace(victim, waited_for=waits)


def but(of: SchedWindow, path: str) -> dict[str, CgroupWindow]:
    return {name: each for name, each in of.cgroups.items() if name != path}


def test_it_is_never_as_certain_as_an_experiment() -> None:
    found = verdict(run("qqqbbb" * 8, 0.2))
    assert not found.quality.ok
    assert NOT_RANDOM in found.reason
    assert NOT_RANDOM in found.quality.warnings


def test_the_victims_own_load_does_not_pass_for_the_tenants_doing() -> None:
    # Whenever the victim has twice the load it waits for itself, and the tenant happens to be busy then; half of
    # the time it is busy beside the light load too, and quiet beside the heavy one.
    draw = random.Random(2)  # noqa: S311  made-up noise
    windows = []
    for _ in range(12):
        for busy, heavy in ((False, False), (False, True), (True, False), (True, True), (True, True)):
            load_s = (0.8 if heavy else 0.3) * draw.uniform(0.98, 1.02)
            victim = cgroup(load_s, {OTHER: 0.01}, self_s=0.4 if heavy else 0.0)
            windows.append(window(victim, cgroup(0.9 if busy else 0.0, path=TENANT)))
    found = verdict(Run({"host": pack(HOST)}, tuple(windows), partial=False))
    assert found.verdict is Conclusion.NO_INTERFERENCE


def test_a_victim_that_takes_all_it_can_get_is_matched_by_what_it_wants() -> None:
    def saturated(*, busy: bool) -> SchedWindow:
        victim = cgroup(0.5, {TENANT: 0.5}) if busy else cgroup(0.99, {OTHER: 0.01})
        return window(victim, cgroup(0.5 if busy else 0.0, path=TENANT))

    windows = tuple(saturated(busy=letter == "b") for letter in "qqbb" * 8)
    found = verdict(Run({"host": pack(HOST)}, windows, partial=False))
    assert found.verdict is Conclusion.INTERFERENCE
    assert "the time it ran or waited" in found.reason


@pytest.mark.parametrize("text", ["q" * 40, "b" * 40, "q" * 20 + "b" * 20, "qqbb" * 3])
def test_too_few_comparisons_are_inconclusive_and_say_so(text: str) -> None:
    found = verdict(run(text, 0.2))
    assert found.verdict is Conclusion.INCONCLUSIVE
    assert found.effect is None
    assert "record longer" in found.reason
    assert found.unavailable["effect"]


def test_a_tenant_that_never_does_anything_is_never_busy() -> None:
    assert classify([0.0, 0.001, 0.002] * 10) == [Activity.QUIET] * 30


def test_the_document_can_be_read_again() -> None:
    for text in ("qqqbbb" * 8, "qqbb"):
        found = verdict(run(text, 0.2))
        assert Verdict.from_document(json.loads(json.dumps(found.to_document()))) == found


def test_the_recorded_command_is_the_victim() -> None:
    recorded = run("qqqbbb" * 8, 0.2)
    named = replace(recorded, meta={**recorded.meta, "command_cgroup": VICTIM})
    assert verdict(named, cgroup_path=None).victim_cgroup == VICTIM


@pytest.mark.parametrize(
    ("tenant", "victim", "told"),
    [
        ("/nowhere", VICTIM, "there is no cgroup /nowhere in the recording"),
        (TENANT, "/nowhere", "there is no cgroup /nowhere in the recording"),
        (VICTIM, VICTIM, "are one"),
        ("/", VICTIM, "are one"),
        (f"{VICTIM}/part", VICTIM, "are one"),
    ],
)
def test_bad_names_are_refused(tenant: str, victim: str, told: str) -> None:
    part = cgroup(0.1, path=f"{VICTIM}/part")
    windows = [
        replace(each, cgroups={**each.cgroups, part.path: part}) for each in run("qb" * 8, 0.2).windows
    ]
    with pytest.raises(UsageError, match=told):
        verdict(Run({"host": pack(HOST)}, tuple(windows), partial=False), tenant, victim)


def test_a_victim_that_hardly_ran_is_refused() -> None:
    with pytest.raises(UsageError, match="hardly ran"):
        verdict(run("qb" * 8, 0.2, load_s=0.001))
