"""The scheduler probe, opened for this host's cgroup hierarchies."""

import os
from collections.abc import Iterator, Sequence
from functools import partial

from collectors.host.hierarchy import CgroupLayout, tells_more, walk
from probes.errors import HostError
from probes.layout import KEY_V1
from probes.perf_event import PerfEvent
from probes.sched_probe import Identity, SchedProbe


def identity_of(layout: CgroupLayout) -> Identity:
    """What tells cgroups apart on this host: see `probes.sched_probe.Identity`.

    Raises:
        HostError: Neither a v2 hierarchy nor a v1 one with the cpu controller is mounted.
    """
    v2_root_id = os.stat(layout.v2_mount).st_ino if layout.v2_mount else None  # noqa: PTH116  one call, not a walk
    v1_id = layout.v1_cpu_hierarchy_id if layout.cpu_on == "v1" else None
    if v2_root_id is None and v1_id is None:
        raise HostError(
            "no cgroup hierarchy tells workloads apart", "mount cgroup2, or the v1 cpu controller"
        )
    return Identity(v2_root_id, v1_id, partial(tells_more, layout=layout))


def list_cgroups(layout: CgroupLayout) -> Iterator[tuple[int, str]]:
    """(key, path) of every cgroup of the hierarchies that `identity_of` chose."""
    if layout.v2_mount:
        yield from ((cgroup.id, cgroup.path) for cgroup in walk(layout.v2_mount))
    if layout.cpu_on == "v1":
        yield from ((cgroup.id | KEY_V1, cgroup.path) for cgroup in walk(layout.v1_mounts["cpu"]))


def open_probe(layout: CgroupLayout, events: Sequence[PerfEvent] = ()) -> SchedProbe:
    """The scheduler probe, attached, for this host's hierarchies; it counts these events per cgroup where it can.

    Raises:
        HostError: See `SchedProbe`.
    """
    return SchedProbe(identity_of(layout), lambda: list_cgroups(layout), events=events)
