"""The three lines of `jostle` alone, and that no name in them acts on a terminal."""

from msgspec import structs

from agent.documents.blame import Charge, WaitPart
from agent.documents.now import HostNow, Reason, Sufferer
from agent.documents.top import Lot
from reports import json_document, text
from reports.escape import for_terminal
from reports.sections.now import answer, now_report
from tests.reports.samples import API, BATCH, EVIL

PINNED = Sufferer(
    cgroup=API,
    name="prod/api",
    lot=Lot.SUFFERS,
    wanted_cpus=0.5,
    got_cpus=0.14,
    lost_cpus=0.36,
    wait_p99_ns=7_900_000.0,
    behind=(WaitPart(Charge.CGROUP, "batch.service", 3600.0, 94.4, 70, BATCH),),
    reason=Reason.PINNED,
    advice=("let prod/api run on CPU 0 too", "or keep batch.service off CPU 1"),
    allowed_cpus=(1,),
    idle_cpus=(0,),
)
NOW = HostNow("node-7", 2, 10.004, 1.32, 14, (PINNED,), (), partial=False, warnings=())


def test_three_lines_say_how_much_why_and_what_to_try() -> None:
    first, why, advice = answer(NOW)
    assert first == "prod/api suffers: wanted 0.50 CPUs, got 0.14, lost 0.36 to others in 10 s."
    assert why == (
        "why: 94 % of its wait is for batch.service (seen: it ran there meanwhile); its tasks may run on CPU 1 alone, "
        "which is busy, while CPU 0 has room."
    )
    assert advice == "try: let prod/api run on CPU 0 too"


def test_where_nobody_suffers_it_says_so() -> None:
    first, why, _ = answer(structs.replace(NOW, sufferers=()))
    assert first == "Nobody suffers for want of a CPU on node-7: 14 cgroups in 10 s."
    assert "1.32 of 2 CPUs were busy" in why


def test_where_not_all_is_known_it_is_no_all_clear() -> None:
    first, why, _ = answer(structs.replace(NOW, sufferers=(), untold=("prod/api",)))
    assert "not all is known" in first
    assert "prod/api waited" in why


def test_a_quota_is_told_with_its_size_and_whose_it_is() -> None:
    throttled = WaitPart(Charge.THROTTLED, "throttled", 8000.0, 99.0, 70)
    own = structs.replace(
        PINNED,
        lot=Lot.QUOTA,
        lost_cpus=0.0,
        behind=(throttled,),
        reason=Reason.QUOTA,
        quota_cgroup=API,
        quota_cpus=0.2,
    )
    first, why, _ = answer(structs.replace(NOW, sufferers=(own,)))
    assert first == "prod/api is held back by a quota: wanted 0.50 CPUs, got 0.14 in 10 s."
    assert why == "why: 99 % of its wait is for its quota; its own quota is 0.20 CPUs."
    above = structs.replace(own, quota_cgroup="/kubepods.slice")
    assert "the quota of /kubepods.slice is 0.20 CPUs" in answer(structs.replace(NOW, sufferers=(above,)))[1]


def test_a_neighbour_behind_its_own_threads_is_told_with_both_shares() -> None:
    threads = WaitPart(Charge.SELF, "self", 9000.0, 71.0, 70)
    crowded = structs.replace(PINNED, behind=(threads, *PINNED.behind))
    assert (
        "94 % of its wait is for batch.service (seen: it ran there meanwhile); 71 % is for own threads"
        in (answer(structs.replace(NOW, sufferers=(crowded,)))[1])
    )


def test_where_it_waits_for_many_nobody_is_the_culprit_and_no_advice_is_told_twice() -> None:
    of_many = structs.replace(
        PINNED,
        behind=(WaitPart(Charge.CGROUP, "batch.service", 3600.0, 11.4, 70, BATCH),),
        reason=Reason.FULL,
        advice=("place some of the tenants on another host",),
    )
    also = structs.replace(of_many, cgroup="/web", name="web")
    now = structs.replace(NOW, busy_cpus=1.98, sufferers=(of_many, also))
    assert answer(now)[1] == (
        "why: it waits for many, 11 % for batch.service (seen: it ran there meanwhile); all CPUs are busy (1.98 of 2)."
    )
    shown = text.render(now_report(now), width=200)
    assert shown.count("to do: place some of the tenants on another host") == 1
    assert "to do: as for prod/api" in shown


def test_hostile_names_are_harmless() -> None:
    by = WaitPart(Charge.CGROUP, EVIL, 1.0, 9.0, 1, EVIL)
    evil = structs.replace(PINNED, name=EVIL, cgroup=EVIL, behind=(by,), advice=(EVIL,))
    hostile = structs.replace(NOW, hostname=EVIL, sufferers=(evil,), warnings=(EVIL,))
    shown = "".join(map(for_terminal, answer(hostile))) + text.render(now_report(hostile))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert json_document.render_now(hostile).isascii()
