"""Where a cgroup's tasks may run, and its weight: why it waits may lie there.

Sources: sched_getaffinity(2), cgroup-v2.rst (cpu.weight), sched-design-CFS.rst (cpu.shares).
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from collectors.host.hierarchy import CgroupLayout, lineage, threads
from collectors.host.readings import Missing, read_count

# Asking for one costs a microsecond; ten thousand threads rarely have more than a handful of masks.
MOST_ASKED = 1000


def allowed_cpus(layout: CgroupLayout, path: str) -> frozenset[int] | None:
    """The CPUs that tasks of a cgroup, and of those below it, may run on; None where no task could be asked.

    The kernel tells a mask as the cpuset narrows it.
    """
    mounts = (layout.v2_mount, layout.v1_mounts.get("cpu"))
    places = [mount / path[1:] for mount in mounts if mount is not None]
    found: set[int] = set()
    for thread in islice((each for place in places for each in _threads_below(place)), MOST_ASKED):
        try:
            found |= os.sched_getaffinity(thread)
        except OSError:  # it has ended
            continue
    return frozenset(found) or None


def weights(layout: CgroupLayout, path: str, other: str) -> tuple[int, int] | None:
    """The weights by which two cgroups share CPUs: theirs, or those of their ancestors that are siblings.

    None where one is within the other, or either has none.
    """
    mount, pair = layout.cpu_mount, siblings(path, other)
    if mount is None or pair is None:
        return None
    file = "cpu.shares" if layout.cpu_on == "v1" else "cpu.weight"
    first, second = (read_count(mount / place[1:] / file) for place in pair)
    return None if isinstance(first, Missing) or isinstance(second, Missing) else (first, second)


def siblings(path: str, other: str) -> tuple[str, str] | None:
    """Two cgroups, or those of their ancestors that lie side by side; None where one is within the other."""
    pairs = zip(lineage(path)[::-1], lineage(other)[::-1], strict=False)
    return next(((ours, theirs) for ours, theirs in pairs if ours != theirs), None)


def _threads_below(directory: Path) -> Iterator[int]:
    for place, _, _ in os.walk(directory):
        found = threads(Path(place))
        if not isinstance(found, Missing):
            yield from found
