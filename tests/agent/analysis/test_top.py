"""The rows of a window, and the last minute of each cgroup's waiting."""

import json
from dataclasses import replace

import pytest
from msgspec import structs

from agent.analysis.top import LEAST_WINDOWS, LastMinute, ipc_of, live_table, usual_losses
from agent.documents.blame import Charge
from agent.documents.top import LiveTable, Lot, Sort, Usual
from collectors.host.readings import Missing
from collectors.windows.disks import DiskUse
from collectors.windows.histogram import EDGES_NS
from collectors.windows.network import QueueUse
from collectors.windows.sched import KERNEL, CgroupWindow, WaitFor
from probes.perf_event import Reading, Refusal
from probes.snapshot import Snapshot
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, VICTIM, cgroup, window

NO_PMU = Missing("no hardware PMU")


def table(*cgroups: CgroupWindow, sort: Sort = Sort.LOST, duration_s: float = 1.0) -> LiveTable:
    return live_table("host", window(*cgroups, duration_s=duration_s), sort, str, NO_PMU)


def test_a_row_holds_rates_of_its_window() -> None:
    histogram = tuple(100 * (index == 8) for index in range(len(EDGES_NS)))
    victim = replace(
        cgroup(0.5, {NEIGHBOUR: 0.2, OTHER: 0.1}, throttled_s=0.3),
        waited_for={NEIGHBOUR: WaitFor(200_000_000, 3), OTHER: WaitFor(100_000_000, 7)},
        preempted_foreign=10,
        histogram=histogram,
    )
    (row,) = table(victim, duration_s=2.0).cgroups
    assert (row.wanted_cpus, row.got_cpus, row.lost_cpus) == pytest.approx((0.55, 0.25, 0.15))
    assert row.preempted_per_s == 5
    assert row.waited_for is not None
    assert (
        row.waited_for.charge is Charge.THROTTLED
    )  # half of its wait, though others preempted it more often
    assert row.waited_for.share_pct == pytest.approx(50)
    assert row.mean_waiting == pytest.approx(0.3 / 2)  # not the time on a quota
    assert row.throttled_ns_per_s == pytest.approx(150_000_000)
    assert row.wait_p50_ns is not None
    assert EDGES_NS[8] < row.wait_p50_ns < EDGES_NS[9]


def test_who_suffers_most_is_first() -> None:
    starved = cgroup(0.0, {OTHER: 0.5}, path="/starved")
    hindered = cgroup(0.1, {OTHER: 0.2}, path="/hindered")
    busy = cgroup(1.0, {OTHER: 0.5}, path="/busy")
    # It waited ten times as long as it ran, which was nothing.
    trifle = cgroup(0.00001, {OTHER: 0.0001}, path="/trifle")
    found = table(trifle, hindered, busy, starved).cgroups
    assert [(row.cgroup, row.lot) for row in found] == [
        ("/busy", Lot.SUFFERS),
        ("/starved", Lot.STARVED),
        ("/hindered", Lot.SUFFERS),
        ("/trifle", Lot.FINE),
    ]


def test_ten_tasks_that_wait_behind_one_lose_no_more_than_it_ran() -> None:
    many = cgroup(0.1, {OTHER: 3.0, "/unseen": 0.2}, path="/many")
    found = {row.cgroup: row for row in table(many, cgroup(0.5, path=OTHER)).cgroups}
    assert found["/many"].wanted_cpus == pytest.approx(3.3)
    assert found["/many"].lost_cpus == pytest.approx(0.5 + 0.2)


@pytest.mark.parametrize(
    ("victim", "lot", "charge"),
    [
        (cgroup(0.5, {OTHER: 0.02}, throttled_s=0.4), Lot.QUOTA, Charge.THROTTLED),
        (cgroup(0.5, {OTHER: 0.02}, self_s=3.0), Lot.CROWDED, Charge.SELF),
        (cgroup(0.5, {OTHER: 0.2}, self_s=3.0), Lot.SUFFERS, Charge.SELF),
        (cgroup(0.5, {OTHER: 0.02}, stolen_s=0.3), Lot.SUFFERS, Charge.STOLEN),
        (cgroup(0.5, {OTHER: 0.02}, unattributed_s=0.4), Lot.FINE, Charge.UNATTRIBUTED),
        (cgroup(0.001, {KERNEL: 0.005}), Lot.FINE, Charge.KERNEL),  # it hardly wants anything
    ],
)
def test_a_word_says_how_it_fares(victim: CgroupWindow, lot: Lot, charge: Charge) -> None:
    (row,) = table(victim).cgroups
    assert row.lot is lot
    assert row.waited_for is not None
    assert row.waited_for.charge is charge


def test_kernel_threads_are_nobody_that_suffers() -> None:
    (row,) = table(cgroup(0.1, {OTHER: 0.9}, path=KERNEL)).cgroups
    assert row.lot is Lot.FINE


def test_what_is_usual_are_percentiles_of_the_windows_a_cgroup_was_in() -> None:
    losses = [each / 100 for each in range(1, 101)]
    seen = [window(cgroup(0.1, {"/unseen": lost}), duration_s=1.0) for lost in losses]
    seen += [window(cgroup(0.1, path=OTHER))] * (LEAST_WINDOWS - 1)
    found = usual_losses(iter(seen))
    assert found == {VICTIM: Usual(0.5, 0.95, 100)}
    (row,) = live_table("host", seen[0], Sort.LOST, str, NO_PMU, usual=(found, "a day")).cgroups
    assert row.usual == found[VICTIM]


def test_a_filter_leaves_out_rows_and_not_whom_they_waited_for() -> None:
    seen = window(cgroup(0.5, {OTHER: 3.0}), cgroup(0.5, path=OTHER))
    (row,) = live_table("host", seen, Sort.LOST, str, NO_PMU, patterns=(VICTIM,)).cgroups
    assert row.lost_cpus == pytest.approx(0.5)


