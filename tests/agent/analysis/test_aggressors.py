"""Who the loss is charged to, in observations whose answer is known by construction."""

import pytest
from hypothesis import given

from agent.analysis.aggressors import (
    aggressors,
    blame_residual_pct,
    extra_waits_s,
    share_ancestor,
    throttled_own_ratio,
)
from agent.analysis.observation import Pairs, VictimSignals
from agent.documents.verdict import CauseKind
from agent.documents.verdict_parts import Arm
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


def test_io_is_charged_by_the_bytes_moved() -> None:
    second = "/jostle-1/neighbour-2"
    moved = VictimSignals(io_bytes={NEIGHBOUR: 300, second: 100})
    found = aggressors(
        pair(alone(), hindered(2.0, cgroup(1.0), moved)), {CauseKind.IO: 50.0}, {NEIGHBOUR: "n", second: "s"}
    )
    assert [(share.cgroup, share.share_pct) for share in found] == [(NEIGHBOUR, 75.0), (second, 25.0)]


def test_only_the_root_is_no_common_ancestor() -> None:
    assert share_ancestor("/kubepods/a", "/kubepods/b/c")
    assert not share_ancestor("/system.slice/a", "/user.slice/b")


@given(observed_pairs)
def test_blame_is_shared_out_wholly_and_sorted(pairs: Pairs) -> None:
    causes = {CauseKind(name): share_pct for name, share_pct in shares_of(pairs).items()}
    found = aggressors(pairs, causes, {NEIGHBOUR: "n"})
    if found:
        assert sum(share.share_pct for share in found) == pytest.approx(100)
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


def test_a_loss_on_the_cpu_is_shared_among_neighbours_by_how_long_they_ran() -> None:
    second = "/jostle-1/neighbour-2"
    with_ = trial(Arm.WITH, 2.0, victim=cgroup(2.0), others_run_s={NEIGHBOUR: 1.0, second: 3.0, OTHER: 5.0})
    found = aggressors(
        pair(alone(), with_), {CauseKind.MICROARCHITECTURE: 100.0}, {NEIGHBOUR: "n", second: "s"}
    )
    assert [(share.cgroup, share.share_pct) for share in found] == [(second, 75.0), (NEIGHBOUR, 25.0)]


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
