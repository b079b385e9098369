"""What kernel files count for one cgroup: its limit, throttling, pressure, memory reclaim and block I/O.

On a hybrid host a cgroup of one path is a directory in each hierarchy, and each file is read where its controller is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

from collectors import block_io, memory, psi
from collectors.hierarchy import CgroupLayout, lineage
from collectors.kernel_files import (
    AbsentFile,
    Figure,
    Figures,
    FilePool,
    KernelFile,
    PooledFile,
    close_all,
)
from collectors.readings import Missing
from collectors.throttling import (
    LOCAL_FILE,
    NO_CONTROLLER,
    UNLIMITED,
    Control,
    ControlFiles,
    tightest,
)

V1_HAS_NO_PRESSURE = Missing("v1 cgroups have no pressure", "mount cgroup v2")
NO_CGROUP = Missing("the cgroup was gone when it was read, or is not in the hierarchy that tells")
NO_MEMORY = Missing("no mounted cgroup hierarchy has the memory controller", "mount the memory controller")
_NO_STAMPS: Mapping[str, object] = {}
NO_IO = Missing("no mounted cgroup hierarchy has the io controller", "mount the io controller")


class CgroupFigures(NamedTuple):
    """One cgroup at one moment; all but the limit count since it was made.

    A named tuple, because there are some hundred a second, and a frozen dataclass takes four times as long.

    Attributes:
        limit_cpus: The tightest of its own and its ancestors' limits; `inf`: there is none.
        nr_periods: Enforcement periods of its own limit in which it ran.
        nr_throttled: Those of them in which it ran out of quota.
        throttled_own_ns: Time throttled by its own limit, summed over CPUs.
        throttled_ancestors_ns: Time that its ancestors were throttled, each by its own limit: at most so long was it
            stopped by them.
        throttled_any_ns: Time that its tasks were kept from running by any of these limits (from 6.6).
        cpu_some_ns: Stalled for want of a CPU, at least one task; `full`: all at once. The same for memory and io.
        file_refaults: This and the next seven: see `collectors.memory`.
        read_bytes: This and the next three: block I/O over all devices.
    """

    limit_cpus: Figure
    nr_periods: Figure
    nr_throttled: Figure
    throttled_own_ns: Figure
    throttled_ancestors_ns: Figure
    throttled_any_ns: Figure
    cpu_some_ns: Figure
    cpu_full_ns: Figure
    memory_some_ns: Figure
    memory_full_ns: Figure
    io_some_ns: Figure
    io_full_ns: Figure
    file_refaults: Figure
    anon_refaults: Figure
    scanned_pages: Figure
    reclaimed_pages: Figure
    major_faults: Figure
    memory_high_events: Figure
    memory_max_events: Figure
    oom_kills: Figure
    read_bytes: Figure
    written_bytes: Figure
    reads: Figure
    writes: Figure


class CgroupReader:
    """Reads cgroups again and again. `most_open` is how many files may stay open between two passes."""

    def __init__(self, layout: CgroupLayout, most_open: int = 0) -> None:
        self._pool = FilePool(most_open, NO_CGROUP)
        self._cpu_mount = layout.cpu_mount
        self._cpu_on_v1 = layout.cpu_on == "v1"
        self._places = tuple(_places(layout))
        self._controls: dict[str, ControlFiles] = {}
        self._files: dict[str, Sequence[PooledFile | AbsentFile]] = {}
        self._lineages: dict[str, list[str]] = {}

    def read(
        self, paths: Iterable[str], stamps: Mapping[str, object] = _NO_STAMPS
    ) -> dict[str, CgroupFigures]:
        """One pass: the figures of these cgroups now. What the last pass read and this one does not is let go.

        `stamps` has those of `psi.Calm`, by the name of a file's first figure.
        """
        controls: dict[str, Control] = {}
        found = {path: self._read(path, controls, stamps) for path in paths}
        for path in self._files.keys() - found.keys():
            close_all(self._files.pop(path))
            del self._lineages[path]
        for path in self._controls.keys() - controls.keys():
            close_all(self._controls.pop(path).files)
        return found

    def close(self) -> None:
        """Close every file; may be called twice."""
        self.read(())

    def _read(self, path: str, controls: dict[str, Control], stamps: Mapping[str, object]) -> CgroupFigures:
        files = self._files.get(path)
        if files is None:
            self._lineages[path] = lineage(path)
            files = self._files[path] = [
                self._pool.file(spec, f"{place.mount}{path.rstrip('/')}")
                if place.mount
                else AbsentFile(spec, place.absent)
                for place in self._places
                for spec in place.files
            ]
        throttling = self._throttling(path, controls)
        # Without a limit nothing is throttled, and the first file need not be read again.
        stamps = {**stamps, LOCAL_FILE.figures[0]: UNLIMITED if throttling[0] == inf else None}
        counted = [figure for file in files for figure in file.read(stamps.get(file.spec.figures[0]))]
        return CgroupFigures(*throttling, *counted)

    def _throttling(self, path: str, controls: dict[str, Control]) -> Figures:
        """The first five figures."""
        if self._cpu_mount is None:
            return (NO_CONTROLLER,) * 5
        for place in self._lineages[path]:
            if place not in controls:
                controls[place] = self._control(place, f"{self._cpu_mount}{place.rstrip('/')}")
        own, *ancestors = (controls[place] for place in self._lineages[path])
        limit_cpus = tightest([control.limit_cpus for control in (own, *ancestors)])
        return limit_cpus, *own[1:], _sum(control.throttled_ns for control in ancestors)

    def _control(self, path: str, directory: str) -> Control:
        if path not in self._controls:
            self._controls[path] = ControlFiles(self._pool, directory, v1=self._cpu_on_v1)
        return self._controls[path].read()


class _Place(NamedTuple):
    """Files that are in one hierarchy, and why there are none where that is not mounted."""

    mount: Path | None
    files: Sequence[KernelFile]
    absent: Missing


def _places(layout: CgroupLayout) -> Iterator[_Place]:
    """Their figures are those of `CgroupFigures` after the first five, in that order."""
    yield _Place(layout.cpu_mount, (LOCAL_FILE,), NO_CONTROLLER)
    yield _Place(layout.v2_mount, psi.FILES, V1_HAS_NO_PRESSURE)
    for controller, module, absent in (("memory", memory, NO_MEMORY), ("blkio", block_io, NO_IO)):
        v1_mount = layout.v1_mounts.get(controller)
        yield _Place(v1_mount or layout.v2_mount, module.V1_FILES if v1_mount else module.V2_FILES, absent)


def _sum(figures: Iterable[Figure]) -> Figure:
    """The sum, missing if one of them is."""
    total = 0
    for figure in figures:
        if isinstance(figure, Missing):
            return figure
        total += int(figure)
    return total
