"""Where the time went, in observations whose answer is known by construction."""

from dataclasses import replace
from mmap import PAGESIZE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.aggressors import (
    aggressors,
)
from agent.analysis.causes import decompose, mean_concurrency, preempted_by_others_ns, terms_of
from agent.analysis.observation import (
    Pairs,
    TrialResult,
    VictimSignals,
    busiest_cpu,
    displaced_ratio,
    pairs_of,
)
from agent.documents.metric import STRETCH, Metric
from agent.documents.verdict import CauseKind
from agent.documents.verdict_parts import Arm
from collectors.windows.disks import DiskUse
from collectors.windows.network import QueueUse
from collectors.windows.reclaims import MemoryContest, ReclaimUse
from collectors.windows.sched import CgroupWindow, CpuWindow
from tests.agent.analysis.trials import (
    NEIGHBOUR,
    NS,
    OTHER,
    cgroup,
    instructions,
    pair,
    seen_as,
    trial,
    window,
)

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
    assert shares[CauseKind.SELF] == pytest.approx(120)
    assert shares[CauseKind.UNEXPLAINED] == pytest.approx(-20)


def test_other_work_on_an_own_cpu_is_no_longer_run_either() -> None:
    shares = shares_of(pair(alone(), beside(2.0, cgroup(2.0, throttled_s=2.0))))
    assert shares[CauseKind.THROTTLED] == pytest.approx(120)


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


def test_a_task_that_is_stalled_counts_beside_those_that_run() -> None:
    """One thread reads a disk all the time while another computes: half of what they do is waiting for the disk."""
    without = trial(Arm.WITHOUT, 1.0, victim=cgroup(1.0))
    with_ = hindered(3.0, cgroup(3.0), VictimSignals(io_stalled_ns=3 * NS))
    unseen = shares_of(pair(without, with_))
    assert unseen.get(CauseKind.IO, 0.0) == 0.0
    shares = shares_of(pair(without, seen_as(with_, stalled_tasks=1.0)))
    assert shares[CauseKind.IO] == pytest.approx(100 * 1.5 / 2)
    assert shares[CauseKind.MICROARCHITECTURE] == pytest.approx(100 * 0.5 / 2)


