"""In which cgroups the processes of a name, or of a number, run: people know their programs better than cgroups."""

from pathlib import Path

import psutil

from collectors.host.hierarchy import CgroupLayout, Membership, cgroup_of_pid, tells_more
from collectors.host.readings import Missing


def cgroups_of(wanted: str, layout: CgroupLayout, root: Path = Path("/")) -> list[str]:
    """The paths of the cgroups, sorted, in which a process has this name or this PID; the root cgroup is none.

    A process may end meanwhile, and be found or not.
    """
    found = {
        path
        for process in psutil.process_iter(["name"])
        if wanted in (process.info["name"], str(process.pid))
        and (path := _path(cgroup_of_pid(process.pid, layout, root), layout)) is not None
    }
    return sorted(found)


def _path(membership: Membership | Missing, layout: CgroupLayout) -> str | None:
    """As the probe tells cgroups apart: by v2, or by the v1 cpu hierarchy where that tells more."""
    if isinstance(membership, Missing):
        return None
    if membership.v1_cpu is not None and tells_more(membership.v1_cpu, layout):
        return membership.v1_cpu
    return next((path for path in (membership.v2, membership.v1_cpu) if path not in (None, "/")), None)
