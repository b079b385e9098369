"""Where the extra time went.

Per unit of work, wall time = running + waiting (by aggressor, by own threads) + throttled + blocked. The difference of
each term between an observation without the neighbours and one with them is what they added to it; what no term
accounts for is `unexplained`. See docs/method.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.analysis.observation import Pairs, VictimObservation, VictimSignals
from agent.analysis.rereads import more_requests, reread_ratio
from agent.documents.metric import STRETCH
from agent.documents.verdict import Cause, CauseKind
from agent.statistics.shares import residual_pct, shares
from collectors.windows.network import QueueUse
from collectors.windows.sched import NS_PER_S

# Where a CPU was busy for more than this share of the time, tasks took turns on it, and each turn ends in a
# preemption: who was preempted then says nothing that waiting does not.
FULL_RATIO = 0.95
# What a request to a disk takes of a CPU, with the switch to and fro: 30 to 70 µs of reads of 4 to 16 KiB that reached
# the disk (guest, Linux 6.18).
REQUEST_S = 50e-6


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds per unit of the victim's work, in one observation.

    Attributes:
        waits: Time of tasks that waited, by cause: with several tasks it runs faster than the clock.
        run: Time of tasks on a CPU.
        taken: The part of `run` that others had: the hypervisor, interrupts.
        reclaiming: The part of `run` in which tasks freed memory that they wanted, beyond what they stalled for it.
        stalls: Time on the clock in which the victim neither ran nor waited for a CPU, by cause.
        spent: What the work took: the clock's time, or the tasks' time where that is the metric.
        concurrency: Mean number of its tasks that ran, waited or were stalled, at least 1.
    """

    waits: dict[CauseKind, float]
    run: float
    taken: dict[CauseKind, float]
    reclaiming: float
    stalls: dict[CauseKind, float]
    spent: float
    concurrency: float


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Each cause's share of the extra time, and what those below 0 sum to, in per cent of it."""

    causes: tuple[Cause, ...]
    residual_pct: float | None


def decompose(pairs: Pairs) -> Decomposition:
    """The causes of the extra wall time per unit of work; none when no time was lost.

    A cause that took nothing in any observation, or that this host cannot measure, is left out.
    """
    rows = [extra_s(*pair) for pair in pairs]
    extra: dict[str, list[float]] = {
        cause: [row[cause] for row in rows] for cause in rows[0] if any(row[cause] for row in rows)
    }
    found = shares(extra, total_s(pairs), remainder=CauseKind.UNEXPLAINED)
    causes = tuple(Cause(CauseKind(share.cause), share.share_pct, share.ci95_pct) for share in found)
    return Decomposition(causes, residual_pct(found))


def own_share_pct(pairs: Pairs, own_ratios: Mapping[CauseKind, float]) -> tuple[float, float] | None:
    """The interval of the victim's own share, in pairs like these: its own threads, quota and requests.

    `own_ratios` is how much of each cause is, 0 to 1. None: a single pair, or no time was lost.
    """
    rows = [extra_s(*pair) for pair in pairs]
    own = [sum(ratio * row.get(cause, 0.0) for cause, ratio in own_ratios.items()) for row in rows]
    found = shares({CauseKind.SELF: own}, total_s(pairs), remainder=CauseKind.UNEXPLAINED)
    return found[0].seen_ci95_pct if found else None


def total_s(pairs: Pairs) -> list[float]:
    """How much longer a unit of work took, in each pair."""
    return [with_.spent_s / with_.work - without.spent_s / without.work for without, with_ in pairs]


def extra_s(without: VictimObservation, with_: VictimObservation) -> dict[CauseKind, float]:
    """What each cause added to the wall time of a unit of work.

    Where frequency or instructions are not counted, all that the run grew by is put down to caches, bandwidth and SMT
    siblings. Tasks' time becomes the clock's by their mean number over both. The stretch is per second of running, so
    it knows of waiting alone.
    """
    before, after = terms_of(without), terms_of(with_)
    tasks = mean_concurrency(before, after)
    waits = {cause: (wait - before.waits[cause]) / tasks for cause, wait in after.waits.items()}
    # What it waits behind its own tasks for longer, and would not have, had others left it the CPUs that it may use.
    displaced = max(0.0, waits[CauseKind.SELF]) * with_.displaced_ratio
    waits[CauseKind.SELF] -= displaced
    waits[CauseKind.CPU_WAIT] += displaced
    if with_.sample.metric == STRETCH:
        return waits
    taken = {cause: (run - before.taken[cause]) / tasks for cause, run in after.taken.items()}
    stalls = {cause: stall - before.stalls[cause] for cause, stall in after.stalls.items()}
    # A run at a lower frequency takes longer by as much.
    clock_ratio = _ratio(with_.signals.frequency_khz, without.signals.frequency_khz)
    frequency = after.run / tasks * max(0.0, 1 - clock_ratio) if clock_ratio else 0.0
    reclaiming = (after.reclaiming - before.reclaiming) / tasks
    # Waiting for what had been in memory is for want of memory, whatever the kernel calls it.
    pair = [(without, with_)]
    rereading = min(max(0.0, stalls[CauseKind.IO]), after.stalls[CauseKind.IO] * reread_ratio(pair))
    stalls[CauseKind.IO] -= rereading
    longer = longer_run_s(before, after) - sum(taken.values()) - frequency - reclaiming
    # It takes a CPU to make more requests: that is no slower CPU.
    again, others = (number * REQUEST_S / tasks for number in more_requests(pair))
    requesting = min(max(0.0, longer), again + others)
    for_rereads = requesting * again / (again + others) if requesting else 0.0
    stalls[CauseKind.MEMORY_PRESSURE] += reclaiming + rereading + for_rereads
    stalls[CauseKind.IO] += requesting - for_rereads
    longer -= requesting
    ipc_ratio = _ratio(with_.ipc, without.ipc)
    if ipc_ratio and longer > 0:
        # What each instruction took longer. Of more instructions for the same work nobody knows the cause.
        longer = min(longer, after.run / tasks * max(0.0, 1 - ipc_ratio))
    return {
        **waits,
        **taken,
        **stalls,
        CauseKind.FREQUENCY: frequency,
        CauseKind.MICROARCHITECTURE: longer,
    }


