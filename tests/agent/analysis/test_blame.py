"""The parts of a cgroup's wait: all of it, each told apart."""

import json
import mmap
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.blame import blame
from agent.documents.blame import BlameSummary, Charge
from agent.documents.tasks import MOST_TASKS, TaskShare, TasksWithin, TaskTime, tasks_within
from agent.store.run_file import Notes, Run, pack
from collectors.sources.tasks import TaskReading
from collectors.windows.disks import DiskUse
from collectors.windows.network import QueueUse
from collectors.windows.reclaims import ReclaimUse
from collectors.windows.sched import KERNEL, OTHER, REST, SchedWindow
from reports.sections.blame import as_shown, blame_report
from reports.sections.model import Table
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window

SOME_S = st.floats(0, 100).map(lambda seconds: round(seconds, 3))
NAMES = [NEIGHBOUR, "/system.slice/cron.service", KERNEL, OTHER, REST]


def run_of(*windows: SchedWindow, meta: Mapping[str, str] | None = None) -> Run:
    return Run(meta={"tier": "ebpf", **(meta or {})}, windows=windows, partial=False)


@given(st.dictionaries(st.sampled_from(NAMES), SOME_S), SOME_S, SOME_S, SOME_S)
def test_parts_add_up_to_the_wait_and_shares_to_100(
    waits: dict[str, float], self_s: float, throttled_s: float, unattributed_s: float
) -> None:
    victim = cgroup(1.0, waits, self_s=self_s, throttled_s=throttled_s, unattributed_s=unattributed_s)
    found = blame(run_of(window(victim), window(victim)), VICTIM)
    assert found.wait_ms == pytest.approx(2 * victim.wait_ns / 1e6)
    assert sum(part.wait_ms for part in found.parts) == pytest.approx(found.wait_ms)
    shares = [part.share_pct for part in as_shown(found).parts]
    assert sum(shares) == pytest.approx(100 if shares else 0, abs=1e-6)
    assert [part.wait_ms for part in found.parts] == sorted((p.wait_ms for p in found.parts), reverse=True)


def test_what_was_found_worth_telling_of_the_recording_is_told() -> None:
    notes = pack(Notes(("the windows cover 0.2 of the 1.0 minutes asked for",)))
    found = blame(run_of(window(cgroup(1.0)), meta={"notes": notes}), VICTIM)
    assert found.warnings == ("the windows cover 0.2 of the 1.0 minutes asked for",)


def test_what_is_no_neighbour_is_told_apart() -> None:
    victim = cgroup(
        1.0,
        {NEIGHBOUR: 0.5, KERNEL: 0.1, OTHER: 0.2, REST: 0.3},
        self_s=0.4,
        throttled_s=0.6,
        unattributed_s=0.7,
    )
    victim = replace(victim, wakeup_ns=800_000_000, wait_ns=victim.wait_ns + 800_000_000)
    found = {part.charge: part for part in blame(run_of(window(victim)), VICTIM).parts}
    assert {charge: round(part.wait_ms) for charge, part in found.items()} == {
        Charge.CGROUP: 500,
        Charge.KERNEL: 100,
        Charge.OTHER: 200,
        Charge.REST: 300,
        Charge.SELF: 400,
        Charge.THROTTLED: 600,
        Charge.UNATTRIBUTED: 700,
        Charge.WAKEUP: 800,
    }
    assert [part.cgroup for part in found.values() if part.cgroup] == [NEIGHBOUR]
    assert found[Charge.SELF].preemptions == victim.preempted_own
    assert found[Charge.WAKEUP].preemptions is None


def test_what_is_below_a_cgroup_is_its_own() -> None:
    inner = cgroup(1.0, {VICTIM: 0.5, NEIGHBOUR: 0.25}, path=f"{VICTIM}/inner")
    outer = cgroup(1.0, {f"{VICTIM}/inner": 0.125})
    found = blame(run_of(window(inner, outer)), VICTIM)
    assert [(part.charge, part.wait_ms) for part in found.parts] == [
        (Charge.SELF, 625.0),
        (Charge.CGROUP, 250.0),
    ]


