"""In which cgroups the processes of a name, or of a number, run: people know their programs better than cgroups."""

from pathlib import Path

import psutil

from collectors.host.hierarchy import CgroupLayout, Membership, cgroup_of_pid
from collectors.host.readings import Missing


def cgroups_of(wanted: str, layout: CgroupLayout, root: Path = Path("/")) -> list[str]:
    """The paths of the cgroups, sorted, in which a process has this name or this PID; the root cgroup is none.

    A process may end meanwhile, and be found or not.
    """
    found = {
        path
        for process in psutil.process_iter(["name"])
        if wanted in (process.info["name"], str(process.pid))
        and (path := _path(cgroup_of_pid(process.pid, layout, root))) is not None
    }
    return sorted(found)


def _path(membership: Membership | Missing) -> str | None:
    """As the probe tells cgroups apart: by v2, and for what is in its root by the v1 cpu hierarchy."""
    if isinstance(membership, Missing):
        return None
    return next((path for path in (membership.v2, membership.v1_cpu) if path not in (None, "/")), None)
