"""The lowest tier: each cgroup's CPU time and CPU pressure, where neither BPF nor /proc/PID/schedstat may be used.

Sources: cpu.stat and cpu.pressure of every cgroup of the v2 hierarchy (cgroup-v2.rst, psi.rst). Pressure is the time
in which at least one task waited, so for a cgroup with several waiting at once it is less than their waits' sum, and
waiting on a quota is part of it. There are no switches, no histograms, and nobody to blame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns
from types import TracebackType

from collectors.hierarchy import CgroupLayout, lineage, walk
from collectors.psi import REMEDY, parse_pressure
from collectors.readings import Missing, parse_count, read_text
from probes.bpf_syscall import RunStats
from probes.errors import HostError
from probes.layout import FIELDS, NR_BUCKETS
from probes.snapshot import Figures, Snapshot

_NS_PER_US = 1000


@dataclass(frozen=True, slots=True)
class Pressed:
    """Of a cgroup with all below it, as the kernel counts: time on a CPU, time in which a task waited for one."""

    run_ns: int
    wait_ns: int

    def minus(self, other: "Pressed") -> "Pressed":
        """The difference, never below 0: clocks of several files are not read at one moment."""
        return Pressed(max(0, self.run_ns - other.run_ns), max(0, self.wait_ns - other.wait_ns))

    def plus(self, other: "Pressed") -> "Pressed":
        """The sum."""
        return Pressed(self.run_ns + other.run_ns, self.wait_ns + other.wait_ns)


NONE = Pressed(0, 0)


def read_pressed(directory: Path) -> Pressed | Missing:
    """A cgroup's figures since it was made."""
    stat, pressure = read_text(directory / "cpu.stat"), read_text(directory / "cpu.pressure")
    if isinstance(stat, Missing):
        return stat
    if isinstance(pressure, Missing):
        return pressure
    usage = next((line for line in stat.splitlines() if line.startswith("usage_usec ")), "")
    usage_us = parse_count(usage.partition(" ")[2])
    waited_ns, _ = parse_pressure(pressure, str(directory / "cpu.pressure"))
    if usage_us is None:
        return Missing(f"{directory}/cpu.stat has no valid usage_usec")
    return waited_ns if isinstance(waited_ns, Missing) else Pressed(usage_us * _NS_PER_US, int(waited_ns))


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
class PsiSource:
    """Cumulative sums of `own_growth`. The root is left out: on hybrid hosts it holds all that is told apart in v1."""

    layout: CgroupLayout
    _seen: dict[str, Pressed] = field(default_factory=dict)
    _totals: dict[str, Pressed] = field(default_factory=dict)
    _keys: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> "PsiSource":
        """Raises HostError where the kernel tells no pressure of cgroups."""
        absent = next((found for found in self._readings().values() if isinstance(found, Missing)), None)
        if self.layout.v2_mount is None:
            raise HostError("there is no cgroup2 hierarchy, which pressure is told of", "mount cgroup2")
        if absent is not None and not self._known():
            raise HostError(absent.reason, absent.remedy or REMEDY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is attached."""

    def read(self) -> Snapshot:
        """Two small files of every cgroup: some 20 µs each."""
        now = self._known()
        for path, growth in own_growth(self._seen, now).items():
            self._totals[path] = self._totals.get(path, NONE).plus(growth)
        gone = self._seen.keys() - now.keys()
        self._seen = now
        snapshot = Snapshot(
            monotonic_ns=monotonic_ns(),
            cgroups={self._key(path): _figures(total) for path, total in self._totals.items()},
            waits={},
            cpus=(),
            paths={self._key(path): path for path in self._totals},
            homeless=0,
        )
        for path in gone:
            del self._totals[path]
            del self._keys[path]
        return snapshot

    def run_stats(self) -> list[RunStats]:
        """There are no programs."""
        return []

    def counting_cost(self) -> None:
        """Nothing is counted."""

    def shed(self, level: int) -> None:
        """There is nothing to leave out."""

    def _readings(self) -> dict[str, Pressed | Missing]:
        mount = self.layout.v2_mount
        cgroups = walk(mount) if mount is not None else ()
        return {
            cgroup.path: read_pressed(cgroup.directory(mount))
            for cgroup in cgroups
            if mount is not None and cgroup.path != "/"
        }

    def _known(self) -> dict[str, Pressed]:
        return {path: found for path, found in self._readings().items() if isinstance(found, Pressed)}

    def _key(self, path: str) -> int:
        return self._keys.setdefault(path, max(self._keys.values(), default=0) + 1)


def _figures(total: Pressed) -> Figures:
    zeros = dict.fromkeys(FIELDS, 0)
    charged_to_nobody = {"run_ns": total.run_ns, "wait_ns": total.wait_ns, "overrun_ns": total.wait_ns}
    return Figures(**{**zeros, **charged_to_nobody}, histogram=(0,) * NR_BUCKETS)