def test_what_was_shared_out_by_sample_is_told_where_there_was_a_wait() -> None:
    exact, rough = cgroup(1.0, {NEIGHBOUR: 0.5}), cgroup(1.0, {NEIGHBOUR: 1.5})
    windows = [window(replace(exact, sampled_ns=0)), window(replace(rough, sampled_ns=500_000_000))]
    assert blame(run_of(*windows), VICTIM).sampled_pct == 25
    assert "sampled_pct" not in blame(run_of(window(cgroup(1.0))), VICTIM).to_document()


def test_names_are_those_people_know() -> None:
    pod = "/kubepods/burstable/pod00000000-0000-0000-0000-000000000001"
    found = blame(run_of(window(cgroup(1.0, {pod: 0.1}))), VICTIM, lambda path: path.rpartition("/")[2][:4])
    assert (found.name, found.parts[0].name, found.parts[0].cgroup) == ("vict", "pod0", pod)


def test_a_cgroup_that_did_nothing_has_no_parts() -> None:
    found = blame(run_of(window()), VICTIM)
    assert (found.wait_ms, found.run_ms, found.parts, found.wait_p99_ns) == (0, 0, (), None)


@pytest.mark.parametrize(
    ("changes", "meta", "told"),
    [
        ({"shed": ("blame",)}, {}, "in 1 of 2 windows blame was left out"),
        ({"untracked": 7}, {}, "7 cgroups found no slot"),
        ({}, {"tier": "schedstat"}, "without eBPF"),
        ({}, {"globs": "api*"}, "only cgroups that match api*"),
    ],
)
def test_doubts_are_told(changes: dict[str, object], meta: dict[str, str], told: str) -> None:
    plain = window(cgroup(1.0, {NEIGHBOUR: 0.5}))
    odd: SchedWindow = replace(plain, **changes)  # type: ignore[arg-type]  # the fields differ in type
    warnings = blame(run_of(plain, odd, meta=meta), VICTIM).warnings
    assert [told in warning for warning in warnings] == [True]


WITHIN = TasksWithin(
    kernel=(TaskTime("kworker kblockd", 44, 2, 600.0), TaskTime("ksoftirqd/1", 22, 1, 5.0)),
    kernel_run_ms=605.0,
    root=(TaskTime("backup", 4242, 1, 1500.0),),
    root_run_ms=1500.0,
)


def blame_with_tasks() -> BlameSummary:
    cgroups = [cgroup(1.0, {KERNEL: 0.5, "/": 0.25, NEIGHBOUR: 0.1})]
    cgroups += [cgroup(run_s, path=path) for run_s, path in ((1.0, KERNEL), (1.0, "/"), (9.0, NEIGHBOUR))]
    return blame(run_of(window(*cgroups), meta={"tasks": pack(WITHIN)}), VICTIM)


def test_who_ran_within_the_kernel_and_the_root_cgroup_is_named_with_its_share_of_their_run_time() -> None:
    found = {part.name: part.within for part in blame_with_tasks().parts}
    # What is under 1 % is left out. A reading that lies around the windows may have more than they do.
    assert found == {
        KERNEL: (TaskShare("kworker kblockd", 44, 2, 600.0, 60.0),),
        "/": (TaskShare("backup", 4242, 1, 1500.0, 100.0),),
        NEIGHBOUR: None,
    }


def test_the_first_sentence_names_them() -> None:
    report = blame_report(blame_with_tasks())
    assert (
        "58.8 % of it for kernel threads (by CPU time mostly kworker kblockd (2 of them) 60.0 %)"
        in report.sentence
    )
    assert [
        table.rows
        for table in report.sections
        if isinstance(table, Table) and table.title == "Who ran within"
    ] == [
        (
            ("kernel threads", "kworker kblockd (2 of them)", "44", "600 ms", "60.0 %"),
            ("/", "backup", "4242", "1,500 ms", "100.0 %"),
        )
    ]


