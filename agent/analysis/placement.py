"""What holds a cgroup where it is: the CPUs it may use, quotas, and weights against what they promise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collectors.host.hierarchy import CgroupLayout, is_within
from collectors.host.placement import allowed_cpus, weights
from collectors.host.readings import Missing
from collectors.host.topology import read_topology
from collectors.sources.throttling import binding_quota
from collectors.windows.sched import CgroupWindow

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


def user_of_quota(owner: str, path: str, every: Mapping[str, CgroupWindow]) -> CgroupWindow | None:
    """Who below the owner of a quota, other than `path`, used most of it; None: nobody used any."""
    others = (
        each for each in every.values() if is_within(each.path, owner) and not is_within(each.path, path)
    )
    found = max(others, key=lambda each: each.run_ns, default=None)
    return found if found is not None and found.run_ns else None
