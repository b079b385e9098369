"""The signals of window after window, beside the scheduler's, for the cgroups that ran in each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from collectors.host.hierarchy import CgroupLayout
from collectors.host.names import Names
from collectors.host.topology import read_topology
from collectors.sources.cgroup_files import NO_CGROUP, CgroupReading
from collectors.sources.ebpf import list_cgroups
from collectors.sources.signal_reader import SignalReader, SignalReading, signals_within
from collectors.windows import counters
from collectors.windows.corun import Corun, coruns
from collectors.windows.figures import CgroupFigures
from collectors.windows.sched import OTHER, SchedWindow
from collectors.windows.signals import Absence
from probes.snapshot import Snapshot

# A cgroup that was made within the window counts from 0.
BORN: CgroupReading = CgroupFigures(*(0,) * len(CgroupFigures._fields))
GONE: CgroupReading = CgroupFigures(*(NO_CGROUP,) * len(CgroupFigures._fields))
# To begin with the figures of more would take above 0.1 s; the others' begin where they first run.
MOST_AT_ONCE = 1000


class SignalGatherer:
    """Completes scheduler windows; a context manager. `begin` it, then give it every window in turn.

    Only cgroups that ran or waited in a window are read, so what is said of one grew since it last did. The same holds
    of those that its reader skips for having hardly done so.
    """

    def __init__(
        self,
        layout: CgroupLayout,
        root: Path = Path("/"),
        reader: SignalReader | None = None,
    ) -> None:
        """`reader` reads `layout`, and is closed with the gatherer; without one each cgroup is read in each window."""
        self._layout = layout
        self._root = root
        self._topology = read_topology(root)
        self._reader = reader or SignalReader(layout, root)
        self._latest: SignalReading | None = None
        self._figures: dict[str, CgroupReading] = {}
        self._names = Names(root)

    def __enter__(self) -> "SignalGatherer":
        return self

    def __exit__(self, *_error: object) -> None:
        self._reader.close()

    def begin(self, wanted: Callable[[str], bool] = lambda path: True) -> None:  # noqa: ARG005  all
        """Read where the first window begins, of at most MOST_AT_ONCE of the wanted cgroups."""
        paths = dict.fromkeys(path for _, path in list_cgroups(self._layout) if wanted(path))
        self._latest = self._reader.read(islice(paths, MOST_AT_ONCE))
        self._figures = dict(self._latest.cgroups)

    def complete(self, window: SchedWindow, before: Snapshot, after: Snapshot) -> SchedWindow:
        """The window between two snapshots with its signals and names, of the cgroups that are in it."""
        paths = [path for path in window.cgroups if path.startswith("/")]
        reading = self._read(paths, window, after)
        earlier = replace(self._latest or reading, cgroups=self._before(paths, before))
        signals = signals_within(earlier, reading)
        self._keep(reading, after)
        counted = counters.grown(before, after)
        return replace(
            window,
            signals=replace(
                signals,
                counters={path: counted[path] for path in window.cgroups if path in counted},
                coruns=self._coruns(window, after),
                names={path: self._names.of(path) for path in paths},
                missing={**signals.missing, **_uncounted(after, len(paths))},
            ),
        )

    def _read(self, paths: Iterable[str], window: SchedWindow, after: Snapshot) -> SignalReading:
        """The figures of these cgroups now; to look for those that are known to be gone would take as long."""
        gone = {after.paths[key] for key in after.removed}
        gone -= {path for key, path in after.paths.items() if key not in after.removed}
        idle = {path for path in paths if window.cgroups[path].is_idle(window.duration_ns)}
        reading = self._reader.read((path for path in paths if path not in gone), idle)
        return replace(reading, cgroups={**reading.cgroups, **dict.fromkeys(gone.intersection(paths), GONE)})

    def _before(self, paths: Iterable[str], before: Snapshot) -> Mapping[str, CgroupReading]:
        unknown = [path for path in paths if path not in self._figures]
        if not unknown:
            return self._figures
        there = set(before.paths.values())
        return {**self._figures, **{path: BORN for path in unknown if path not in there}}

    def _keep(self, reading: SignalReading, after: Snapshot) -> None:
        """The latest figures of the cgroups that are still there."""
        self._latest = reading
        self._figures.update(reading.cgroups)
        there = set(after.paths.values())
        self._names.keep(there)
        if len(self._figures) > len(reading.cgroups):
            self._figures = {path: found for path, found in self._figures.items() if path in there}

    def _coruns(self, window: SchedWindow, after: Snapshot) -> dict[str, dict[str, Corun]]:
        """Of the cgroups in the window; two that have one path are shown as one."""
        found: dict[str, dict[str, Corun]] = {}
        for victim, partners in coruns(after.rings, self._topology, window.duration_ns).items():
            path = after.paths.get(victim, OTHER)
            if path not in window.cgroups:
                continue
            by_name = found.setdefault(path, {})
            for aggressor, corun in partners.items():
                name = after.paths.get(aggressor, OTHER)
                was = by_name.get(name, Corun(0, 0))
                by_name[name] = Corun(was.smt_ns + corun.smt_ns, was.llc_ns + corun.llc_ns)
        return found


def _uncounted(after: Snapshot, cgroups: int) -> dict[str, Absence]:
    return {
        f"counters.{name}": Absence(refusal.reason, cgroups, refusal.remedy)
        for name, refusal in after.uncounted.items()
    }
