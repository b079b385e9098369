"""Who the victim's loss is charged to."""

from collections.abc import Callable, Mapping

from agent.analysis.observation import Pairs, VictimObservation
from agent.documents.verdict import Aggressor, CauseKind
from collectors.host.hierarchy import leaf
from collectors.windows.sched import NS_PER_S

# Where less of the loss than this is charged to anyone, nobody is called a culprit.
LEAST_CHARGED_PCT = 5.0


def aggressors(
    pairs: Pairs, causes: Mapping[CauseKind, float], neighbours: Mapping[str, str]
) -> tuple[Aggressor, ...]:
    """Who the loss is charged to, the largest first; shares sum to 100 unless hardly anything is charged.

    Waiting is charged by overlap in time. A loss on the CPU itself (microarchitecture) has no such witness: it is
    shared out among the neighbours by how long each ran; I/O by how much each did; an ancestor's quota, of which
    `throttled_own_ratio` is not the victim's own, by how long each ran below that ancestor.

    Args:
        pairs: At least one.
        causes: The share of each, in per cent of the loss.
        neighbours: The display name of each neighbour's cgroup.
    """
    by_cause = _charged_pct(pairs, causes, neighbours)
    names = {name for charged in by_cause.values() for name in charged}
    charged_pct = {name: sum(charged.get(name, 0.0) for charged in by_cause.values()) for name in names}
    whole = sum(charged_pct.values())
    if whole < LEAST_CHARGED_PCT:
        return ()
    found = [
        Aggressor(
            cgroup=name,
            name=neighbours.get(name, leaf(name)),
            share_pct=100 * pct / whole,
            cause=max(by_cause, key=lambda cause: by_cause[cause].get(name, 0.0)),
        )
        for name, pct in charged_pct.items()
        if pct > 0
    ]
    return tuple(sorted(found, key=lambda aggressor: -aggressor.share_pct))


def _charged_pct(
    pairs: Pairs, causes: Mapping[CauseKind, float], neighbours: Mapping[str, str]
) -> dict[CauseKind, dict[str, float]]:
    """By cause, what of the loss is charged to each cgroup."""
    waits = {name: max(0.0, wait_s) for name, wait_s in extra_waits_s(pairs).items()}
    ran = {path: _extra(pairs, path, lambda seen: seen.others_run_ns) for path in neighbours}
    moved = {path: _extra(pairs, path, lambda seen: seen.signals.io_bytes) for path in neighbours}
    victim = pairs[0][0].victim.path
    beside = {path: amount for path, amount in ran.items() if share_ancestor(victim, path)}
    amounts = {
        CauseKind.CPU_WAIT: waits,
        CauseKind.PREEMPTION: waits,
        CauseKind.MICROARCHITECTURE: ran,
        CauseKind.THROTTLED: beside,
        CauseKind.IO: moved,
    }
    of_others = {CauseKind.THROTTLED: 1 - throttled_own_ratio(pairs)}
    return {
        cause: _scaled(amount, causes.get(cause, 0.0) * of_others.get(cause, 1.0))
        for cause, amount in amounts.items()
    }


def extra_waits_s(pairs: Pairs) -> dict[str, float]:
    """For each aggressor, how much longer than to be expected the victim waited for it, in seconds per observation.

    To be expected is what it waited without the neighbours, for as long as the work with them took: a bystander that
    goes on as before has more time to be in the way of a victim that others hold up, and is not to blame for that.
    """
    names = {name for pair in pairs for seen in pair for name in seen.victim.waited_for}
    return {
        name: sum(
            _wait_s(with_, name) - _wait_s(without, name) * with_.spent_s / without.spent_s
            for without, with_ in pairs
        )
        / len(pairs)
        for name in names
    }


def _wait_s(seen: VictimObservation, name: str) -> float:
    wait = seen.victim.waited_for.get(name)
    return wait.wait_ns / NS_PER_S if wait else 0.0


def throttled_own_ratio(pairs: Pairs) -> float:
    """How much of the additional throttling was by the victim's own quota, the rest by its ancestors'; 0 to 1.

    1 where the kernel does not tell them apart.
    """
    own = _growth_per_work(pairs, lambda seen: seen.signals.throttled_own_ns)
    ancestors = _growth_per_work(pairs, lambda seen: seen.signals.throttled_ancestors_ns)
    if own is None or ancestors is None or own + ancestors <= 0:
        return 1.0
    return own / (own + ancestors)


def _growth_per_work(pairs: Pairs, amount: Callable[[VictimObservation], int | None]) -> float | None:
    """How much more of it there was with the neighbours in all, at least 0; None where it was not measured."""
    grown = 0.0
    for without, with_ in pairs:
        before, after = amount(without), amount(with_)
        if before is None or after is None:
            return None
        grown += after / with_.work - before / without.work
    return max(0.0, grown)


def share_ancestor(one: str, other: str) -> bool:
    """Whether two cgroups have an ancestor in common that can have a quota: any but the root."""
    return one.split("/")[1:2] == other.split("/")[1:2]


def blame_residual_pct(pairs: Pairs) -> float | None:
    """Per cent of the victim's waiting with neighbours that is charged to nobody; None when it never waited."""
    wait_ns = sum(with_.victim.wait_ns for _, with_ in pairs)
    lost_ns = sum(with_.victim.unattributed_ns for _, with_ in pairs)
    return 100 * lost_ns / wait_ns if wait_ns else None


def _extra(pairs: Pairs, path: str, amounts: Callable[[VictimObservation], Mapping[str, int]]) -> float:
    """How much more a cgroup had of it than in as long a time without the neighbours, at least 0."""
    extra = (
        amounts(with_).get(path, 0) - amounts(without).get(path, 0) * with_.duration_s / without.duration_s
        for without, with_ in pairs
    )
    return max(0.0, sum(extra))


def _scaled(amounts: Mapping[str, float], whole: float) -> dict[str, float]:
    """Amounts in proportion, summing to `whole`; empty when there are none."""
    total = sum(amounts.values())
    return {name: amount / total * whole for name, amount in amounts.items()} if total > 0 else {}
