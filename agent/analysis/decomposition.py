"""Where the extra time went, and by whose doing.

Per unit of work, wall time = running + waiting (by aggressor, by own threads) + throttled + blocked. The
difference of each term between the two arms of a block is what the neighbours added to it; what no term accounts
for is `unexplained`. See docs/method.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.analysis.efficiency import cpi_growth
from agent.analysis.terms import NS_PER_S, Terms, terms_of
from agent.analysis.trials import TrialResult
from agent.documents.verdict import CauseKind
from agent.statistics import CauseShare, shares

Blocks = Sequence[tuple[TrialResult, TrialResult]]

# Where less of the loss than this is charged to anyone, nobody is called a culprit.
LEAST_CHARGED_PCT = 5.0


@dataclass(frozen=True, slots=True)
class AggressorShare:
    """A cgroup's part in the victim's loss, in per cent of what is charged to anyone, and mainly how."""

    cgroup: str
    share_pct: float
    cause: CauseKind


def cause_shares(blocks: Blocks) -> list[CauseShare]:
    """Each cause's share of the extra wall time per unit of work; empty when no time was lost.

    A cause that took nothing in any trial, or that this host cannot measure, is left out.
    """
    terms = [(terms_of(without), terms_of(with_)) for without, with_ in blocks]
    rows = [
        extra_s(*pair, _clock_ratio(*block), cpi_growth(*block))
        for pair, block in zip(terms, blocks, strict=True)
    ]
    extra: dict[str, list[float]] = {
        cause: [row[cause] for row in rows] for cause in rows[0] if any(row[cause] for row in rows)
    }
    return shares(
        extra, [with_.spent - without.spent for without, with_ in terms], remainder=CauseKind.UNEXPLAINED
    )


def extra_s(
    without: Terms, with_: Terms, clock_ratio: float | None = None, cpi_ratio: float | None = None
) -> dict[CauseKind, float]:
    """What each cause added to the wall time of a unit of work.

    `clock_ratio` is the frequency with the neighbours over that without, `cpi_ratio` likewise of the cycles per
    instruction; None: not counted. Then all that the run grew by is put down to caches, bandwidth and SMT siblings.
    Tasks' time becomes the clock's by the mean number of tasks, over both trials, that ran or waited.
    """
    tasks = mean_concurrency(without, with_)
    waits = {cause: (after - without.waits[cause]) / tasks for cause, after in with_.waits.items()}
    taken = {cause: (after - without.taken[cause]) / tasks for cause, after in with_.taken.items()}
    stalls = {cause: after - without.stalls[cause] for cause, after in with_.stalls.items()}
    # A run at a lower frequency takes longer by as much.
    frequency = with_.run / tasks * max(0.0, 1 - clock_ratio) if clock_ratio else 0.0
    longer = longer_run_s(without, with_) - sum(taken.values()) - frequency
    if cpi_ratio and longer > 0:
        # What each instruction took longer. Of more instructions for the same work nobody knows the cause.
        longer = min(longer, with_.run / tasks * max(0.0, 1 - 1 / cpi_ratio))
    return {
        **waits,
        **taken,
        **stalls,
        CauseKind.FREQUENCY: frequency,
        CauseKind.MICROARCHITECTURE: longer,
    }


def mean_concurrency(without: Terms, with_: Terms) -> float:
    """Mean number of the victim's tasks that ran or waited in two trials, at least 1."""
    busy = sum(terms.concurrency * terms.spent for terms in (without, with_))
    spent = without.spent + with_.spent
    return busy / spent if spent > 0 else 1.0


def longer_run_s(without: Terms, with_: Terms) -> float:
    """By how much the time on the CPU grew on the clock.

    A victim that did other things beside its work, in threads of their own, ran longer in all while the work itself
    did not: then its concurrency grew as well. Each trial by its own concurrency shows that, but takes a loss of
    concurrency, as when one of two processes waits, for a longer run. So it is the lesser of the two.
    """
    together = (with_.run - without.run) / mean_concurrency(without, with_)
    each = with_.run / with_.concurrency - without.run / without.concurrency
    return min(together, each)


def _clock_ratio(without: TrialResult, with_: TrialResult) -> float | None:
    before, after = (
        trial.trial_signals.frequency_khz if trial.trial_signals else None for trial in (without, with_)
    )
    return after / before if before and after else None


def throttled_own_ratio(blocks: Blocks) -> float:
    """How much of the additional throttling was by the victim's own quota, the rest by its ancestors'; 0 to 1.

    1 where the kernel does not tell them apart.
    """
    own_ns = _growth(blocks, "throttled_own_ns")
    ancestors_ns = _growth(blocks, "throttled_ancestors_ns")
    if own_ns is None or ancestors_ns is None or own_ns + ancestors_ns <= 0:
        return 1.0
    return own_ns / (own_ns + ancestors_ns)