def test_who_ran_comes_from_two_readings() -> None:
    before = {(7, 100): TaskReading("a", KERNEL, 5_000_000), (8, 1): TaskReading("gone", KERNEL, 0)}
    after = {(7, 100): TaskReading("a", KERNEL, 8_000_000)}
    after |= {(100 + n, 1): TaskReading(f"b{n}", "/", 1_000_000) for n in range(2 * MOST_TASKS)}
    found = tasks_within(before, after)
    assert found.kernel == (TaskTime("a", 7, 1, 3.0),)
    assert (len(found.root), found.root_run_ms) == (MOST_TASKS, 2.0 * MOST_TASKS)
    assert found.shares(NEIGHBOUR, 10**9) == ()


def test_the_document_can_be_read_again() -> None:
    found = blame(run_of(window(cgroup(1.0, {NEIGHBOUR: 0.5}, self_s=0.1))), VICTIM)
    assert BlameSummary.from_document(json.loads(json.dumps(found.to_document()))) == found


def test_disks_are_told_by_whom_they_served_meanwhile() -> None:
    use = DiskUse(
        reads=3,
        read_bytes=12288,
        queue_ns=6_000_000,
        service_ns=2_000_000,
        self_ns=2_000_000,
        waited_for={"/b": 5_000_000, KERNEL: 1_000_000},
    )
    idle = replace(window(cgroup(1.0, path="/a")), disks={"vdb": {"/b": DiskUse(writes=1)}})
    busy = replace(window(cgroup(1.0, path="/a")), disks={"vda": {"/a/x": use}})
    (disk,) = blame(run_of(idle, busy), "/a").disks or ()
    assert (disk.disk, disk.reads, disk.queue_ms, disk.service_ms) == ("vda", 3, 6.0, 2.0)
    assert [(part.name, part.wait_ms, part.share_pct) for part in disk.parts] == [
        ("/b", 5.0, 62.5),
        ("self", 2.0, 25.0),
        ("kernel", 1.0, 12.5),
    ]
    report = blame_report(blame(run_of(idle, busy), "/a"))
    assert any("vda served" in getattr(section, "title", "") for section in report.sections)


def test_memory_is_told_by_whose_need_had_it_reclaimed() -> None:
    reclaims = {
        "/a": {"/a/x": ReclaimUse(1, 64, 2_000_000)},
        "/": {"/b": ReclaimUse(2, 300, 0), "/a/x": ReclaimUse(1, 100, 1_000_000)},
        "/c": {"/c": ReclaimUse(9, 900, 0)},
        "unknown": {"/b": ReclaimUse(9, 900, 0)},
    }
    memory = blame(run_of(replace(window(cgroup(1.0, path="/a")), reclaims=reclaims)), "/a").memory
    assert memory is not None
    assert (memory.own_limit_bytes, memory.reclaiming_ms) == (64 * mmap.PAGESIZE, 3.0)
    assert [(part.name, part.share_pct) for part in memory.parts] == [("/b", 75.0), ("self", 25.0)]
    report = blame_report(blame(run_of(replace(window(cgroup(1.0, path="/a")), reclaims=reclaims)), "/a"))
    assert any("memory reclaimed" in getattr(section, "title", "") for section in report.sections)
    assert blame(run_of(window(cgroup(1.0, path="/a"))), "/a").memory is None


def test_queues_are_told_by_whose_packets_they_sent_meanwhile() -> None:
    use = QueueUse(
        packets=5, bytes=500, queue_ns=8_000_000, self_ns=2_000_000, dropped=7, waited_for={"/b": 6_000_000}
    )
    again = {"tcp": {"/a": QueueUse(retransmits=3)}}
    queues = {"eth0": {"/a/x": use, "/b": QueueUse(packets=9)}, "lan": {"/b": QueueUse(packets=1)}, **again}
    run = run_of(replace(window(cgroup(1.0, path="/a")), network=queues))
    eth0, tcp = blame(run, "/a").networks or ()
    assert (eth0.device, eth0.packets, eth0.queue_ms, eth0.dropped) == ("eth0", 5, 8.0, 7)
    assert [(part.name, part.share_pct) for part in eth0.parts] == [("/b", 75.0), ("self", 25.0)]
    assert (tcp.device, tcp.retransmits, tcp.parts) == ("tcp", 3, ())
    report = blame_report(blame(run, "/a"))
    assert any("packets eth0 sent" in getattr(section, "title", "") for section in report.sections)
