"""Who the loss is charged to, in observations whose answer is known by construction."""

import pytest
from hypothesis import given

from agent.analysis.aggressors import (
    aggressors,
    blame_residual_pct,
    extra_waits_s,
    fair_part,
    io_own_ratio,
    memory_own_ratio,
    network_own_ratio,
    share_ancestor,
    throttled_own_ratio,
)
from agent.analysis.observation import Pairs, VictimSignals
from agent.documents.verdict import CauseKind
from agent.documents.verdict_parts import Arm, Confirmation, Witness
from collectors.windows.disks import DiskUse
from collectors.windows.network import QueueUse
from collectors.windows.reclaims import MemoryContest, ReclaimUse
from tests.agent.analysis.test_causes import alone, beside, hindered, observed_pairs, shares_of
from tests.agent.analysis.trials import NEIGHBOUR, NS, OTHER, cgroup, pair, seen_as, trial


def throttled(own_s: float, ancestors_s: float) -> Pairs:
    none = seen_as(alone(), signals=VictimSignals(throttled_own_ns=0, throttled_ancestors_ns=0))
    some = VictimSignals(throttled_own_ns=round(own_s * NS), throttled_ancestors_ns=round(ancestors_s * NS))
    with_ = hindered(2.0, cgroup(1.0, throttled_s=1.0), some)
    return pair(none, seen_as(with_, others_run_ns={NEIGHBOUR: NS, "/elsewhere/other": NS}))


@pytest.mark.parametrize(
    ("own_s", "ancestors_s", "ratio"), [(1, 0, 1.0), (1, 3, 0.25), (0, 2, 0.0), (0, 0, 1.0)]
)
def test_whose_quota_it_was(own_s: float, ancestors_s: float, ratio: float) -> None:
    assert throttled_own_ratio(throttled(own_s, ancestors_s)) == ratio


def test_a_quota_of_unknown_owner_is_the_victims() -> None:
    assert throttled_own_ratio(pair(alone(), beside(2.0, cgroup(1.0, throttled_s=1.0)))) == 1.0


def test_an_ancestors_quota_is_charged_to_the_neighbours_below_it() -> None:
    causes = {CauseKind.THROTTLED: 100.0}
    assert aggressors(throttled(1, 0), causes, {NEIGHBOUR: "n", "/elsewhere/other": "o"}) == ()
    (found,) = aggressors(throttled(0, 1), causes, {NEIGHBOUR: "n", "/elsewhere/other": "o"})
    assert (found.cgroup, found.share_pct, found.cause) == (NEIGHBOUR, 100.0, CauseKind.THROTTLED)


@pytest.mark.parametrize(
    ("runs", "victim", "part"),
    [([], 5.0, 5.0), ([6.0], 6.0, 6.0), ([9.0], 3.0, 6.0), ([1.0, 9.0], 2.0, 5.5), ([1.0, 1.0], 1.0, 1.0)],
)
def test_a_part_is_what_all_have_that_want_more(runs: list[float], victim: float, part: float) -> None:
    assert fair_part(runs, victim) == pytest.approx(part)


