"""The cgroups of this host as they are now, for the resolver: listed, named, and asked for their processes.

Apart from it, as the agent matches patterns all day and needs neither psutil nor the reading of all names.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from collectors.host.hierarchy import (
    CgroupLayout,
    Membership,
    cgroup_of_pid,
    is_within,
    members,
    tells_more,
    walk,
)
from collectors.host.names import name_workload
from collectors.host.readings import Missing
from collectors.host.resolver import Cgroups, Homes, workloads_among
from collectors.host.roots import of_host
from probes.errors import UsageError


def live(layout: CgroupLayout, controllers: Sequence[str] = ("cpu",), root: Path = Path("/")) -> Cgroups:
    """The cgroups of this host: of the v2 hierarchy and of the v1 hierarchies of these controllers."""
    v1 = (layout.v1_mounts.get(name) for name in controllers)
    places = dict.fromkeys(mount for mount in (layout.v2_mount, *v1) if mount is not None)
    every = {*layout.v1_mounts.values(), *places}
    return Cgroups(
        known=(cgroup.path for mount in places for cgroup in walk(mount)),
        names=lambda paths: workloads_among(paths, lambda path: name_workload(path, root)),
        homes=lambda wanted: homes_of(wanted, layout, root),
        mounts=tuple(sorted(every | _as_the_host_says(every), key=lambda mount: -len(mount.parts))),
    )


def _as_the_host_says(mounts: set[Path]) -> set[Path]:
    """The same directories for a person who has the host's root as `/`."""
    root = of_host()
    return {Path("/", mount.relative_to(root)) for mount in mounts if mount.is_relative_to(root)}


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


def require_told(path: str, layout: CgroupLayout, root: Path = Path("/")) -> None:
    """Refuse a cgroup whose processes are all told apart by v1 cgroups of other paths, as it has no figures of its own.

    Raises:
        UsageError: It is such a cgroup of the v2 hierarchy; with those that have the figures.
    """
    if layout.v2_mount is None or path == "/":
        return
    mount = layout.v2_mount
    inside = (each.directory(mount) for each in walk(mount) if is_within(each.path, path))
    pids = (pid for held in map(members, inside) if not isinstance(held, Missing) for pid in held)
    found = [cgroup_of_pid(pid, layout, root) for pid in pids]
    told = {next(iter(_in_order(each, layout))) for each in found if not isinstance(each, Missing)}
    if told and not any(home is None or is_within(home, path) for home in told):
        raise UsageError(
            f"the processes of {path} are told apart by their v1 cgroups, and counted there",
            f"name one of these: {', '.join(sorted(filter(None, told)))}",
        )


def _in_order(membership: Membership, layout: CgroupLayout) -> list[str | None]:
    """A process's cgroups as the probe tells them apart: by v2, or by the v1 cpu hierarchy where that tells more."""
    v2 = [membership.v2] if layout.v2_mount is not None else []
    v1 = [membership.v1_cpu] if "cpu" in layout.v1_mounts else []
    tells = membership.v1_cpu is not None and tells_more(membership.v1_cpu, layout)
    return [*v1, *v2] if tells else [*v2, *v1]