def test_waits_of_those_that_do_other_work_do_not_hide_what_the_rest_is_stalled_for() -> None:
    """Alone one reads for 1 s; then eight write beside it, which wait a fifth as long for a CPU as for the disk."""
    reads = hindered(1.0, cgroup(0.1), VictimSignals(io_stalled_ns=9 * NS // 10))
    victim = cgroup(0.3, {OTHER: 3.0})
    writes = hindered(2.0, victim, VictimSignals(io_stalled_ns=2 * NS))
    shares = shares_of(pair(seen_as(reads, stalled_tasks=0.9), seen_as(writes, stalled_tasks=7.35)))
    assert shares[CauseKind.IO] > 70
    assert max(shares, key=lambda cause: shares[cause]) == CauseKind.IO


def test_the_stretch_has_no_stalls() -> None:
    waiting = trial(Arm.WITH, 2.0, metric=STRETCH, value=2.0, victim=cgroup(1.0, {NEIGHBOUR: 1.0}))
    alone_ = trial(metric=STRETCH, value=1.0, victim=cgroup(1.0))
    shares = shares_of(pair(alone_, seen_as(waiting, stalled_tasks=3.0)))
    assert shares[CauseKind.CPU_WAIT] == pytest.approx(100)


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


def test_what_causes_below_0_sum_to_is_told() -> None:
    assert decompose(pair(alone(), beside(2.0, cgroup(1.0, {NEIGHBOUR: 1.0})))).residual_pct == pytest.approx(
        0
    )
    # It ran for half as long, and waited for longer than it lost: 1.5 s of waits in an extra second.
    bent = decompose(pair(alone(), beside(2.0, cgroup(0.5, {NEIGHBOUR: 1.5})))).residual_pct
    assert bent == pytest.approx(50)


def test_what_it_waits_behind_its_own_while_others_have_its_other_cpus_is_their_doing() -> None:
    def shares(displaced_ratio: float) -> dict[str, float]:
        with_ = seen_as(beside(2.0, cgroup(1.0, self_s=1.0)), displaced_ratio=displaced_ratio)
        return shares_of(pair(alone(), with_))

    assert shares(0.0)["self"] == pytest.approx(100)
    assert shares(1.0)["cpu-wait"] == pytest.approx(100)
    assert shares(0.75) == pytest.approx(shares(0.75) | {"self": 25.0, "cpu-wait": 75.0})


@pytest.mark.parametrize(
    ("running", "victim_run_s", "allowed", "ratio"),
    [
        ((1.0, 1.0), 1.0, (0, 1), 1.0),  # others had all that it left
        ((1.0, 0.25), 1.0, (0, 1), 0.25),  # the other CPU was idle for most of the time
        ((1.0, 0.0), 1.0, (0, 1), 0.0),  # nobody was there
        ((1.0, 1.0), 0.5, (0,), 0.0),  # it may use no other CPU
        ((1.0, 1.0, 0.0), 1.0, (0, 1), 1.0),  # what is idle is not for it
        ((), 1.0, (0, 1), 0.0),
    ],
)
def test_what_others_had_of_the_cpus_that_it_may_use(
    running: tuple[float, ...], victim_run_s: float, allowed: tuple[int, ...], ratio: float
) -> None:
    cpus = tuple(CpuWindow(each, 0.0, 0) for each in running)
    seen = replace(window(duration_s=1.0), cpus=cpus)
    assert displaced_ratio(seen, round(victim_run_s * NS), allowed) == pytest.approx(ratio)


def test_the_time_that_packets_were_queued_counts_as_far_as_the_victim_was_blocked() -> None:
    queued = seen_as(beside(2.0, cgroup(1.0)), network=QueueUse(packets=9, queue_ns=NS // 2))
    assert shares_of(pair(alone(), queued))[CauseKind.NETWORK] == pytest.approx(50)
    many = seen_as(beside(2.0, cgroup(1.0)), network=QueueUse(packets=900, queue_ns=50 * NS))
    assert shares_of(pair(alone(), many))[CauseKind.NETWORK] == pytest.approx(100)


def test_running_to_free_memory_is_want_of_memory_and_no_slower_cpu() -> None:
    freeing = MemoryContest(own=ReclaimUse(9, 900, NS // 4), own_limit=ReclaimUse(9, 900, NS // 4))
    found = shares_of(pair(alone(), seen_as(beside(2.0, cgroup(2.0)), memory=freeing)))
    assert found[CauseKind.MEMORY_PRESSURE] == pytest.approx(50)
    assert found[CauseKind.MICROARCHITECTURE] == pytest.approx(50)
    waiting = beside(4.0, cgroup(2.0, {NEIGHBOUR: 2.0}))  # half of that time it waited for a CPU
    found = shares_of(pair(alone(), seen_as(waiting, memory=freeing)))
    assert found[CauseKind.MEMORY_PRESSURE] == pytest.approx(100 * 0.25 / 3)


def reading(duration_s: float, disk: DiskUse, refaulted_pages: int | None) -> TrialResult:
    """It ran for 1 s of a trial, and waited for disks in the rest of it."""
    stalled = VictimSignals(
        io_stalled_ns=round((duration_s - 1.0) * NS), memory_stalled_ns=0, refaulted_pages=refaulted_pages
    )
    return seen_as(hindered(duration_s, cgroup(1.0), stalled), disk=disk)


FIRST = DiskUse(reads=64, read_bytes=64 << 20, service_ns=NS // 10)
AGAIN = DiskUse(reads=64 + 16_000, read_bytes=(64 << 20) + 16_000 * PAGESIZE, service_ns=4 * NS)


@pytest.mark.parametrize(
    ("disk", "refaulted_pages", "memory_pct"),
    [
        # It had read 64 MiB in large requests, and reads each page of them again, one by one.
        (AGAIN, 16_000, 100 * 4.0 * 16_000 / 16_064 / 3.9),
        (AGAIN, 0, 0.0),  # as many, of what it had never had
        (AGAIN, None, 0.0),  # not told
        (AGAIN, 4_000, 100 * 4.0 * 4_000 / 16_064 / 3.9),  # a quarter of them had been in memory
        (FIRST, 0, 0.0),  # the disk alone is slower
        (FIRST, 16_000, 0.0),  # what came back came from elsewhere (zram, a file server)
        # Twice as many large ones: half of all is what came back.
        (DiskUse(reads=128, read_bytes=128 << 20, service_ns=4 * NS), 16_384, 100 * 2.0 / 3.9),
    ],
)
def test_reading_again_what_had_been_in_memory_is_want_of_memory(
    disk: DiskUse, refaulted_pages: int | None, memory_pct: float
) -> None:
    shares = shares_of(pair(reading(1.1, FIRST, 0), reading(5.0, disk, refaulted_pages)))
    memory_pct = min(100.0, memory_pct)
    assert shares.get(CauseKind.MEMORY_PRESSURE, 0.0) == pytest.approx(memory_pct, abs=0.01)
    assert shares.get(CauseKind.IO, 0.0) == pytest.approx(100 - memory_pct, abs=0.01)


@pytest.mark.parametrize(
    ("refaulted_pages", "run_s", "memory_s", "io_s", "slower_s"),
    [
        (10_000, 1.3, 0.3, 0.0, 0.0),  # what it ran longer is no more than so many requests may take
        (10_000, 2.0, 0.5, 0.0, 0.5),
        (0, 2.0, 0.0, 0.5, 0.5),  # they were for something else
        (4_000, 2.0, 0.2, 0.3, 0.5),
    ],
)
def test_making_more_requests_is_no_slower_cpu(
    refaulted_pages: int, run_s: float, memory_s: float, io_s: float, slower_s: float
) -> None:
    """Neither waited for the disk, which answers at once: 50 µs of a CPU for each of 10,000 requests."""
    more = DiskUse(reads=10_000, read_bytes=10_000 * PAGESIZE)
    told = VictimSignals(refaulted_pages=refaulted_pages)
    before = seen_as(alone(), signals=VictimSignals(refaulted_pages=0))
    shares = shares_of(pair(before, seen_as(hindered(run_s, cgroup(run_s), told), disk=more)))
    whole_s = run_s - 1.0
    assert shares.get(CauseKind.MEMORY_PRESSURE, 0.0) == pytest.approx(100 * memory_s / whole_s)
    assert shares.get(CauseKind.IO, 0.0) == pytest.approx(100 * io_s / whole_s)
    assert shares.get(CauseKind.MICROARCHITECTURE, 0.0) == pytest.approx(100 * slower_s / whole_s)


def test_what_comes_back_in_either_arm_is_no_ones_doing() -> None:
    """A working set that does not fit anyway, on a disk that is slower beside a neighbour."""
    shares = shares_of(pair(reading(2.0, AGAIN, 16_000), reading(5.0, AGAIN, 16_000)))
    assert shares.get(CauseKind.MEMORY_PRESSURE, 0.0) == 0.0
    assert shares[CauseKind.IO] == pytest.approx(100)
