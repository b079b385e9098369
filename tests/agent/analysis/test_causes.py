"""Where the time went, in observations whose answer is known by construction."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.aggressors import (
    aggressors,
)
from agent.analysis.causes import decompose, mean_concurrency, preempted_by_others_ns, terms_of
from agent.analysis.observation import Pairs, TrialResult, VictimSignals, busiest_cpu, pairs_of
from agent.documents.metric import STRETCH, Metric
from agent.documents.verdict import CauseKind
from agent.documents.verdict_parts import Arm
from collectors.windows.sched import CgroupWindow, CpuWindow
from tests.agent.analysis.trials import NEIGHBOUR, NS, OTHER, cgroup, instructions, pair, seen_as, trial

RATE = Metric("requests", "1/s", "higher")


def shares_of(pairs: Pairs) -> dict[str, float]:
    return {cause.cause: cause.share_pct for cause in decompose(pairs).causes}


def alone(duration_s: float = 1.0, run_s: float = 1.0) -> TrialResult:
    return trial(Arm.WITHOUT, duration_s, victim=cgroup(run_s))


def beside(duration_s: float, victim: CgroupWindow) -> TrialResult:
    return trial(Arm.WITH, duration_s, victim=victim)


def hindered(duration_s: float, victim: CgroupWindow, by: VictimSignals) -> TrialResult:
    return seen_as(beside(duration_s, victim), signals=by)


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


observed_pairs = st.lists(st.tuples(trials(Arm.WITHOUT), trials(Arm.WITH)), min_size=1, max_size=6).map(
    pairs_of
)


def test_waiting_for_a_neighbour_is_cpu_wait() -> None:
    pairs = pair(alone(), beside(2.0, cgroup(1.0, {NEIGHBOUR: 1.0})))
    assert shares_of(pairs)[CauseKind.CPU_WAIT] == pytest.approx(100)


@pytest.mark.parametrize(
    ("victim", "cause"),
    [
        (cgroup(1.0, self_s=1.0), CauseKind.SELF),
        (cgroup(1.0, throttled_s=1.0), CauseKind.THROTTLED),
        (cgroup(1.0, unattributed_s=1.0), CauseKind.CPU_WAIT),
    ],
)
def test_each_kind_of_wait_is_its_own_cause(victim: CgroupWindow, cause: CauseKind) -> None:
    assert shares_of(pair(alone(), beside(2.0, victim)))[cause] == pytest.approx(100)


def test_a_longer_run_for_the_same_work_is_microarchitecture_and_steal() -> None:
    shares = shares_of(pair(alone(), beside(3.0, cgroup(3.0, stolen_s=0.5))))
    assert shares[CauseKind.MICROARCHITECTURE] == pytest.approx(75)
    assert shares[CauseKind.STEAL] == pytest.approx(25)


def test_what_no_term_accounts_for_is_unexplained() -> None:
    shares = shares_of(pair(alone(), beside(3.0, cgroup(1.0, {NEIGHBOUR: 0.5}))))
    assert shares[CauseKind.UNEXPLAINED] == pytest.approx(75)
    assert shares[CauseKind.CPU_WAIT] == pytest.approx(25)


def test_no_causes_when_no_time_was_lost() -> None:
    assert decompose(pair(alone(), beside(0.9, cgroup(1.0)))).causes == ()


def test_task_time_of_several_threads_counts_once_on_the_clock() -> None:
    # Four threads that ran 1 s and waited 1 s each: 8 s of task time on 2 s of the clock.
    pairs = pair(alone(run_s=4.0), beside(2.0, cgroup(4.0, {NEIGHBOUR: 4.0})))
    assert mean_concurrency(*map(terms_of, pairs[0])) == pytest.approx(4.0)
    assert shares_of(pairs)[CauseKind.CPU_WAIT] == pytest.approx(100)


def test_a_mostly_sleeping_victim_is_not_scaled_up() -> None:
    assert mean_concurrency(*map(terms_of, pair(alone(10.0), beside(10.0, cgroup(1.0)))[0])) == 1.0


def test_the_work_of_a_rate_is_rate_times_time() -> None:
    assert trial(duration_s=2.0, value=50.0, metric=RATE).seen.work == 100.0
    assert trial(duration_s=2.0).seen.work == 1.0


def test_other_work_in_threads_of_its_own_is_no_longer_run() -> None:
    # Alone one thread runs for 1 s. Beside a client another one answers it, on the same CPU, all the time.
    shares = shares_of(pair(alone(), beside(2.0, cgroup(2.0, self_s=2.0))))
    assert shares[CauseKind.SELF] == pytest.approx(100)


def test_other_work_on_an_own_cpu_is_no_longer_run_either() -> None:
    shares = shares_of(pair(alone(), beside(2.0, cgroup(2.0, throttled_s=2.0))))
    assert shares[CauseKind.THROTTLED] == pytest.approx(100)


def test_a_loss_of_concurrency_is_no_longer_run() -> None:
    # Two processes on a CPU each; one of them has to share its CPU, so that it ends a second later.
    without = trial(Arm.WITHOUT, 1.0, victim=cgroup(2.0))
    shares = shares_of(pair(without, beside(2.0, cgroup(2.0, {NEIGHBOUR: 1.0}))))
    assert shares.get(CauseKind.MICROARCHITECTURE, 0.0) == pytest.approx(0)
    assert max(shares, key=lambda cause: shares[cause]) == CauseKind.CPU_WAIT


@pytest.mark.parametrize(("running", "cause"), [(0.7, CauseKind.PREEMPTION), (1.0, CauseKind.CPU_WAIT)])
def test_preemptions_are_told_apart_where_no_cpu_is_full(running: float, cause: CauseKind) -> None:
    with_ = beside(2.0, replace(cgroup(1.0, {NEIGHBOUR: 1.0}), preempt_wait_ns=NS))
    cpus = (CpuWindow(running, 0.5, 1000),)
    pairs = pair(alone(), seen_as(with_, busiest_cpu=busiest_cpu([replace(with_.window, cpus=cpus)])))
    assert shares_of(pairs)[cause] == pytest.approx(100)
    (found,) = aggressors(pairs, {cause: 100.0}, {NEIGHBOUR: "n"})
    assert (found.cgroup, found.cause) == (NEIGHBOUR, cause)


def test_own_preemptions_are_not_charged_to_others() -> None:
    victim = replace(cgroup(1.0, {NEIGHBOUR: 0.5}, self_s=0.5), preempt_wait_ns=NS // 2)
    seen = seen_as(beside(2.0, victim), busiest_cpu=0.5).seen
    assert preempted_by_others_ns(seen, NS // 2) == 0
    assert (
        preempted_by_others_ns(replace(seen, victim=replace(victim, preempt_wait_ns=NS)), NS // 2) == NS // 2
    )


def test_stolen_time_beyond_the_hypervisors_is_interrupts() -> None:
    with_ = hindered(3.0, cgroup(3.0, stolen_s=2.0), VictimSignals(steal_ns=NS // 2))
    shares = shares_of(pair(alone(), with_))
    assert (shares[CauseKind.STEAL], shares[CauseKind.INTERRUPTS]) == pytest.approx((25, 75))


def test_stalls_count_as_far_as_the_victim_was_blocked() -> None:
    stalled = VictimSignals(memory_stalled_ns=NS, io_stalled_ns=9 * NS)
    shares = shares_of(pair(alone(), hindered(4.0, cgroup(1.0), stalled)))
    assert shares[CauseKind.MEMORY_PRESSURE] == pytest.approx(100 / 3)
    assert shares[CauseKind.IO] == pytest.approx(200 / 3)


def test_a_lower_frequency_explains_as_much_of_a_longer_run() -> None:
    fast = seen_as(alone(), signals=VictimSignals(frequency_khz=3e6))
    shares = shares_of(pair(fast, hindered(2.0, cgroup(2.0), VictimSignals(frequency_khz=2e6))))
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
    before = seen_as(alone(), counted=instructions(3 * NS, 3 * NS))
    after = seen_as(
        beside(run_s, cgroup(run_s)), counted=instructions(round(number * NS), round(cycles * NS))
    )
    shares = shares_of(pair(before, after))
    assert shares.get(CauseKind.MICROARCHITECTURE, 0.0) == pytest.approx(slower_pct)
    assert shares[CauseKind.UNEXPLAINED] == pytest.approx(100 - slower_pct)


def test_counters_that_took_turns_too_often_decide_nothing() -> None:
    before = seen_as(alone(), counted=instructions(3 * NS, 3 * NS))
    after = seen_as(beside(2.0, cgroup(2.0)), counted=instructions(6 * NS, 6 * NS, ratio=0.7))
    assert shares_of(pair(before, after))[CauseKind.MICROARCHITECTURE] == pytest.approx(100)


def test_of_a_rate_the_loss_is_per_unit_of_work() -> None:
    # Both ran 1 s; the one beside a neighbour waited half of it and did half as much.
    without = trial(Arm.WITHOUT, 1.0, value=100.0, metric=RATE, victim=cgroup(1.0))
    with_ = trial(Arm.WITH, 1.0, value=50.0, metric=RATE, victim=cgroup(0.5, {NEIGHBOUR: 0.5}))
    assert shares_of(pair(without, with_))[CauseKind.CPU_WAIT] == pytest.approx(100)


@given(observed_pairs)
def test_shares_sum_to_a_hundred_whenever_time_was_lost(pairs: Pairs) -> None:
    shares = shares_of(pairs)
    if shares:
        assert sum(shares.values()) == pytest.approx(100, abs=0.5)
        assert min(shares.values()) >= 0


def test_the_stretch_knows_of_waiting_alone() -> None:
    """What takes time from within its running is in both parts of the ratio, and says nothing of it."""
    slow = VictimSignals(frequency_khz=2e6, steal_ns=NS)
    without = trial(metric=STRETCH, value=1.0, victim=cgroup(1.0))
    with_ = trial(
        Arm.WITH, 2.0, metric=STRETCH, value=2.0, victim=cgroup(1.0, {NEIGHBOUR: 1.0}, stolen_s=0.5)
    )
    seen = pair(
        seen_as(without, signals=VictimSignals(frequency_khz=3e6, steal_ns=0)), seen_as(with_, signals=slow)
    )
    assert shares_of(seen) == {
        CauseKind.CPU_WAIT: pytest.approx(100),
        CauseKind.UNEXPLAINED: pytest.approx(0),
    }


def test_how_far_the_causes_were_bent_is_told() -> None:
    assert decompose(pair(alone(), beside(2.0, cgroup(1.0, {NEIGHBOUR: 1.0})))).bent_pct == pytest.approx(0)
    # It ran for half as long, and waited for longer than it lost: 1.5 s of waits in an extra second.
    bent = decompose(pair(alone(), beside(2.0, cgroup(0.5, {NEIGHBOUR: 1.5})))).bent_pct
    assert bent == pytest.approx(50)
