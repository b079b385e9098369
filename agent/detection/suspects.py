"""Whom a victim waited for more than usual, who preempted it, who ran beside it: whom to look at first, with shares."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.detection.indicators import Blamed
from agent.detection.running_baseline import MEMORY_WINDOWS
from agent.documents.event import Entitlement, Suspect
from collectors.host.tenants import culprits, tenant_of
from collectors.windows.entitlement import FindWeights, share_of
from collectors.windows.sched import REST, CgroupWindow, by_culprit, renamed

MOST_SUSPECTS = 5
_LEAST_SHARE_PCT = 5.0
# Of those waited for before, the most that are remembered; a window has some twenty.
_MOST_REMEMBERED = 40


@dataclass(slots=True)
class BaselineWaits:
    """For whom a cgroup usually waits, and for how much of the time: exponentially weighted, as `RunningBaseline`."""

    count: int = 0
    shares: dict[str, float] = field(default_factory=dict)

    def learn(self, cgroup: CgroupWindow, duration_ns: int) -> None:
        """Take one more window in."""
        self.count = min(self.count + 1, MEMORY_WINDOWS)
        weight = 1 / self.count
        shares = {name: share * (1 - weight) for name, share in self.shares.items()}
        for name, wait in cgroup.waited_for.items():
            tenant = tenant_of(name, cgroup.path)
            shares[tenant] = shares.get(tenant, 0.0) + weight * wait.wait_ns / duration_ns
        if len(shares) > _MOST_REMEMBERED:
            ranked = sorted(shares, key=shares.__getitem__, reverse=True)
            shares = {name: shares[name] for name in ranked[:_MOST_REMEMBERED]}
        self.shares = shares

    def beyond(self, cgroup: CgroupWindow, duration_ns: int) -> Mapping[str, float]:
        """How much longer, in ns, it waited for each tenant than usual, by the culprit that stands for it here."""
        here = culprits(cgroup.waited_for, cgroup.path)
        named = {tenant_of(name, cgroup.path): culprit for name, culprit in here.items()}
        return {
            named[tenant]: max(0.0, wait.wait_ns - self.shares.get(tenant, 0.0) * duration_ns)
            for tenant, wait in _by_tenant(cgroup).waited_for.items()
        }


def _by_tenant(cgroup: CgroupWindow) -> CgroupWindow:
    return renamed(cgroup, {name: tenant_of(name, cgroup.path) for name in cgroup.waited_for})


def suspects(amounts: Mapping[str, float], unknown: float = 0.0) -> tuple[Suspect, ...]:
    """The largest first, each with its share of all amounts and of what nobody is known for."""
    whole = sum(amounts.values()) + unknown
    shares = {name: 100 * amount / whole for name, amount in amounts.items() if amount and name != REST}
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:MOST_SUSPECTS]
    return tuple(Suspect(name, round(share, 1)) for name, share in ranked if share >= _LEAST_SHARE_PCT)


def blamed(
    victim: CgroupWindow,
    duration_ns: int,
    baseline: BaselineWaits,
    beside: Mapping[str, CgroupWindow],
    blame: Blamed,
) -> tuple[Suspect, ...]:
    """Whom to suspect of what a victim suffered; `beside` are all cgroups in the window that raised the event."""
    match blame:
        case "waits":
            return suspects(baseline.beyond(victim, duration_ns), victim.unattributed_ns)
        case "preemptions":
            waits = by_culprit(victim).waited_for
            return suspects({name: wait.preemptions for name, wait in waits.items()})
        case "runs":
            of = culprits(beside.keys() - {victim.path}, victim.path)
            ran: Counter[str] = Counter()
            for name, culprit in of.items():
                ran[culprit] += beside[name].run_ns
            return suspects(ran)
        case "nobody":
            return ()


@dataclass(frozen=True, slots=True)
class Judged:
    """Suspects with what they are entitled to, what that means, and what to do about it."""

    suspects: tuple[Suspect, ...]
    entitlement: Entitlement | None = None
    advice: str | None = None


def judged(
    found: tuple[Suspect, ...], victim: str, every: Mapping[str, CgroupWindow], find_weights: FindWeights
) -> Judged:
    """What the weights say of suspects; `every` are all cgroups while the victim was beyond its limit."""
    if not found:
        return Judged(())
    weights = {
        each.cgroup: find_weights(victim, each.cgroup) for each in found if each.cgroup.startswith("/")
    }
    shares = {name: share_of(pair, victim, name, every) for name, pair in weights.items()}
    suspects = tuple(
        each
        if (share := shares.get(each.cgroup)) is None
        else replace(each, above_entitlement=share.is_below, entitled_times=round(share.others_ratio, 2))
        for each in found
    )
    first = suspects[0]
    pair = weights.get(first.cgroup)
    if first.above_entitlement is None or pair is None:
        return Judged(suspects)
    entitlement = (
        Entitlement.ABOVE
        if first.above_entitlement
        else Entitlement.BELOW
        if pair[1] > pair[0]
        else Entitlement.NOBODY
    )
    advice = _ADVICE[entitlement].format(times=first.entitled_times, own=pair[0], others=pair[1])
    return Judged(suspects, entitlement, advice)


_ADVICE = {
    Entitlement.ABOVE: "give the first suspect a quota (cpu.max, in Kubernetes a CPU limit), other CPUs or another "
    "host: it ran {times:g} times what its weight entitles it to",
    Entitlement.BELOW: "give the victim more weight, {own} against {others} of the first suspect (cpu.weight, in "
    "Kubernetes the CPU request): nobody ran more than its weight entitles it to",
    Entitlement.NOBODY: "place one of them on another host: nobody ran more than its weight entitles it to, they want "
    "more than there is",
}