def _ratio(with_: float | None, without: float | None) -> float | None:
    return with_ / without if with_ and without else None


def mean_concurrency(without: Terms, with_: Terms) -> float:
    """Mean number of the victim's tasks that ran, waited or were stalled in two observations, at least 1."""
    busy = sum(terms.concurrency * terms.spent for terms in (without, with_))
    spent = without.spent + with_.spent
    return busy / spent if spent > 0 else 1.0


def longer_run_s(without: Terms, with_: Terms) -> float:
    """By how much the time on the CPU grew on the clock.

    A victim that did other things beside its work, in threads of their own, ran longer in all while the work itself
    did not: then its concurrency grew as well. Each by its own concurrency shows that, but takes a loss of
    concurrency, as when one of two processes waits, for a longer run. So it is the lesser of the two.
    """
    together = (with_.run - without.run) / mean_concurrency(without, with_)
    each = with_.run / with_.concurrency - without.run / without.concurrency
    return min(together, each)


def terms_of(seen: VictimObservation) -> Terms:
    """The terms of an observation."""
    victim, work = seen.victim, seen.work
    spent, busy = seen.spent_s, (victim.run_ns + victim.wait_ns) / NS_PER_S
    # One that is stalled while others run takes as long as they do. The stretch is of tasks' time without stalls.
    stalled = 0.0 if seen.sample.metric == STRETCH else seen.stalled_tasks
    concurrency = max(1.0, busy / spent + stalled) if spent > 0 else 1.0

    def per_unit(seconds: Mapping[CauseKind, float]) -> dict[CauseKind, float]:
        return {cause: each / work for cause, each in seconds.items()}

    stalls = stalls_s(max(0.0, spent - busy / concurrency), seen.signals, seen.network)
    return Terms(
        waits=per_unit(waits_s(seen)),
        run=victim.run_ns / NS_PER_S / work,
        taken=per_unit(taken_s(seen)),
        reclaiming=max(0.0, reclaiming_s(seen) - stalls[CauseKind.MEMORY_PRESSURE]) / work,
        stalls=per_unit(stalls),
        spent=spent / work,
        concurrency=concurrency,
    )


def waits_s(seen: VictimObservation) -> dict[CauseKind, float]:
    """The whole wait, in task seconds, but for what the probe saw the CPU idle."""
    victim = seen.victim
    others_ns = sum(wait.wait_ns for wait in victim.waited_for.values()) + victim.unattributed_ns
    preempted_ns = preempted_by_others_ns(seen, others_ns)
    return {
        CauseKind.CPU_WAIT: (others_ns - preempted_ns) / NS_PER_S,
        CauseKind.PREEMPTION: preempted_ns / NS_PER_S,
        CauseKind.SELF: victim.self_ns / NS_PER_S,
        CauseKind.THROTTLED: victim.throttled_ns / NS_PER_S,
    }


def preempted_by_others_ns(seen: VictimObservation, others_ns: int) -> int:
    """The waits for others that began with a preemption, where no CPU was so full that they had to take turns.

    Preemptions by own threads and by quotas count first, so this is the least that it was.
    """
    victim = seen.victim
    if seen.busiest_cpu is None or seen.busiest_cpu > FULL_RATIO:
        return 0
    return min(others_ns, max(0, victim.preempt_wait_ns - victim.self_ns - victim.throttled_ns))


def taken_s(seen: VictimObservation) -> dict[CauseKind, float]:
    """What others had of the victim's time on the CPU: the hypervisor as much as it says, interrupts the rest."""
    stolen_ns, told_ns = seen.victim.stolen_ns, seen.signals.steal_ns
    steal_ns = stolen_ns if told_ns is None else min(stolen_ns, told_ns)
    return {
        CauseKind.STEAL: steal_ns / NS_PER_S,
        CauseKind.INTERRUPTS: (stolen_ns - steal_ns) / NS_PER_S,
    }


def reclaiming_s(seen: VictimObservation) -> float:
    """How long its tasks ran while they freed memory that they wanted; they waited there as often as elsewhere."""
    victim, memory = seen.victim, seen.memory
    running = victim.run_ns / max(1, victim.run_ns + victim.wait_ns)
    return (memory.own.time_ns + memory.own_limit.time_ns) / NS_PER_S * running


def stalls_s(blocked: float, signals: VictimSignals, network: QueueUse) -> dict[CauseKind, float]:
    """Stalls for memory, for I/O and for the network within the time that the victim was blocked.

    A task that waits for a page to come back from disk counts as both: it is for want of memory. The time that its
    packets were queued is summed over packets, so that of many at once it may be more than all the time there is.
    """
    memory = min(blocked, (signals.memory_stalled_ns or 0) / NS_PER_S)
    io = min(blocked - memory, (signals.io_stalled_ns or 0) / NS_PER_S)
    queued = min(blocked - memory - io, network.queue_ns / NS_PER_S)
    return {CauseKind.MEMORY_PRESSURE: memory, CauseKind.IO: io, CauseKind.NETWORK: queued}
