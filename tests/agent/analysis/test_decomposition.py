"""Where the time went, in trials whose answer is known by construction."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.decomposition import (
    aggressor_shares,
    blame_residual_pct,
    cause_shares,
    extra_waits_s,
    mean_concurrency,
    share_ancestor,
    throttled_own_ratio,
)
from agent.analysis.terms import preempted_by_others_ns, terms_of, work_of
from agent.analysis.trial_signals import TrialSignals
from agent.analysis.trials import TrialResult
from agent.documents.metric import Metric
from agent.documents.verdict import CauseKind
from agent.documents.verdict_parts import Arm
from collectors.windows.sched import CgroupWindow, CpuWindow
from tests.agent.analysis.trials import NEIGHBOUR, NS, OTHER, block, cgroup, instructions, trial

RATE = Metric("requests", "1/s", "higher")
Blocks = list[tuple[TrialResult, TrialResult]]


def shares_of(blocks: Blocks) -> dict[str, float]:
    return {share.cause: share.share_pct for share in cause_shares(blocks)}


def alone(duration_s: float = 1.0, run_s: float = 1.0) -> TrialResult:
    return trial(Arm.WITHOUT, duration_s, victim=cgroup(run_s))


def beside(duration_s: float, victim: CgroupWindow) -> TrialResult:
    return trial(Arm.WITH, duration_s, victim=victim)


def hindered(duration_s: float, victim: CgroupWindow, by: TrialSignals) -> TrialResult:
    return replace(beside(duration_s, victim), trial_signals=by)


def test_waiting_for_a_neighbour_is_cpu_wait() -> None:
    blocks = block(alone(), beside(2.0, cgroup(1.0, {NEIGHBOUR: 1.0})))
    assert shares_of(blocks)[CauseKind.CPU_WAIT] == pytest.approx(100)


@pytest.mark.parametrize(
    ("victim", "cause"),
    [
        (cgroup(1.0, self_s=1.0), CauseKind.SELF),
        (cgroup(1.0, throttled_s=1.0), CauseKind.THROTTLED),
        (cgroup(1.0, unattributed_s=1.0), CauseKind.CPU_WAIT),
    ],
)
def test_each_kind_of_wait_is_its_own_cause(victim: CgroupWindow, cause: CauseKind) -> None:
    assert shares_of(block(alone(), beside(2.0, victim)))[cause] == pytest.approx(100)


def test_a_longer_run_for_the_same_work_is_microarchitecture_and_steal() -> None:
    shares = shares_of(block(alone(), beside(3.0, cgroup(3.0, stolen_s=0.5))))
    assert shares[CauseKind.MICROARCHITECTURE] == pytest.approx(75)
    assert shares[CauseKind.STEAL] == pytest.approx(25)


def test_what_no_term_accounts_for_is_unexplained() -> None:
    shares = shares_of(block(alone(), beside(3.0, cgroup(1.0, {NEIGHBOUR: 0.5}))))
    assert shares[CauseKind.UNEXPLAINED] == pytest.approx(75)
    assert shares[CauseKind.CPU_WAIT] == pytest.approx(25)


def test_no_causes_when_no_time_was_lost() -> None:
    assert cause_shares(block(alone(), beside(0.9, cgroup(1.0)))) == []


def test_task_time_of_several_threads_counts_once_on_the_clock() -> None:
    # Four threads that ran 1 s and waited 1 s each: 8 s of task time on 2 s of the clock.
    blocks = block(alone(run_s=4.0), beside(2.0, cgroup(4.0, {NEIGHBOUR: 4.0})))
    assert mean_concurrency(*map(terms_of, blocks[0])) == pytest.approx(4.0)
    assert shares_of(blocks)[CauseKind.CPU_WAIT] == pytest.approx(100)


def test_a_mostly_sleeping_victim_is_not_scaled_up() -> None:
    assert mean_concurrency(terms_of(alone(10.0)), terms_of(beside(10.0, cgroup(1.0)))) == 1.0


def test_the_work_of_a_rate_is_rate_times_time() -> None:
    assert work_of(trial(duration_s=2.0, value=50.0, metric=RATE)) == 100.0
    assert work_of(trial(duration_s=2.0)) == 1.0


def test_other_work_in_threads_of_its_own_is_no_longer_run() -> None:
    # Alone one thread runs for 1 s. Beside a client another one answers it, on the same CPU, all the time.
    shares = shares_of(block(alone(), beside(2.0, cgroup(2.0, self_s=2.0))))
    assert shares[CauseKind.SELF] == pytest.approx(100)


def test_other_work_on_an_own_cpu_is_no_longer_run_either() -> None:
    shares = shares_of(block(alone(), beside(2.0, cgroup(2.0, throttled_s=2.0))))
    assert shares[CauseKind.THROTTLED] == pytest.approx(100)


def test_a_loss_of_concurrency_is_no_longer_run() -> None:
    # Two processes on a CPU each; one of them has to share its CPU, so that it ends a second later.
    without = trial(Arm.WITHOUT, 1.0, victim=cgroup(2.0))
    shares = shares_of(block(without, beside(2.0, cgroup(2.0, {NEIGHBOUR: 1.0}))))
    assert shares.get(CauseKind.MICROARCHITECTURE, 0.0) == pytest.approx(0)
    assert max(shares, key=lambda cause: shares[cause]) == CauseKind.CPU_WAIT


@pytest.mark.parametrize(("running", "cause"), [(0.7, CauseKind.PREEMPTION), (1.0, CauseKind.CPU_WAIT)])
def test_preemptions_are_told_apart_where_no_cpu_is_full(running: float, cause: CauseKind) -> None:
    with_ = beside(2.0, replace(cgroup(1.0, {NEIGHBOUR: 1.0}), preempt_wait_ns=NS))
    cpus = (CpuWindow(running, 0.5, 1000),)
    blocks = block(alone(), replace(with_, window=replace(with_.window, cpus=cpus)))
    assert shares_of(blocks)[cause] == pytest.approx(100)
    (found,) = aggressor_shares(blocks, {cause: 100.0}, [NEIGHBOUR])
    assert (found.cgroup, found.cause) == (NEIGHBOUR, cause)


def test_own_preemptions_are_not_charged_to_others() -> None:
    victim = replace(cgroup(1.0, {NEIGHBOUR: 0.5}, self_s=0.5), preempt_wait_ns=NS // 2)
    assert preempted_by_others_ns(beside(2.0, victim), NS // 2) == 0


def test_stolen_time_beyond_the_hypervisors_is_interrupts() -> None:
    with_ = hindered(3.0, cgroup(3.0, stolen_s=2.0), TrialSignals(steal_ns=NS // 2))
    shares = shares_of(block(alone(), with_))
    assert (shares[CauseKind.STEAL], shares[CauseKind.INTERRUPTS]) == pytest.approx((25, 75))


def test_stalls_count_as_far_as_the_victim_was_blocked() -> None:
    stalled = TrialSignals(memory_stalled_ns=NS, io_stalled_ns=9 * NS)
    shares = shares_of(block(alone(), hindered(4.0, cgroup(1.0), stalled)))
    assert shares[CauseKind.MEMORY_PRESSURE] == pytest.approx(100 / 3)
    assert shares[CauseKind.IO] == pytest.approx(200 / 3)


def test_a_lower_frequency_explains_as_much_of_a_longer_run() -> None:
    fast = replace(alone(), trial_signals=TrialSignals(frequency_khz=3e6))
    shares = shares_of(block(fast, hindered(2.0, cgroup(2.0), TrialSignals(frequency_khz=2e6))))
    # At 3 GHz the run of 2 s would have taken a third less.
    assert shares[CauseKind.FREQUENCY] == pytest.approx(100 * 2 / 3)
    assert shares[CauseKind.MICROARCHITECTURE] == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("run_s", "number", "cycles", "slower_pct"),
    [
        (2.0, 3, 6, 100),  # the same instructions, each in twice the cycles
        (2.0, 6, 6, 0),  # twice the instructions, as fast as before
        (3.0, 4.5, 9, 75),  # half as many again, each in twice the cycles: without that they had taken 1.5 s
        (2.0, 9, 6, 0),  # faster than before, but far more of them
    ],
)
def test_where_instructions_are_counted_only_slower_ones_are_microarchitecture(
    run_s: float, number: float, cycles: float, slower_pct: float
) -> None:
    before = replace(alone(), counted=instructions(3 * NS, 3 * NS))
    after = replace(
        beside(run_s, cgroup(run_s)), counted=instructions(round(number * NS), round(cycles * NS))
    )
    shares = shares_of(block(before, after))
    assert shares.get(CauseKind.MICROARCHITECTURE, 0.0) == pytest.approx(slower_pct)
    assert shares[CauseKind.UNEXPLAINED] == pytest.approx(100 - slower_pct)


def test_counters_that_took_turns_too_often_decide_nothing() -> None:
    before = replace(alone(), counted=instructions(3 * NS, 3 * NS))
    after = replace(beside(2.0, cgroup(2.0)), counted=instructions(6 * NS, 6 * NS, ratio=0.7))
    assert shares_of(block(before, after))[CauseKind.MICROARCHITECTURE] == pytest.approx(100)


def throttled(own_s: float, ancestors_s: float) -> Blocks:
    none = replace(alone(), trial_signals=TrialSignals(throttled_own_ns=0, throttled_ancestors_ns=0))
    some = TrialSignals(throttled_own_ns=round(own_s * NS), throttled_ancestors_ns=round(ancestors_s * NS))
    with_ = hindered(2.0, cgroup(1.0, throttled_s=1.0), some)
    return block(none, replace(with_, others_run_ns={NEIGHBOUR: NS, "/elsewhere/other": NS}))


@pytest.mark.parametrize(
    ("own_s", "ancestors_s", "ratio"), [(1, 0, 1.0), (1, 3, 0.25), (0, 2, 0.0), (0, 0, 1.0)]
)
def test_whose_quota_it_was(own_s: float, ancestors_s: float, ratio: float) -> None:
    assert throttled_own_ratio(throttled(own_s, ancestors_s)) == ratio


def test_a_quota_of_unknown_owner_is_the_victims() -> None:
    assert throttled_own_ratio(block(alone(), beside(2.0, cgroup(1.0, throttled_s=1.0)))) == 1.0


def test_an_ancestors_quota_is_charged_to_the_neighbours_below_it() -> None:
    causes = {CauseKind.THROTTLED: 100.0}
    assert aggressor_shares(throttled(1, 0), causes, [NEIGHBOUR, "/elsewhere/other"]) == []
    (found,) = aggressor_shares(throttled(0, 1), causes, [NEIGHBOUR, "/elsewhere/other"])
    assert (found.cgroup, found.share_pct, found.cause) == (NEIGHBOUR, 100.0, CauseKind.THROTTLED)


def test_io_is_charged_by_the_bytes_moved() -> None:
    second = "/jostle-1/neighbour-2"
    moved = TrialSignals(io_bytes={NEIGHBOUR: 300, second: 100})
    found = aggressor_shares(
        block(alone(), hindered(2.0, cgroup(1.0), moved)), {CauseKind.IO: 50.0}, [NEIGHBOUR, second]
    )
    assert [(share.cgroup, share.share_pct) for share in found] == [(NEIGHBOUR, 75.0), (second, 25.0)]


def test_only_the_root_is_no_common_ancestor() -> None:
    assert share_ancestor("/kubepods/a", "/kubepods/b/c")
    assert not share_ancestor("/system.slice/a", "/user.slice/b")


def test_of_a_rate_the_loss_is_per_unit_of_work() -> None:
    # Both ran 1 s; the one beside a neighbour waited half of it and did half as much.
    without = trial(Arm.WITHOUT, 1.0, value=100.0, metric=RATE, victim=cgroup(1.0))
    with_ = trial(Arm.WITH, 1.0, value=50.0, metric=RATE, victim=cgroup(0.5, {NEIGHBOUR: 0.5}))
    assert shares_of(block(without, with_))[CauseKind.CPU_WAIT] == pytest.approx(100)


seconds = st.floats(0, 10)


@st.composite
def trials(draw: st.DrawFn, arm: Arm) -> TrialResult:
    victim = cgroup(
        draw(st.floats(0.1, 10)),
        draw(st.dictionaries(st.sampled_from([NEIGHBOUR, OTHER]), seconds)),
        self_s=draw(seconds),
        throttled_s=draw(seconds),
        unattributed_s=draw(seconds),
    )
    return trial(arm, draw(st.floats(0.1, 20)), victim=victim, others_run_s={NEIGHBOUR: draw(seconds)})


blocks_of_trials = st.lists(st.tuples(trials(Arm.WITHOUT), trials(Arm.WITH)), min_size=1, max_size=6)


@given(blocks_of_trials)
def test_shares_sum_to_a_hundred_whenever_time_was_lost(blocks: Blocks) -> None:
    shares = shares_of(blocks)
    if shares:
        assert sum(shares.values()) == pytest.approx(100, abs=0.5)
        assert min(shares.values()) >= 0


@given(blocks_of_trials)
def test_blame_is_shared_out_wholly_and_sorted(blocks: Blocks) -> None:
    causes = {CauseKind(name): share_pct for name, share_pct in shares_of(blocks).items()}
    found = aggressor_shares(blocks, causes, [NEIGHBOUR])
    if found:
        assert sum(share.share_pct for share in found) == pytest.approx(100)
    assert [s.share_pct for s in found] == sorted((s.share_pct for s in found), reverse=True)
    assert all(share.share_pct > 0 for share in found)


def test_a_bystander_that_goes_on_as_before_is_no_aggressor() -> None:
    # It is in the way for a quarter of the time in either arm, which is twice as long in a trial twice as long.
    without = trial(Arm.WITHOUT, 2.0, victim=cgroup(1.5, {OTHER: 0.5}))
    blocks = block(without, beside(4.0, cgroup(1.5, {OTHER: 1.0, NEIGHBOUR: 1.5})))
    assert extra_waits_s(blocks) == pytest.approx({OTHER: 0.0, NEIGHBOUR: 1.5})
    found = aggressor_shares(blocks, {CauseKind.CPU_WAIT: 100.0}, [NEIGHBOUR])
    assert [(share.cgroup, share.share_pct, share.cause) for share in found] == [
        (NEIGHBOUR, 100.0, CauseKind.CPU_WAIT)
    ]


def test_a_bystander_that_the_neighbours_set_off_is_one() -> None:
    without = trial(Arm.WITHOUT, 2.0, victim=cgroup(1.5, {OTHER: 0.5}))
    blocks = block(without, beside(4.0, cgroup(1.5, {OTHER: 2.0, NEIGHBOUR: 0.5})))
    found = aggressor_shares(blocks, {CauseKind.CPU_WAIT: 100.0}, [NEIGHBOUR])
    assert {share.cgroup: share.share_pct for share in found} == pytest.approx(
        {OTHER: 200 / 3, NEIGHBOUR: 100 / 3}
    )


def test_a_loss_on_the_cpu_is_shared_among_neighbours_by_how_long_they_ran() -> None:
    second = "/jostle-1/neighbour-2"
    with_ = trial(Arm.WITH, 2.0, victim=cgroup(2.0), others_run_s={NEIGHBOUR: 1.0, second: 3.0, OTHER: 5.0})
    found = aggressor_shares(block(alone(), with_), {CauseKind.MICROARCHITECTURE: 100.0}, [NEIGHBOUR, second])
    assert [(share.cgroup, share.share_pct) for share in found] == [(second, 75.0), (NEIGHBOUR, 25.0)]


def test_own_doing_charges_nobody() -> None:
    assert (
        aggressor_shares(
            block(alone(), beside(2.0, cgroup(1.0, self_s=1.0))), {CauseKind.SELF: 100.0}, [NEIGHBOUR]
        )
        == []
    )


def test_the_residual_is_what_is_charged_to_nobody() -> None:
    assert blame_residual_pct(
        block(alone(), beside(2.0, cgroup(1.0, {NEIGHBOUR: 0.75}, unattributed_s=0.25)))
    ) == pytest.approx(25)
    assert blame_residual_pct(block(alone(), beside(1.0, cgroup(1.0)))) is None
