"""Whom a victim waited for more than usual, who preempted it, who ran beside it: whom to look at first, with shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.detection.indicators import Blamed
from agent.detection.running_baseline import MEMORY_WINDOWS
from agent.documents.event import Suspect
from collectors.windows.sched import REST, CgroupWindow

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
            shares[name] = shares.get(name, 0.0) + weight * wait.wait_ns / duration_ns
        if len(shares) > _MOST_REMEMBERED:
            ranked = sorted(shares.items(), key=lambda item: -item[1])
            shares = dict(ranked[:_MOST_REMEMBERED])
        self.shares = shares

    def beyond(self, cgroup: CgroupWindow, duration_ns: int) -> Mapping[str, float]:
        """How much longer, in ns, it waited for each than usual."""
        return {
            name: max(0.0, wait.wait_ns - self.shares.get(name, 0.0) * duration_ns)
            for name, wait in cgroup.waited_for.items()
        }


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
            return suspects({name: wait.preemptions for name, wait in victim.waited_for.items()})
        case "runs":
            return suspects({name: cgroup.run_ns for name, cgroup in beside.items() if name != victim.path})
        case "nobody":
            return ()
