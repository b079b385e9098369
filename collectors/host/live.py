"""The cgroups of this host as they are now, for the resolver: listed, named, and asked for their processes.

Apart from it, as the agent matches patterns all day and needs neither psutil nor the reading of all names.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from collectors.host.hierarchy import CgroupLayout, Membership, cgroup_of_pid, tells_more, walk
from collectors.host.names import name_workload
from collectors.host.readings import Missing
from collectors.host.resolver import Cgroups, Homes, workloads_among


def live(layout: CgroupLayout, controllers: Sequence[str] = ("cpu",), root: Path = Path("/")) -> Cgroups:
    """The cgroups of this host: of the v2 hierarchy and of the v1 hierarchies of these controllers."""
    v1 = (layout.v1_mounts.get(name) for name in controllers)
    places = dict.fromkeys(mount for mount in (layout.v2_mount, *v1) if mount is not None)
    every = {*layout.v1_mounts.values(), *places}
    return Cgroups(
        known=(cgroup.path for mount in places for cgroup in walk(mount)),
        names=lambda paths: workloads_among(paths, lambda path: name_workload(path, root)),
        homes=lambda wanted: homes_of(wanted, layout, root),
        mounts=tuple(sorted(every, key=lambda mount: -len(mount.parts))),
    )


def homes_of(wanted: str, layout: CgroupLayout, root: Path = Path("/")) -> Homes:
    """Where processes of this name or this PID run. One may end meanwhile, and be found or not."""
    paths: set[str] = set()
    in_root = unseen = False
    for process in psutil.process_iter(["name"]):
        is_called_so = wanted == process.info["name"] and process.pid != os.getpid()
        if not is_called_so and wanted != str(process.pid):
            continue
        membership = cgroup_of_pid(process.pid, layout, root)
        if isinstance(membership, Missing):
            continue
        seen = _in_order(membership, layout)
        path = next((path for path in seen if path not in (None, "/")), None)
        if path is not None:
            paths.add(path)
        elif None in seen:
            unseen = True
        else:
            in_root = True
    return Homes(tuple(sorted(paths)), in_root, unseen)


def _in_order(membership: Membership, layout: CgroupLayout) -> list[str | None]:
    """A process's cgroups as the probe tells them apart: by v2, or by the v1 cpu hierarchy where that tells more."""
    v2 = [membership.v2] if layout.v2_mount is not None else []
    v1 = [membership.v1_cpu] if "cpu" in layout.v1_mounts else []
    tells = membership.v1_cpu is not None and tells_more(membership.v1_cpu, layout)
    return [*v1, *v2] if tells else [*v2, *v1]
