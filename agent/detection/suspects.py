"""Whom a victim waited for, who preempted it, or who ran beside it: the first to look at, with shares."""

from collections.abc import Mapping

from agent.detection.event import Suspect
from agent.detection.signals import Blame
from collectors.sched import REST, CgroupWindow

MOST_SUSPECTS = 5
_LEAST_SHARE_PCT = 5.0


def suspects(victim: CgroupWindow, beside: Mapping[str, CgroupWindow], blame: Blame) -> tuple[Suspect, ...]:
    """The largest first, each with its share of all that others did to the victim, whether or not it is known who.

    `beside` are all cgroups in the window that raised the event.
    """
    amounts = _amounts(victim, beside, blame)
    whole = sum(amounts.values()) + (victim.unattributed_ns if blame == "waits" else 0)
    shares = {name: 100 * amount / whole for name, amount in amounts.items() if amount and name != REST}
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:MOST_SUSPECTS]
    return tuple(Suspect(name, round(share, 1)) for name, share in ranked if share >= _LEAST_SHARE_PCT)


def _amounts(victim: CgroupWindow, beside: Mapping[str, CgroupWindow], blame: Blame) -> Mapping[str, int]:
    match blame:
        case "waits":
            return {name: wait.wait_ns for name, wait in victim.waited_for.items()}
        case "preemptions":
            return {name: wait.preemptions for name, wait in victim.waited_for.items()}
        case "runs":
            return {name: cgroup.run_ns for name, cgroup in beside.items() if name != victim.path}
        case "nobody":
            return {}
