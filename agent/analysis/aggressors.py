"""Who the victim's loss is charged to."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from agent.analysis.causes import decompose
from agent.analysis.growth import growth_per_work, growth_ratio, with_neighbours, without_neighbours
from agent.analysis.observation import Pairs, VictimObservation
from agent.analysis.rereads import fresh_ratio
from agent.documents.verdict import Aggressor, Cause, CauseKind, own_effects
from agent.documents.verdict_parts import Confirmation, Witness
from agent.statistics.shares import jackknife
from collectors.host.hierarchy import is_within
from collectors.host.tenants import culprits
from collectors.host.workloads import name_by_path
from collectors.windows.sched import NS_PER_S, renamed

# Who nobody is, among amounts.
UNCHARGED = ""
# Of the time of the victim's requests, what others must have added for them to be the reason.
LEAST_SERVED_RATIO = 0.1
# Where less of the loss than this is charged to anyone, nobody is called a culprit.
LEAST_CHARGED_PCT = 5.0
# Of what ran below a quota, what must have been more than a part for those who had more to be the reason.
LEAST_ABOVE_RATIO = 0.1
# Two pairs, each without the other, show no spread.
FEWEST_FOR_INTERVALS = 2


Amounts = Mapping[str, float]
ChargedTo = tuple[CauseKind, str]


def aggressors(
    pairs: Pairs,
    causes: Mapping[CauseKind, float],
    neighbours: Mapping[str, str],
    *,
    sole: Witness | None = None,
    confirmed: Sequence[Confirmation] = (),
) -> tuple[Aggressor, ...]:
    """Who the loss is charged to, by cause. Those that were confirmed come first, then the largest share of the loss.

    Waits are charged by overlap in time: who ran, whom a disk served, who used up an ancestor's quota; want of memory
    by whose allocations had it reclaimed within the limits that the victim shares with them. Behind what nobody was
    seen at are those that gave time back when they were stopped alone; or the only neighbour there is. The intervals
    are by leaving out each pair in turn (Quenouille's jackknife), and hold together (Bonferroni).

    Args:
        pairs: At least one.
        causes: The share of each, in per cent of the loss.
        neighbours: The display name of each neighbour's cgroup.
        sole: How the only neighbour is tied to what nobody was seen at; None: not at all.
        confirmed: Each suspect's own effect, where they were stopped alone.
    """
    pairs, effects = _by_culprit(pairs, neighbours), own_effects(confirmed)
    behind, known_by = (
        (effects, Witness.STOPPED)
        if confirmed or sole is None
        else (
            dict.fromkeys(neighbours, 1.0) if len(neighbours) == 1 else {},
            sole,
        )
    )
    charged, seen = _charged_pct(pairs, causes, neighbours, behind), _seen(pairs, neighbours)
    if sum(charged.values()) < LEAST_CHARGED_PCT:
        return ()
    partial = [
        _charged_pct(part, by_share(decompose(part).causes), neighbours, behind)
        for part in ([*pairs[:out], *pairs[out + 1 :]] for out in range(len(pairs)))
        if len(pairs) > FEWEST_FOR_INTERVALS
    ]
    found = [
        Aggressor(
            cgroup=path,
            name=neighbours.get(path, name_by_path(path)),
            share_pct=pct,
            cause=cause,
            ci95_pct=jackknife(
                pct, [each.get((cause, path), 0.0) for each in partial], max(1, len(charged) - 1)
            ),
            witness=seen[cause][0] if cause in seen else known_by,
        )
        for (cause, path), pct in charged.items()
    ]
    return tuple(sorted(found, key=lambda each: (-effects.get(each.cgroup, 0.0), -each.share_pct)))


def _by_culprit(pairs: Pairs, neighbours: Collection[str]) -> Pairs:
    """The same, with waits charged to culprits, the same ones in all; neighbours are named as they are."""
    seen = [each for pair in pairs for each in pair]
    names = {
        name
        for each in seen
        for waits in (
            each.victim.waited_for,
            each.disk.waited_for,
            each.network.waited_for,
            each.memory.others_pages,
        )
        for name in waits
    }
    of = culprits(names.difference(neighbours), seen[0].victim.path) | {name: name for name in neighbours}
    charged = [
        replace(
            each,
            victim=renamed(each.victim, of),
            disk=each.disk.renamed(of),
            network=each.network.renamed(of),
            memory=each.memory.renamed(of),
        )
        for each in seen
    ]
    return list(zip(charged[::2], charged[1::2], strict=True))


def by_share(causes: Iterable[Cause]) -> dict[CauseKind, float]:
    """The share of each cause, in per cent of the loss."""
    return {cause.cause: cause.share_pct for cause in causes}


def _charged_pct(
    pairs: Pairs, causes: Mapping[CauseKind, float], neighbours: Mapping[str, str], behind: Amounts
) -> dict[ChargedTo, float]:
    """What of the loss is charged to each cgroup by each cause; nothing of a cause that shrank, or is the victim's own.

    `behind` are those that a cause is charged to at which nobody was seen. Where causes sum to more than the loss, as
    others shrank, they are scaled down to it.
    """
    seen, of_others = (
        _seen(pairs, neighbours),
        {cause: 1 - ratio for cause, ratio in own_ratios(pairs).items()},
    )
    scale = 100 / max(100.0, sum(share_pct for share_pct in causes.values() if share_pct > 0))
    charged: dict[ChargedTo, float] = {}
    for cause, share_pct in causes.items():
        pct = share_pct * scale * of_others.get(cause, 1.0)
        unseen = behind if pct >= LEAST_CHARGED_PCT else {}
        amounts = seen[cause][1] if cause in seen else unseen
        if pct > 0:
            charged |= {
                (cause, path): part for path, part in _scaled(amounts, pct).items() if part > 0 and path
            }
    return charged


def _seen(pairs: Pairs, neighbours: Mapping[str, str]) -> dict[CauseKind, tuple[Witness, Amounts]]:
    """By cause, how much more than to be expected each had of what the victim waited for, and UNCHARGED is nobody's."""
    waits = {name: max(0.0, wait_s) for name, wait_s in extra_waits_s(pairs).items()}
    nobodys_ns = sum(
        with_.victim.unattributed_ns - without.victim.unattributed_ns for without, with_ in pairs
    )
    waits[UNCHARGED] = max(0.0, nobodys_ns / NS_PER_S / len(pairs))
    beside = _over_quota(pairs, neighbours)
    moved = {path: _extra(pairs, path, lambda seen: seen.signals.io_bytes) for path in neighbours}
    served = _extra_waits(pairs, lambda seen: seen.disk.waited_for, lambda seen: seen.disk.time_ns)
    sent = _extra_waits(pairs, lambda seen: seen.network.waited_for, lambda seen: seen.network.queue_ns)
    reclaimers = {name for pair in pairs for each in pair for name in each.memory.others_pages}
    reclaimed = {name: _extra(pairs, name, lambda seen: seen.memory.others_pages) for name in reclaimers}
    found = {
        CauseKind.CPU_WAIT: (Witness.SEEN, waits),
        CauseKind.PREEMPTION: (Witness.SEEN, waits),
        CauseKind.THROTTLED: (Witness.SEEN, beside),
        CauseKind.MEMORY_PRESSURE: (Witness.SEEN, reclaimed),
        CauseKind.NETWORK: (Witness.SEEN, sent),
        CauseKind.IO: (Witness.SEEN, served) if served else (Witness.CORRELATED, moved),
    }
    return {
        cause: known
        for cause, known in found.items()
        if any(amount for path, amount in known[1].items() if path != UNCHARGED)
    }


def _over_quota(pairs: Pairs, neighbours: Collection[str]) -> dict[str, float]:
    """Who ran more than its part below those ancestors of the victim whose quotas held it up, by how much, in ns.

    A part is what each may have where all that want more have as much (max-min fairness), as the victim does. Where
    nobody had clearly more than that, all who ran there. Where it is not known which ancestors it was, the neighbours
    that have one in common with the victim, by how long they ran.
    """
    victim = pairs[0][0].victim.path
    quotas = _throttled_more(pairs)
    if quotas is None:
        ran = {path: _extra(pairs, path, lambda seen: seen.others_run_ns) for path in neighbours}
        return {path: run_ns for path, run_ns in ran.items() if share_ancestor(victim, path)}
    names = {name for _, with_ in pairs for name in with_.others_run_ns}
    below = {name for name in names if any(is_within(name, quota) for quota in quotas)}
    extra = {name: _extra(pairs, name, lambda seen: seen.others_run_ns) for name in below}
    runs = {name: sum(with_.others_run_ns.get(name, 0) for _, with_ in pairs) for name in below}
    part_ns = fair_part(runs.values(), sum(with_.victim.run_ns for _, with_ in pairs))
    above = {name: min(extra[name], max(0.0, run_ns - part_ns)) for name, run_ns in runs.items()}
    return above if sum(above.values()) > LEAST_ABOVE_RATIO * sum(runs.values()) else extra


def _throttled_more(pairs: Pairs) -> list[str] | None:
    """The ancestors of the victim that their quotas stopped longer with the neighbours; None where it is not known."""
    if any(seen.signals.quotas_ns is None for pair in pairs for seen in pair):
        return None
    names = {name for pair in pairs for seen in pair for name in seen.signals.quotas_ns or ()}
    return [name for name in names if _extra(pairs, name, lambda seen: seen.signals.quotas_ns or {}) > 0]


def fair_part(runs: Iterable[float], victim: float) -> float:
    """What each may have of what all had together, where whoever wants less leaves the rest to the others.

    `runs` is what the others had, each of whom wanted no more; the victim wanted more than it had.
    """
    runs = sorted(runs)
    left, part = sum(runs) + victim, 0.0
    for place, run in enumerate(runs):
        part = left / (len(runs) - place + 1)
        if run >= part:
            return part
        left -= run
    return left


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


def _extra_waits(
    pairs: Pairs,
    waits: Callable[[VictimObservation], Mapping[str, int]],
    whole: Callable[[VictimObservation], int],
) -> dict[str, float]:
    """How much longer a device served others while the victim's waited, in ns; none where it is next to none of all."""
    names = {name for pair in pairs for seen in pair for name in waits(seen)}
    extra = {name: _extra(pairs, name, waits) for name in names}
    served = {name: wait_ns for name, wait_ns in extra.items() if wait_ns > 0}
    whole_ns = sum(whole(with_) for _, with_ in pairs)
    return served if sum(served.values()) > LEAST_SERVED_RATIO * whole_ns else {}


def own_ratios(pairs: Pairs) -> dict[CauseKind, float]:
    """How much of what each cause took longer is the victim's own doing, 0 to 1; of a cause that is left out, none."""
    return {
        CauseKind.SELF: 1.0,
        CauseKind.THROTTLED: throttled_own_ratio(pairs),
        CauseKind.IO: io_own_ratio(pairs),
        CauseKind.NETWORK: network_own_ratio(pairs),
        CauseKind.MEMORY_PRESSURE: memory_own_ratio(pairs),
    }


def memory_own_ratio(pairs: Pairs) -> float:
    """How much of what memory was reclaimed more was within the victim's own limits, not within shared ones; 0 to 1."""
    own = growth_per_work(pairs, lambda seen: seen.memory.own_limit.pages) or 0.0
    shared = (
        growth_per_work(pairs, lambda seen: seen.memory.own.pages + sum(seen.memory.others_pages.values()))
        or 0.0
    )
    return own / (own + shared) if own > 0 else 0.0


def io_own_ratio(pairs: Pairs) -> float:
    """How much of the time that its requests took longer is its own doing, as it made more of them; 0 to 1.

    What it only read again, since others had its memory, is none of that.
    """
    return _own_ratio(
        pairs, fresh_ratio(pairs), lambda seen: seen.disk.self_ns, lambda seen: seen.disk.time_ns
    )


def network_own_ratio(pairs: Pairs) -> float:
    """The same of the time that its packets were queued longer, as it sent more."""
    more = max(
        growth_ratio(pairs, lambda seen: seen.network.packets),
        growth_ratio(pairs, lambda seen: seen.network.bytes),
    )
    return _own_ratio(pairs, more, lambda seen: seen.network.self_ns, lambda seen: seen.network.queue_ns)


def _own_ratio(
    pairs: Pairs,
    more: float,
    own_ns: Callable[[VictimObservation], int],
    whole_ns: Callable[[VictimObservation], int],
) -> float:
    """Of the growth of a time, what is its own doing: of that while it was served itself, what it asked `more` took.

    All of a request is its own where it has several at once, however long another's keeps all of them. Who was in the
    way before is so of each request that is more, and has gone on as before: that is nobody's doing.
    """

    def others_ns(seen: VictimObservation) -> int:
        return whole_ns(seen) - own_ns(seen)

    own = min(growth_per_work(pairs, own_ns) or 0.0, more * with_neighbours(pairs, own_ns))
    own_before, others_before = (without_neighbours(pairs, part_ns) for part_ns in (own_ns, others_ns))
    gone_on = others_before * own / own_before if own_before else 0.0
    others = max(0.0, (growth_per_work(pairs, others_ns) or 0.0) - gone_on)
    return own / (own + others) if own > 0 else 0.0


def throttled_own_ratio(pairs: Pairs) -> float:
    """How much of the additional throttling was by the victim's own quota, the rest by its ancestors'; 0 to 1.

    1 where the kernel does not tell them apart.
    """
    own = growth_per_work(pairs, lambda seen: seen.signals.throttled_own_ns)
    ancestors = growth_per_work(pairs, lambda seen: seen.signals.throttled_ancestors_ns)
    if own is None or ancestors is None or own + ancestors <= 0:
        return 1.0
    return own / (own + ancestors)


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
