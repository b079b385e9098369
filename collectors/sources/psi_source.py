"""The lowest tier: each cgroup's CPU time and CPU pressure, where neither BPF nor /proc/PID/schedstat may be used.

Sources: cpu.stat and cpu.pressure of every cgroup of the v2 hierarchy (cgroup-v2.rst, psi.rst). Pressure is the time
in which at least one task waited, so for a cgroup with several waiting at once it is less than their waits' sum, and
waiting on a quota is part of it. There are no switches, no histograms, and nobody to blame.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns

from collectors.host.hierarchy import CgroupLayout, lineage, walk
from collectors.host.readings import Missing, read_text
from collectors.sources.below_ebpf import Keys, Unattached, figures, new_keys, snapshot
from collectors.sources.kernel_files import flat_number
from collectors.sources.psi import REMEDY, parse_pressure
from probes.errors import HostError
from probes.snapshot import Snapshot

_NS_PER_US = 1000


@dataclass(frozen=True, slots=True)
class Pressed:
    """The CPU time of a cgroup with all below it, and the time in which at least one of its tasks waited for a CPU."""

    run_ns: int
    wait_ns: int

    def minus(self, other: "Pressed") -> "Pressed":
        """The difference, never below 0: clocks of several files are not read at one moment."""
        return Pressed(max(0, self.run_ns - other.run_ns), max(0, self.wait_ns - other.wait_ns))

    def plus(self, other: "Pressed") -> "Pressed":
        """The sum of both, field by field."""
        return Pressed(self.run_ns + other.run_ns, self.wait_ns + other.wait_ns)


NONE = Pressed(0, 0)


def read_pressed(directory: Path) -> Pressed | Missing:
    """A cgroup's figures since it was made."""
    stat, pressure = read_text(directory / "cpu.stat"), read_text(directory / "cpu.pressure")
    if isinstance(stat, Missing):
        return stat
    if isinstance(pressure, Missing):
        return pressure
    run_ns = flat_number(stat, "usage_usec", str(directory / "cpu.stat"), factor=_NS_PER_US)
    waited_ns, _ = parse_pressure(pressure, str(directory / "cpu.pressure"))
    if isinstance(run_ns, Missing):
        return run_ns
    return waited_ns if isinstance(waited_ns, Missing) else Pressed(run_ns, int(waited_ns))


def own_growth(before: Mapping[str, Pressed], after: Mapping[str, Pressed]) -> dict[str, Pressed]:
    """What grew of each cgroup itself, without those below it; what has gone since stays its parent's.

    A cgroup that was not there before counts from its making; none does at the first reading.
    """
    if not before:
        return dict.fromkeys(after, NONE)
    grown = {path: now.minus(before.get(path, NONE)) for path, now in after.items()}
    below = dict.fromkeys(grown, NONE)
    for path, growth in grown.items():
        parent = lineage(path)[1] if path != "/" else "/"
        if parent in below and parent != path:
            below[parent] = below[parent].plus(growth)
    return {path: growth.minus(below[path]) for path, growth in grown.items()}


@dataclass(slots=True)
class PsiSource(Unattached):
    """Cumulative sums of `own_growth`. The root is left out: on hybrid hosts it holds all that is told apart in v1."""

    layout: CgroupLayout
    _seen: dict[str, Pressed] = field(default_factory=dict)
    _totals: dict[str, Pressed] = field(default_factory=dict)
    _keys: Keys = field(default_factory=new_keys)
    _read_ns: int = 0

    def __enter__(self) -> "PsiSource":
        """Raises HostError where the kernel tells no pressure of cgroups."""
        if self.layout.v2_mount is None:
            raise HostError("there is no cgroup2 hierarchy, which pressure is told of", "mount cgroup2")
        found = self._readings().values()
        absent = next((each for each in found if isinstance(each, Missing)), None)
        if absent is not None and not any(isinstance(each, Pressed) for each in found):
            raise HostError(absent.reason, absent.remedy or REMEDY)
        return self

    def read(self) -> Snapshot:
        """Two small files of every cgroup: some 20 µs each."""
        now = {path: found for path, found in self._readings().items() if isinstance(found, Pressed)}
        for path, growth in own_growth(self._seen, now).items():
            self._totals[path] = self._totals.get(path, NONE).plus(growth)
        gone = self._seen.keys() - now.keys()
        self._seen = now
        reach_ns, self._read_ns = monotonic_ns() - self._read_ns, monotonic_ns()
        by_path = {path: figures(total.run_ns, total.wait_ns) for path, total in self._totals.items()}
        # As if one task ran on each CPU and another waited: pressure is not a sum over tasks.
        found = snapshot(by_path, self._keys, dict.fromkeys(by_path, 1 + (os.cpu_count() or 1)), reach_ns)
        for path in gone:
            del self._totals[path]
            del self._keys[path]
        return found

    def _readings(self) -> dict[str, Pressed | Missing]:
        mount = self.layout.v2_mount
        if mount is None:
            return {}
        cgroups = (cgroup for cgroup in walk(mount) if cgroup.path != "/")
        return {cgroup.path: read_pressed(cgroup.directory(mount)) for cgroup in cgroups}
