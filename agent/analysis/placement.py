"""What holds a cgroup where it is: the CPUs it may use, quotas, and weights against what they promise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collectors.host.hierarchy import CgroupLayout, is_within
from collectors.host.placement import allowed_cpus, siblings, weights
from collectors.host.readings import Missing
from collectors.host.topology import read_topology
from collectors.sources.throttling import binding_quota
from collectors.windows.sched import CgroupWindow, subtree

# A CPU that ran something for so much of the time is busy; one below the other share has room.
BUSY, HAS_ROOM = 0.9, 0.7


@dataclass(frozen=True, slots=True)
class Placement:
    """Settings of a cgroup: the CPUs its tasks may run on, the tightest quota, its weight and that of an aggressor."""

    allowed: frozenset[int] | None = None
    quota: tuple[str, float] | None = None
    weights: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Those of a host: which of its CPUs are online (None: all), and `of` a cgroup and whom it waits for most."""

    online: frozenset[int] | None
    of: Callable[[str, str | None], Placement]


UNKNOWN = HostSettings(None, lambda _path, _aggressor: Placement())
"""Those of a host at another time: a recording does not hold them."""


def settings_now(layout: CgroupLayout) -> HostSettings:
    """Those of this host as they are when they are asked for."""
    online = read_topology().online

    def of(path: str, aggressor: str | None) -> Placement:
        against = None if aggressor is None else weights(layout, path, aggressor)
        return Placement(allowed_cpus(layout, path), binding_quota(layout, path), against)

    return HostSettings(None if isinstance(online, Missing) else frozenset(online), of)


def idle_elsewhere(place: Placement, busy: Mapping[int, float]) -> tuple[int, ...]:
    """CPUs with room that its tasks may not run on, where those that they may run on are busy."""
    allowed = [busy[cpu] for cpu in place.allowed or () if cpu in busy]
    if not allowed or sum(allowed) < BUSY * len(allowed):
        return ()
    return tuple(
        cpu for cpu, running in busy.items() if cpu not in (place.allowed or ()) and running < HAS_ROOM
    )


@dataclass(frozen=True, slots=True)
class Share:
    """Of the CPU time that two siblings had between them: what one had, and what its weight promises; 0 to 1."""

    had: float
    promised: float
    wanted: float

    @property
    def is_below(self) -> bool:
        """Whether it wanted more than it had, and had clearly less than promised: a larger promise is no help."""
        return self.had < BUSY * min(self.promised, self.wanted)


def share_of(
    place: Placement, path: str, aggressor: str | None, every: Mapping[str, CgroupWindow]
) -> Share | None:
    """The share of the two that compete by their weights: `path` and an aggressor, or their ancestors.

    None where there are no weights between them, or neither ran.
    """
    pair = None if aggressor is None else siblings(path, aggressor)
    if pair is None or place.weights is None:
        return None
    ours, theirs = (subtree(every, each) for each in pair)
    both_ns = ours.run_ns + theirs.run_ns
    if not both_ns or not sum(place.weights):
        return None
    wanted_ns = ours.run_ns + ours.wait_ns - ours.throttled_ns
    return Share(ours.run_ns / both_ns, place.weights[0] / sum(place.weights), wanted_ns / both_ns)


def user_of_quota(owner: str, path: str, every: Mapping[str, CgroupWindow]) -> CgroupWindow | None:
    """Who below the owner of a quota, other than `path`, used most of it; None: nobody used any."""
    others = (
        each for each in every.values() if is_within(each.path, owner) and not is_within(each.path, path)
    )
    found = max(others, key=lambda each: each.run_ns, default=None)
    return found if found is not None and found.run_ns else None