def test_what_it_waited_behind_others_on_devices_is_a_rate_of_what_it_had_any_of() -> None:
    seen = replace(
        window(cgroup(0.5), cgroup(0.5, path=OTHER), duration_s=2.0),
        disks={
            "vda": {VICTIM: DiskUse(reads=1, service_ns=500, waited_for={OTHER: 400})},
            "vdb": {VICTIM: DiskUse(reads=1, queue_ns=80, waited_for={OTHER: 60, KERNEL: 20})},
        },
        network={"eth0": {OTHER: QueueUse(packets=1, queue_ns=7)}},
    )
    found = {row.cgroup: row for row in live_table("host", seen, Sort.LOST, str, NO_PMU).cgroups}
    ours, theirs = found[VICTIM], found[OTHER]
    assert (ours.disk_behind_ns_per_s, ours.network_behind_ns_per_s) == (240.0, None)
    assert (theirs.disk_behind_ns_per_s, theirs.network_behind_ns_per_s) == (None, 0.0)


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        (Sort.RUN, "/runs"),
        (Sort.THROTTLED, "/throttled"),
        (Sort.QUEUE, "/queue"),
        (Sort.PREEMPTED, "/preempted"),
        (Sort.P99, "/slow"),
        (Sort.NAME, "/preempted"),
    ],
)
def test_each_order_has_its_first(sort: Sort, first: str) -> None:
    slow = tuple(int(index == 60) for index in range(len(EDGES_NS)))
    rows = [
        cgroup(9.0, path="/runs"),
        cgroup(1.0, throttled_s=5.0, path="/throttled"),
        cgroup(1.0, {OTHER: 2.0}, path="/queue"),
        replace(cgroup(1.0, path="/preempted"), preempted_foreign=99),
        replace(cgroup(1.0, path="/slow"), histogram=slow),
    ]
    unsorted = table(*rows, sort=Sort.LOST)
    assert unsorted.sorted_by(sort).cgroups[0].cgroup == first
    assert table(*rows, sort=sort) == unsorted.sorted_by(sort)


def test_every_null_has_its_reason() -> None:
    found = table(cgroup(0.0, {OTHER: 0.5}))
    assert found.unavailable["ipc"] == "no hardware PMU"
    assert {"wait_p50_ns", "wait_p99_ns"} <= found.unavailable.keys()
    with pytest.raises(ValueError, match="ipc is null"):
        structs.replace(found, unavailable={})


def test_counted_instructions_are_shown_where_they_are() -> None:
    rows = [cgroup(1.0), cgroup(1.0, path="/uncounted")]
    found = live_table("host", window(*rows), Sort.NAME, str, {VICTIM: 1.5})
    assert [row.ipc for row in found.cgroups] == [1.5, None]
    assert "ipc" in found.unavailable


def snapshot(counted: dict[int, dict[str, Reading]], uncounted: dict[str, Refusal]) -> Snapshot:
    paths = {1: "/a", 2: "/b"}
    return Snapshot(0, {}, {}, (), paths, 0, counters=counted, uncounted=uncounted)


def test_instructions_per_cycle_are_the_growth_of_the_counters() -> None:
    before = {1: {"cycles": Reading(1000, 10, 10), "instructions": Reading(1000, 10, 10)}}
    after = {1: {"cycles": Reading(3000, 20, 20), "instructions": Reading(4000, 20, 20)}}
    assert ipc_of(snapshot(before, {}), snapshot(after, {})) == {"/a": 1.5}


def test_without_counters_it_is_said_why() -> None:
    none = snapshot({}, {name: Refusal("no-pmu", NO_PMU.reason) for name in ("cycles", "instructions")})
    assert ipc_of(none, none) == NO_PMU


def test_the_document_can_be_read_again() -> None:
    found = table(cgroup(1.0, {NEIGHBOUR: 0.5}), cgroup(0.0, {OTHER: 0.5}, path="/starved"))
    assert LiveTable.from_document(json.loads(json.dumps(found.to_document()))) == found


def test_what_the_probe_left_out_is_told() -> None:
    odd = replace(window(cgroup(1.0)), shed=("blame",), untracked=3)
    told = " ".join(live_table("host", odd, Sort.LOST, str, NO_PMU).warnings)
    assert "blame" in told
    assert "3 cgroups found no slot" in told


def filled(waits_s: list[float], window_s: float = 1.0) -> LastMinute:
    minute = LastMinute()
    for number, wait_s in enumerate(waits_s, start=1):
        made = window(cgroup(1.0, {NEIGHBOUR: wait_s}), duration_s=window_s)
        minute.add(replace(made, end_ns=round(number * window_s * 1e9)))
    return minute


def test_nothing_is_known_before_the_first_window() -> None:
    assert LastMinute().waiting(VICTIM, 4) == [None] * 4
    assert filled([0.5]).waiting(VICTIM, 4) == [None, None, None, 0.5]


def test_a_cell_is_the_mean_of_its_windows() -> None:
    assert filled([0.0] * 30 + [0.2, 0.4] * 15).waiting(VICTIM, 2) == pytest.approx([0.0, 0.3])


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    assert filled([1.0] * 100 + [0.0] * 60).waiting(VICTIM, 3) == [0.0] * 3


def test_windows_longer_than_a_cell_leave_no_gaps() -> None:
    assert filled([2.0, 4.0], window_s=20).waiting(VICTIM, 6) == pytest.approx([None] * 3 + [0.1, 0.1, 0.2])


def test_a_cgroup_that_did_not_wait_waited_nothing() -> None:
    assert filled([1.0]).waiting("/quiet", 1) == [0.0]
