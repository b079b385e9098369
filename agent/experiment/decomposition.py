"""Where the extra time went, and by whose doing.

Per unit of work, wall time = running + waiting (by aggressor, by own threads) + throttled + blocked. The
difference of each term between the two arms of a block is what the neighbours added to it; what no term accounts
for is `unexplained`. See docs/method.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.experiment.trial import TrialResult
from agent.metrics import STRETCH
from agent.statistics import CauseShare, shares
from agent.verdict import CauseKind

Blocks = Sequence[tuple[TrialResult, TrialResult]]
NS_PER_S = 1e9


# Where less of the loss than this is charged to anyone, nobody is called a culprit.
LEAST_CHARGED_PCT = 5.0


@dataclass(frozen=True, slots=True)
class AggressorShare:
    """A cgroup's part in the victim's loss, in per cent of what is charged to anyone, and mainly how."""

    cgroup: str
    share_pct: float
    cause: CauseKind


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


def terms_s(trial: TrialResult) -> dict[CauseKind, float]:
    """Where a trial's task time went, in task seconds, by the cause that would have lengthened it."""
    victim = trial.victim
    others_ns = sum(wait.wait_ns for wait in victim.waited_for.values())
    return {
        CauseKind.CPU_WAIT: (others_ns + victim.unattributed_ns) / NS_PER_S,
        CauseKind.SELF: victim.self_ns / NS_PER_S,
        CauseKind.THROTTLED: victim.throttled_ns / NS_PER_S,
        # More time on the CPU for the same work: caches, bandwidth, SMT, frequency.
        CauseKind.MICROARCHITECTURE: max(0, victim.run_ns - victim.stolen_ns) / NS_PER_S,
        CauseKind.STEAL: victim.stolen_ns / NS_PER_S,
    }


def concurrency(block: tuple[TrialResult, TrialResult]) -> float:
    """Mean number of the victim's tasks that ran or waited, at least 1: what turns task time into wall time."""
    busy_s = sum(trial.victim.run_ns + trial.victim.wait_ns for trial in block) / NS_PER_S
    return max(1.0, busy_s / sum(spent_s(trial) for trial in block))


def cause_shares(blocks: Blocks) -> list[CauseShare]:
    """Each cause's share of the extra wall time per unit of work; empty when no time was lost."""
    total = [
        spent_s(with_) / work_of(with_) - spent_s(without) / work_of(without) for without, with_ in blocks
    ]
    extra: dict[str, list[float]] = {}
    for block in blocks:
        without, with_ = block
        before, after = terms_s(without), terms_s(with_)
        for cause in before:
            difference = after[cause] / work_of(with_) - before[cause] / work_of(without)
            extra.setdefault(cause, []).append(difference / concurrency(block))
    return shares(extra, total, remainder=CauseKind.UNEXPLAINED)


def extra_waits_s(blocks: Blocks) -> dict[str, float]:
    """For each aggressor, how much longer than without the victim waited for it, in seconds per mean trial."""
    names = {name for block in blocks for trial in block for name in trial.victim.waited_for}
    return {name: _mean_extra_wait_s(blocks, name) for name in names}


def aggressor_shares(
    blocks: Blocks, causes: Mapping[CauseKind, float], neighbours: Sequence[str]
) -> list[AggressorShare]:
    """Who the loss is charged to, the largest first; shares sum to 100 unless hardly anything is charged.

    Waiting is charged by overlap in time. A loss on the CPU itself (microarchitecture) has no such witness: it is
    shared out among the neighbours by how long each ran.
    """
    waits = {name: max(0.0, wait_s) for name, wait_s in extra_waits_s(blocks).items()}
    ran = {path: _mean_extra_run_s(blocks, path) for path in neighbours}
    by_cause = {
        CauseKind.CPU_WAIT: _scaled(waits, causes.get(CauseKind.CPU_WAIT, 0.0)),
        CauseKind.MICROARCHITECTURE: _scaled(ran, causes.get(CauseKind.MICROARCHITECTURE, 0.0)),
    }
    names = {name for charged in by_cause.values() for name in charged}
    charged_pct = {name: sum(charged.get(name, 0.0) for charged in by_cause.values()) for name in names}
    whole = sum(charged_pct.values())
    if whole < LEAST_CHARGED_PCT:
        return []
    found = [
        AggressorShare(
            cgroup=name,
            share_pct=100 * pct / whole,
            cause=max(by_cause, key=lambda cause: by_cause[cause].get(name, 0.0)),
        )
        for name, pct in charged_pct.items()
        if pct > 0
    ]
    return sorted(found, key=lambda aggressor: -aggressor.share_pct)


def blame_residual_pct(blocks: Blocks) -> float | None:
    """Per cent of the victim's waiting with neighbours that is charged to nobody; None when it never waited."""
    wait_ns = sum(with_.victim.wait_ns for _, with_ in blocks)
    lost_ns = sum(with_.victim.unattributed_ns for _, with_ in blocks)
    return 100 * lost_ns / wait_ns if wait_ns else None


def _mean_extra_wait_s(blocks: Blocks, name: str) -> float:
    def wait_ns(trial: TrialResult) -> int:
        wait = trial.victim.waited_for.get(name)
        return wait.wait_ns if wait else 0

    return sum(wait_ns(with_) - wait_ns(without) for without, with_ in blocks) / len(blocks) / NS_PER_S


def _mean_extra_run_s(blocks: Blocks, path: str) -> float:
    extra = (w.others_run_ns.get(path, 0) - wo.others_run_ns.get(path, 0) for wo, w in blocks)
    return max(0.0, sum(extra) / len(blocks) / NS_PER_S)


def _scaled(amounts: Mapping[str, float], whole: float) -> dict[str, float]:
    """Amounts in proportion, summing to `whole`; empty when there are none."""
    total = sum(amounts.values())
    return {name: amount / total * whole for name, amount in amounts.items()} if total > 0 else {}
