"""Where snapshots come from: eBPF, or a tier below it for hosts where BPF is forbidden.

The tier stands in every recording and verdict. In `schedstat` there is the sum of waits per cgroup, but no
histogram and nobody to blame: all waiting is unattributed. `psi` is below that: see `psi_source.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns
from typing import Literal, Protocol

from collectors.host.hierarchy import CgroupLayout, walk
from collectors.host.readings import Missing
from collectors.sources.below_ebpf import Keys, Unattached, figures, new_keys, snapshot
from collectors.sources.ebpf import open_probe
from collectors.sources.psi_source import PsiSource
from collectors.sources.schedstat import NONE, SchedstatTally, TaskTimes
from collectors.windows.sched import TICKS_NS
from probes.kernel import require_all_tasks
from probes.perf_event import PerfEvent
from probes.snapshot import ProbeCost, SchedFigures, Snapshot

Tier = Literal["ebpf", "schedstat", "psi"]
TIERS: tuple[Tier, ...] = ("ebpf", "schedstat", "psi")


class Source(Protocol):
    """Gives snapshots while it is open; a context manager."""

    def __enter__(self) -> "Source": ...

    def __exit__(self, *_error: object) -> None: ...

    def read(self) -> Snapshot:
        """The cumulative figures of all cgroups now."""

    def cost(self) -> ProbeCost | None:
        """What its BPF programs took until now; None where there are none."""

    def shed(self, level: int) -> None:
        """Leave out the first `level` steps of `probes.sched_probe.SHEDDING_ORDER`."""


def open_source(
    layout: CgroupLayout,
    tier: Tier,
    events: Sequence[PerfEvent] = (),
    *,
    io: bool = True,
    net: bool = True,
) -> Source:
    """The source of a tier, at work; with eBPF it counts these events per cgroup where it can, see `open_probe`.

    Raises:
        HostError: This host does not allow it.
    """
    if tier == "ebpf":
        return open_probe(layout, events, io=io, net=net)
    return SchedstatSource(layout) if tier == "schedstat" else PsiSource(layout)


@dataclass(slots=True)
class SchedstatSource(Unattached):
    """Sums of /proc/PID/schedstat over the tasks of each cgroup.

    The root cgroup is left out: it holds the kernel's threads, and on hybrid hosts everything that is told apart
    in the other tree. A task that starts and ends between two readings is not seen.
    """

    layout: CgroupLayout
    root: Path = Path("/")
    _tallies: dict[str, SchedstatTally] = field(default_factory=dict)
    _last: dict[str, TaskTimes] = field(default_factory=dict)
    _keys: Keys = field(default_factory=new_keys)
    _read_ns: int = 0

    def __enter__(self) -> "SchedstatSource":
        """Raises HostError where only some of the host's tasks are in /proc."""
        require_all_tasks(self.root)
        return self

    def read(self) -> Snapshot:
        """One pass over all cgroups; costs about 20 µs per task."""
        reach_ns, self._read_ns = monotonic_ns() - self._read_ns, monotonic_ns()
        now = dict(self._directories())
        gone = [path for path in self._tallies if path not in now]
        for path, directory in now.items():
            tally = self._tallies.setdefault(path, SchedstatTally(directory, self.root))
            times = tally.read()
            if not isinstance(times, Missing):
                self._last[path] = _told_by_now(
                    self._last.get(path, NONE), times, tally.tasks * (reach_ns + TICKS_NS)
                )
        tasks = {path: tally.tasks for path, tally in self._tallies.items()}
        by_path = {path: _figures(times) for path, times in self._last.items()}
        found = snapshot(by_path, self._keys, tasks, reach_ns)
        for path in gone:
            del self._tallies[path]
            self._last.pop(path, None)
            self._keys.pop(path, None)
        return found

    def _directories(self) -> Iterator[tuple[str, Path]]:
        """Path and directory of every cgroup but the root; one that is in both trees is read in v2's."""
        mounts = [self.layout.v1_mounts.get("cpu"), self.layout.v2_mount]
        for mount in mounts:
            if mount is not None:
                yield from (
                    (cgroup.path, cgroup.directory(mount)) for cgroup in walk(mount) if cgroup.path != "/"
                )


def _told_by_now(before: TaskTimes, now: TaskTimes, most_ns: int) -> TaskTimes:
    """A wait is in the kernel's books when it ends: what was waited before the last reading is told bit by bit."""
    room_ns = max(0, most_ns - (now.run_ns - before.run_ns))
    return now._replace(wait_ns=min(now.wait_ns, before.wait_ns + room_ns))


def _figures(times: TaskTimes) -> SchedFigures:
    # Preemptions by others are not told from its own.
    return figures(
        times.run_ns, times.wait_ns, switches_in=times.slices, preempted_foreign=times.involuntary_switches
    )
