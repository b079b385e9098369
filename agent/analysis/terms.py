"""One trial's time, by what it was spent on: the terms that the decomposition compares between the arms."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.analysis.trial_signals import TrialSignals
from agent.analysis.trials import TrialResult
from agent.documents.metric import STRETCH
from agent.documents.verdict import CauseKind

NS_PER_S = 1e9
# Where a CPU was busy for more than this share of the trial, tasks took turns on it, and each turn ends in a
# preemption: who was preempted then says nothing that waiting does not.
FULL_RATIO = 0.95


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds per unit of the victim's work, in one trial.

    Attributes:
        waits: Time of tasks that waited, by cause: with several tasks it runs faster than the clock.
        run: Time of tasks on a CPU.
        taken: The part of `run` that others had in truth: the hypervisor, interrupts.
        stalls: Time on the clock in which the victim neither ran nor waited for a CPU, by cause.
        spent: What the work took: the clock's time, or the tasks' time where that is the metric.
        concurrency: Mean number of its tasks that ran or waited, at least 1.
    """

    waits: dict[CauseKind, float]
    run: float
    taken: dict[CauseKind, float]
    stalls: dict[CauseKind, float]
    spent: float
    concurrency: float


def terms_of(trial: TrialResult) -> Terms:
    """The terms of a trial."""
    victim, work = trial.victim, work_of(trial)
    spent, busy = spent_s(trial), (victim.run_ns + victim.wait_ns) / NS_PER_S
    concurrency = max(1.0, busy / spent) if spent > 0 else 1.0
    trial_signals = trial.trial_signals or TrialSignals()

    def per_unit(seconds: Mapping[CauseKind, float]) -> dict[CauseKind, float]:
        return {cause: each / work for cause, each in seconds.items()}

    return Terms(
        waits=per_unit(waits_s(trial)),
        run=victim.run_ns / NS_PER_S / work,
        taken=per_unit(taken_s(trial, trial_signals)),
        stalls=per_unit(stalls_s(max(0.0, spent - busy / concurrency), trial_signals)),
        spent=spent / work,
        concurrency=concurrency,
    )


def work_of(trial: TrialResult) -> float:
    """Units of work a trial did: rate × time for a rate, the time on a CPU for the stretch, else 1.

    The victim does the same in each trial where its metric is a duration or a latency.
    """
    primary = trial.samples[0]
    if primary.metric == STRETCH:
        return max(1, trial.victim.run_ns) / NS_PER_S
    return primary.value * trial.duration_s if primary.metric.better == "higher" else 1.0


def spent_s(trial: TrialResult) -> float:
    """What the work took: the clock's time, or the tasks' time, running and waiting, where that is the metric."""
    victim = trial.victim
    in_tasks = trial.samples[0].metric == STRETCH
    return (victim.run_ns + victim.wait_ns) / NS_PER_S if in_tasks else trial.duration_s


def waits_s(trial: TrialResult) -> dict[CauseKind, float]:
    """The whole wait, in task seconds, but for what the probe saw the CPU idle."""
    victim = trial.victim
    others_ns = sum(wait.wait_ns for wait in victim.waited_for.values()) + victim.unattributed_ns
    preempted_ns = preempted_by_others_ns(trial, others_ns)
    return {
        CauseKind.CPU_WAIT: (others_ns - preempted_ns) / NS_PER_S,
        CauseKind.PREEMPTION: preempted_ns / NS_PER_S,
        CauseKind.SELF: victim.self_ns / NS_PER_S,
        CauseKind.THROTTLED: victim.throttled_ns / NS_PER_S,
    }


def preempted_by_others_ns(trial: TrialResult, others_ns: int) -> int:
    """The waits for others that began with a preemption, where no CPU was so full that they had to take turns.

    Preemptions by own threads and by quotas count first, so this is the least that it was.
    """
    victim, cpus = trial.victim, trial.window.cpus
    if not cpus or max(cpu.running for cpu in cpus) > FULL_RATIO:
        return 0
    return min(others_ns, max(0, victim.preempt_wait_ns - victim.self_ns - victim.throttled_ns))


def taken_s(trial: TrialResult, trial_signals: TrialSignals) -> dict[CauseKind, float]:
    """What others had of the victim's time on the CPU: the hypervisor as much as it says, interrupts the rest."""
    stolen_ns = trial.victim.stolen_ns
    steal_ns = stolen_ns if trial_signals.steal_ns is None else min(stolen_ns, trial_signals.steal_ns)
    return {
        CauseKind.STEAL: steal_ns / NS_PER_S,
        CauseKind.INTERRUPTS: (stolen_ns - steal_ns) / NS_PER_S,
    }


def stalls_s(blocked: float, trial_signals: TrialSignals) -> dict[CauseKind, float]:
    """Stalls for memory and for I/O within the time that the victim was blocked.

    A task that waits for a page to come back from disk counts as both: it is for want of memory.
    """
    memory = min(blocked, (trial_signals.memory_stalled_ns or 0) / NS_PER_S)
    io = min(blocked - memory, (trial_signals.io_stalled_ns or 0) / NS_PER_S)
    return {CauseKind.MEMORY_PRESSURE: memory, CauseKind.IO: io}