def _growth(blocks: Blocks, name: str) -> int | None:
    """How much more of it there was with the neighbours in all, at least 0; None where it was not measured."""
    grown = 0
    for without, with_ in blocks:
        before, after = (getattr(trial.trial_signals, name, None) for trial in (without, with_))
        if before is None or after is None:
            return None
        grown += after - before
    return max(0, grown)


def extra_waits_s(blocks: Blocks) -> dict[str, float]:
    """For each aggressor, how much longer than to be expected the victim waited for it, in seconds per mean trial.

    To be expected is what it waited without the neighbours, for as long as the trial with them took: a bystander that
    goes on as before has more time to be in the way of a victim that others hold up, and is not to blame for that.
    """
    names = {name for block in blocks for trial in block for name in trial.victim.waited_for}
    return {name: _mean_extra_wait_s(blocks, name) for name in names}


def aggressor_shares(
    blocks: Blocks, causes: Mapping[CauseKind, float], neighbours: Sequence[str]
) -> list[AggressorShare]:
    """Who the loss is charged to, the largest first; shares sum to 100 unless hardly anything is charged.

    Waiting is charged by overlap in time. A loss on the CPU itself (microarchitecture) has no such witness: it is
    shared out among the neighbours by how long each ran; I/O by how much each did; an ancestor's quota, of which
    `throttled_own_ratio` is not the victim's own, by how long each ran below that ancestor.
    """
    waits = {name: max(0.0, wait_s) for name, wait_s in extra_waits_s(blocks).items()}
    ran = {path: _mean_extra_run_s(blocks, path) for path in neighbours}
    victim = blocks[0][0].victim.path
    beside = {path: run_s for path, run_s in ran.items() if share_ancestor(victim, path)}
    throttled_pct = causes.get(CauseKind.THROTTLED, 0.0) * (1 - throttled_own_ratio(blocks))
    by_cause = {
        CauseKind.CPU_WAIT: _scaled(waits, causes.get(CauseKind.CPU_WAIT, 0.0)),
        CauseKind.PREEMPTION: _scaled(waits, causes.get(CauseKind.PREEMPTION, 0.0)),
        CauseKind.MICROARCHITECTURE: _scaled(ran, causes.get(CauseKind.MICROARCHITECTURE, 0.0)),
        CauseKind.THROTTLED: _scaled(beside, throttled_pct),
        CauseKind.IO: _scaled(_extra_io_bytes(blocks), causes.get(CauseKind.IO, 0.0)),
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


def share_ancestor(one: str, other: str) -> bool:
    """Whether two cgroups have an ancestor in common that can have a quota: any but the root."""
    return one.split("/")[1] == other.split("/")[1]


def blame_residual_pct(blocks: Blocks) -> float | None:
    """Per cent of the victim's waiting with neighbours that is charged to nobody; None when it never waited."""
    wait_ns = sum(with_.victim.wait_ns for _, with_ in blocks)
    lost_ns = sum(with_.victim.unattributed_ns for _, with_ in blocks)
    return 100 * lost_ns / wait_ns if wait_ns else None


def _mean_extra_wait_s(blocks: Blocks, name: str) -> float:
    def wait_ns(trial: TrialResult) -> int:
        wait = trial.victim.waited_for.get(name)
        return wait.wait_ns if wait else 0

    extra_ns = sum(
        wait_ns(with_) - wait_ns(without) * with_.duration_s / without.duration_s for without, with_ in blocks
    )
    return extra_ns / len(blocks) / NS_PER_S


def _mean_extra_run_s(blocks: Blocks, path: str) -> float:
    extra = (w.others_run_ns.get(path, 0) - wo.others_run_ns.get(path, 0) for wo, w in blocks)
    return max(0.0, sum(extra) / len(blocks) / NS_PER_S)


def _extra_io_bytes(blocks: Blocks) -> dict[str, float]:
    totals: dict[str, float] = {}
    for block in blocks:
        for sign, trial in zip((-1, 1), block, strict=True):
            for path, count in trial.trial_signals.io_bytes.items() if trial.trial_signals else ():
                totals[path] = totals.get(path, 0.0) + sign * count
    return {path: max(0.0, total) for path, total in totals.items()}


def _scaled(amounts: Mapping[str, float], whole: float) -> dict[str, float]:
    """Amounts in proportion, summing to `whole`; empty when there are none."""
    total = sum(amounts.values())
    return {name: amount / total * whole for name, amount in amounts.items()} if total > 0 else {}