def test_a_quota_is_charged_to_who_had_more_than_its_part_below_it() -> None:
    light, heavy, outside = "/pods/one/light", "/pods/one/heavy", "/pods/two/busy"
    none = VictimSignals(throttled_own_ns=0, throttled_ancestors_ns=0, quotas_ns={"/pods": 0, "/pods/one": 0})
    some = VictimSignals(
        throttled_own_ns=0, throttled_ancestors_ns=NS, quotas_ns={"/pods": 0, "/pods/one": NS}
    )
    ran = {light: NS // 10, heavy: 2 * NS, outside: 9 * NS}
    whole = hindered(2.0, cgroup(0.5, throttled_s=1.0), some)
    observed = pair(seen_as(alone(), signals=none), seen_as(whole, others_run_ns=ran))
    names = {light: "l", heavy: "h", outside: "o"}
    (found,) = aggressors(observed, {CauseKind.THROTTLED: 100.0}, names)
    assert (found.cgroup, found.share_pct, found.witness) == (heavy, 100.0, Witness.SEEN)
    equal = pair(seen_as(alone(), signals=none), seen_as(whole, others_run_ns={light: NS // 2, outside: NS}))
    assert [each.cgroup for each in aggressors(equal, {CauseKind.THROTTLED: 100.0}, names)] == [light]


def test_io_is_charged_by_the_bytes_moved() -> None:
    second = "/jostle-1/neighbour-2"
    moved = VictimSignals(io_bytes={NEIGHBOUR: 300, second: 100})
    found = aggressors(
        pair(alone(), hindered(2.0, cgroup(1.0), moved)), {CauseKind.IO: 50.0}, {NEIGHBOUR: "n", second: "s"}
    )
    assert [(share.cgroup, share.share_pct, share.witness) for share in found] == [
        (NEIGHBOUR, 37.5, Witness.CORRELATED),
        (second, 12.5, Witness.CORRELATED),
    ]


def test_only_the_root_is_no_common_ancestor() -> None:
    assert share_ancestor("/kubepods/a", "/kubepods/b/c")
    assert not share_ancestor("/system.slice/a", "/user.slice/b")


@given(observed_pairs)
def test_blame_is_shared_out_wholly_and_sorted(pairs: Pairs) -> None:
    causes = {CauseKind(name): share_pct for name, share_pct in shares_of(pairs).items()}
    found = aggressors(pairs, causes, {NEIGHBOUR: "n"})
    if found:
        assert sum(share.share_pct for share in found) <= 100.001
        assert all(share.share_pct <= causes[share.cause] + 1e-9 for share in found)
    assert [s.share_pct for s in found] == sorted((s.share_pct for s in found), reverse=True)
    assert all(share.share_pct > 0 for share in found)


def test_a_bystander_that_goes_on_as_before_is_no_aggressor() -> None:
    # It is in the way for a quarter of the time in either arm, which is twice as long in a trial twice as long.
    without = trial(Arm.WITHOUT, 2.0, victim=cgroup(1.5, {OTHER: 0.5}))
    pairs = pair(without, beside(4.0, cgroup(1.5, {OTHER: 1.0, NEIGHBOUR: 1.5})))
    assert extra_waits_s(pairs) == pytest.approx({OTHER: 0.0, NEIGHBOUR: 1.5})
    found = aggressors(pairs, {CauseKind.CPU_WAIT: 100.0}, {NEIGHBOUR: "n"})
    assert [(share.cgroup, share.share_pct, share.cause) for share in found] == [
        (NEIGHBOUR, 100.0, CauseKind.CPU_WAIT)
    ]


def test_a_bystander_that_the_neighbours_set_off_is_one() -> None:
    without = trial(Arm.WITHOUT, 2.0, victim=cgroup(1.5, {OTHER: 0.5}))
    pairs = pair(without, beside(4.0, cgroup(1.5, {OTHER: 2.0, NEIGHBOUR: 0.5})))
    found = aggressors(pairs, {CauseKind.CPU_WAIT: 100.0}, {NEIGHBOUR: "n"})
    assert {share.cgroup: share.share_pct for share in found} == pytest.approx(
        {OTHER: 200 / 3, NEIGHBOUR: 100 / 3}
    )


def test_a_loss_on_the_cpu_is_charged_to_nobody_by_cpu_time() -> None:
    second = "/jostle-1/neighbour-2"
    with_ = trial(Arm.WITH, 2.0, victim=cgroup(2.0), others_run_s={NEIGHBOUR: 1.0, second: 3.0, OTHER: 5.0})
    pairs, names = pair(alone(), with_), {NEIGHBOUR: "n", second: "s"}
    causes = {CauseKind.MICROARCHITECTURE: 90.0, CauseKind.UNEXPLAINED: 10.0}
    assert aggressors(pairs, causes, names, sole=Witness.STOPPED) == ()
    # With one neighbour the trials without it are those in which it alone is absent.
    found = aggressors(pairs, causes, {NEIGHBOUR: "n"}, sole=Witness.STOPPED)
    assert [(each.cause, each.share_pct, each.witness) for each in found] == [
        (CauseKind.MICROARCHITECTURE, 90.0, Witness.STOPPED),
        (CauseKind.UNEXPLAINED, 10.0, Witness.STOPPED),
    ]
    assert aggressors(pairs, causes, {NEIGHBOUR: "n"}) == ()


def test_who_was_confirmed_is_charged_with_what_nobody_was_seen_at_and_comes_first() -> None:
    second = "/jostle-1/neighbour-2"
    pairs = pair(alone(), beside(4.0, cgroup(1.0, {second: 1.0})))
    causes = {CauseKind.CPU_WAIT: 60.0, CauseKind.IO: 40.0}
    confirmed = [
        Confirmation(NEIGHBOUR, "n", 300.0, (200.0, 400.0), 8),
        Confirmation(second, "s", -1.0, (-3.0, 1.0), 8),
    ]
    found = aggressors(pairs, causes, {NEIGHBOUR: "n", second: "s"}, confirmed=confirmed)
    assert [(each.cgroup, each.cause, each.share_pct, each.witness) for each in found] == [
        (NEIGHBOUR, CauseKind.IO, 40.0, Witness.STOPPED),
        (second, CauseKind.CPU_WAIT, 60.0, Witness.SEEN),
    ]


def test_who_a_disk_served_meanwhile_was_seen() -> None:
    # A neighbour that hogs the CPU beside it has nothing to do with it, nor has the victim's own part.
    before, after = (
        DiskUse(queue_ns=10, self_ns=10),
        DiskUse(queue_ns=1000, self_ns=300, waited_for={NEIGHBOUR: 600, OTHER: 100}),
    )
    pairs = pair(
        seen_as(alone(), disk=before), seen_as(hindered(2.0, cgroup(1.0), VictimSignals()), disk=after)
    )
    found = aggressors(pairs, {CauseKind.IO: 70.0}, {NEIGHBOUR: "n", "/jostle-1/neighbour-2": "s"})
    assert {each.cgroup: each.share_pct for each in found} == pytest.approx({NEIGHBOUR: 60.0, OTHER: 10.0})
    assert {each.witness for each in found} == {Witness.SEEN}


def test_a_disk_that_served_hardly_anybody_else_names_nobody() -> None:
    before, after = DiskUse(self_ns=10), DiskUse(queue_ns=1000, self_ns=950, waited_for={OTHER: 50})
    pairs = pair(
        seen_as(alone(), disk=before), seen_as(hindered(2.0, cgroup(1.0), VictimSignals()), disk=after)
    )
    assert aggressors(pairs, {CauseKind.IO: 70.0}, {NEIGHBOUR: "n", OTHER: "o"}) == ()


def test_a_wait_that_is_nobodys_is_charged_to_nobody() -> None:
    (found,) = aggressors(
        pair(alone(), beside(3.0, cgroup(1.0, {NEIGHBOUR: 1.5}, unattributed_s=0.5))),
        {CauseKind.CPU_WAIT: 100.0},
        {NEIGHBOUR: "n"},
    )
    assert found.share_pct == pytest.approx(75.0)


def test_own_doing_charges_nobody() -> None:
    assert (
        aggressors(
            pair(alone(), beside(2.0, cgroup(1.0, self_s=1.0))), {CauseKind.SELF: 100.0}, {NEIGHBOUR: "n"}
        )
        == ()
    )


def test_the_residual_is_what_is_charged_to_nobody() -> None:
    assert blame_residual_pct(
        pair(alone(), beside(2.0, cgroup(1.0, {NEIGHBOUR: 0.75}, unattributed_s=0.25)))
    ) == pytest.approx(25)
    assert blame_residual_pct(pair(alone(), beside(1.0, cgroup(1.0)))) is None


def served(own_s: float, others_s: float, requests: int) -> DiskUse:
    waits = {NEIGHBOUR: round(others_s * NS)} if others_s else {}
    return DiskUse(
        reads=requests,
        read_bytes=requests << 12,
        service_ns=round((own_s + others_s) * NS),
        self_ns=round(own_s * NS),
        waited_for=waits,
    )


@pytest.mark.parametrize(
    ("with_", "ratio"),
    [
        (served(3.0, 0.0, 1000), 1.0),  # it made ten times as many, and waits for nobody else's
        (
            served(1.5, 8.5, 100),
            0.0,
        ),  # it made as many as before: its own, side by side, took longer for others'
        (served(0.2, 0.0, 100), 0.0),
        (DiskUse(), 0.0),
    ],
)
def test_own_requests_are_own_doing_as_far_as_they_are_more(with_: DiskUse, ratio: float) -> None:
    before = seen_as(alone(), disk=served(0.3, 0.0, 100))
    assert io_own_ratio(pair(before, seen_as(beside(2.0, cgroup(1.0)), disk=with_))) == ratio


def test_an_own_storm_beside_another_is_own_doing_in_part() -> None:
    observed = pair(
        seen_as(alone(), disk=served(0.0, 0.0, 0)),
        seen_as(beside(2.0, cgroup(1.0)), disk=served(1.0, 3.0, 100)),
    )
    assert io_own_ratio(observed) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("others_s", "ratio"),
    [
        (3.0, 1.0),  # ten times as many requests, of each of which a bystander has half, as before
        (1.5, 1.0),
        (5.7, 0.5),  # somebody else came as well
    ],
)
def test_a_bystander_that_goes_on_as_before_takes_nothing_from_what_is_own_doing(
    others_s: float, ratio: float
) -> None:
    before = seen_as(alone(), disk=served(0.3, 0.3, 100))
    with_ = seen_as(beside(2.0, cgroup(1.0)), disk=served(3.0, others_s, 1000))
    assert io_own_ratio(pair(before, with_)) == pytest.approx(ratio, abs=0.01)


def test_what_it_only_read_again_is_not_its_own_doing() -> None:
    """Others had its memory: of its requests all that are more came for pages that had been there before."""
    before = seen_as(alone(), disk=served(0.1, 0.0, 100), signals=VictimSignals(refaulted_pages=0))
    with_ = seen_as(beside(2.0, cgroup(1.0)), disk=served(3.0, 0.0, 1000))

    def own_ratio(refaulted_pages: int) -> float:
        return io_own_ratio(
            pair(before, seen_as(with_, signals=VictimSignals(refaulted_pages=refaulted_pages)))
        )

    assert own_ratio(900) == pytest.approx(0.0)
    assert own_ratio(0) == pytest.approx(1.0)
    assert own_ratio(450) == pytest.approx(1.0)  # the rest is its own, and it waited for nobody else


def test_want_of_memory_is_charged_to_whose_need_had_it_reclaimed() -> None:
    before = MemoryContest(own=ReclaimUse(1, 10, 0), others_pages={OTHER: 50})
    after = MemoryContest(own=ReclaimUse(5, 500, 0), others_pages={NEIGHBOUR: 3000, OTHER: 100})
    observed = pair(seen_as(alone(), memory=before), seen_as(beside(2.0, cgroup(1.0)), memory=after))
    (found,) = aggressors(observed, {CauseKind.MEMORY_PRESSURE: 80.0}, {NEIGHBOUR: "n", "/x/second": "s"})
    assert (found.cgroup, found.share_pct, found.witness) == (NEIGHBOUR, 80.0, Witness.SEEN)
    assert memory_own_ratio(observed) == 0.0


def test_a_limit_of_ones_own_is_own_doing_and_a_shared_one_is_not() -> None:
    own = MemoryContest(own_limit=ReclaimUse(9, 900, 0), others_pages={NEIGHBOUR: 300})
    observed = pair(alone(), seen_as(beside(2.0, cgroup(1.0)), memory=own))
    assert memory_own_ratio(observed) == pytest.approx(0.75)
    (found,) = aggressors(observed, {CauseKind.MEMORY_PRESSURE: 80.0}, {NEIGHBOUR: "n"})
    assert found.share_pct == pytest.approx(20.0)


def test_who_filled_the_queue_was_seen_and_an_own_flood_is_own_doing() -> None:
    before = QueueUse(packets=100, bytes=10_000, queue_ns=1000, self_ns=1000)
    behind = QueueUse(packets=100, bytes=10_000, queue_ns=NS, self_ns=2000, waited_for={NEIGHBOUR: NS - 2000})
    flood = QueueUse(packets=9900, bytes=9_900_000, queue_ns=NS, self_ns=NS)
    whole = {CauseKind.NETWORK: 90.0}
    observed = pair(seen_as(alone(), network=before), seen_as(beside(2.0, cgroup(1.0)), network=behind))
    (found,) = aggressors(observed, whole, {NEIGHBOUR: "n", "/x/second": "s"})
    assert (found.cgroup, found.share_pct, found.witness) == (NEIGHBOUR, 90.0, Witness.SEEN)
    own = pair(seen_as(alone(), network=before), seen_as(beside(2.0, cgroup(1.0)), network=flood))
    assert network_own_ratio(own) > 0.9
    assert sum(each.share_pct for each in aggressors(own, whole, {NEIGHBOUR: "n"})) < 10
