"""The scheduler probe, opened for this host's cgroup hierarchies."""

import os
from collections.abc import Iterator, Sequence
from functools import partial

from collectors.host.hierarchy import CgroupLayout, members, tells_more, walk
from collectors.host.readings import Missing
from probes.errors import HostError
from probes.layout import KEY_V1
from probes.perf_event import PerfEvent
from probes.sched_probe import CgroupIdentity, SchedProbe


def identity_of(layout: CgroupLayout) -> CgroupIdentity:
    """What tells cgroups apart on this host: see `probes.sched_probe.CgroupIdentity`.

    Raises:
        HostError: Neither a v2 hierarchy nor a v1 one with the cpu controller is mounted.
    """
    v2_root_id = os.stat(layout.v2_mount).st_ino if layout.v2_mount else None  # noqa: PTH116  one call, not a walk
    v1_id = layout.v1_cpu_hierarchy_id if layout.cpu_on == "v1" else None
    if v2_root_id is None and v1_id is None:
        raise HostError(
            "no cgroup hierarchy tells workloads apart", "mount cgroup2, or the v1 cpu controller"
        )
    return CgroupIdentity(
        v2_root_id, v1_id, partial(tells_more, layout=layout), partial(_holds_tasks, layout)
    )


def _holds_tasks(layout: CgroupLayout, key: int, path: str) -> bool:
    mount = layout.v1_mounts["cpu"] if key & KEY_V1 else layout.v2_mount
    found = members(mount / path[1:]) if mount else ()
    return not isinstance(found, Missing) and bool(found)


def list_cgroups(layout: CgroupLayout) -> Iterator[tuple[int, str]]:
    """(key, path) of every cgroup of the hierarchies that `identity_of` chose."""
    if layout.v2_mount:
        yield from ((cgroup.id, cgroup.path) for cgroup in walk(layout.v2_mount))
    if layout.cpu_on == "v1":
        yield from ((cgroup.id | KEY_V1, cgroup.path) for cgroup in walk(layout.v1_mounts["cpu"]))


def list_limits(layout: CgroupLayout) -> Iterator[tuple[int, str]]:
    """(id, path) of every cgroup of the hierarchy that has the memory controller."""
    mount = layout.v1_mounts.get("memory", layout.v2_mount)
    if mount:
        yield from ((cgroup.id, cgroup.path) for cgroup in walk(mount))


def open_probe(
    layout: CgroupLayout, events: Sequence[PerfEvent] = (), *, io: bool = True, net: bool = True
) -> SchedProbe:
    """The scheduler probe, attached, for this host's hierarchies; it counts these events per cgroup where it can.

    `io`, `net`: it looks at block I/O, at queues of network devices, where the kernel shows them.

    Raises:
        HostError: See `SchedProbe`.
    """
    return SchedProbe(
        identity_of(layout),
        lambda: list_cgroups(layout),
        events=events,
        io=io,
        net=net,
        list_limits=lambda: list_limits(layout),
    )
