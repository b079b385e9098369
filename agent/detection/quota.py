"""Whose quota binds a cgroup, when an event is raised on one that was throttled."""

from math import inf

from collectors.host.hierarchy import CgroupLayout, lineage
from collectors.host.readings import Missing
from collectors.sources.throttling import ControlFiles


def binding_quota(layout: CgroupLayout, path: str) -> tuple[str, float] | None:
    """The cgroup, itself or an ancestor, with the tightest quota, and that in CPUs; the nearest of several.

    None where there is none any more, or it cannot be read.
    """
    mount = layout.cpu_mount
    if mount is None:
        return None
    limits = [
        (place, ControlFiles(f"{mount}{place.rstrip('/')}", v1=layout.cpu_on == "v1").read().limit_cpus)
        for place in lineage(path)
    ]
    known = [(place, float(limit)) for place, limit in limits if not isinstance(limit, Missing)]
    owner, limit = min(known, key=lambda pair: pair[1], default=(path, inf))
    return None if limit == inf else (owner, limit)
