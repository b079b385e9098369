"""What kernel files count for one cgroup: its limit, throttling, pressure, memory reclaim and block I/O.

On a hybrid host a cgroup of one path is a directory in each hierarchy, and each file is read where its controller is.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from collectors.host.hierarchy import CgroupLayout, lineage
from collectors.host.readings import Missing
from collectors.sources import cgroup_formats, psi
from collectors.sources.cgroup_formats import kernel_files
from collectors.sources.kernel_files import (
    AbsentFile,
    ChangeTokens,
    Figure,
    FileFigures,
    FileReader,
    KernelFile,
)
from collectors.sources.throttling import (
    LIMIT_FIGURES,
    LOCAL_FILE,
    NO_CONTROLLER,
    UNLIMITED,
    CgroupLimits,
    ControlFiles,
)
from collectors.sources.unchanged import Total, Unchanged
from collectors.windows.figures import CGROUP_FIGURES, CgroupFigures

V1_HAS_NO_PRESSURE = Missing("v1 cgroups have no pressure", "mount cgroup v2")
NO_CGROUP = Missing("the cgroup was gone when it was read, or is not in the hierarchy that tells")
NO_MEMORY = Missing("no mounted cgroup hierarchy has the memory controller", "mount the memory controller")
NO_IO = Missing("no mounted cgroup hierarchy has the io controller", "mount the io controller")


_STALLS = {file.name for file in psi.FILES if file.name != "cpu.pressure"}


CgroupReading = CgroupFigures[Figure]
"""What one cgroup's files say at one moment: numbers, or why there is none. Counters count since it was made."""


class CgroupReader:
    """Reads cgroups again and again.

    An idle one may be skipped in `most_skipped` passes in a row; `keep_below`: see `FileReader`.
    """

    def __init__(self, layout: CgroupLayout, most_skipped: int = 0, keep_below: int = 0) -> None:
        self._keep_below = keep_below
        self._limits = CgroupLimits(
            layout.cpu_mount,
            lambda directory: ControlFiles(directory, NO_CGROUP, keep_below, v1=layout.cpu_on == "v1"),
        )
        self._places = tuple(_places(layout))
        self._specs = tuple(spec for place in self._places for spec in place.files)
        told = (*LIMIT_FIGURES, *(name for spec in self._specs for name in spec.figures))
        untold = {spec.name: spec.label for spec in CGROUP_FIGURES if spec.name not in told}
        self._untold = tuple(Missing(f"cgroup v1 has no count of {label}") for label in untold.values())
        self._in_order = itemgetter(*map((*told, *untold).index, CgroupFigures._fields))
        self._members: dict[str, _CgroupFiles] = {}
        self._most_skipped = most_skipped
        self._skipped: dict[str, int] = {}
        self._ancestors: set[str] = set()
        self._unchanged = Unchanged(self._totals)

    def read(
        self,
        paths: Iterable[str],
        host: Iterable[Total] = (),
        now_ns: int = 0,
        idle: Collection[str] = (),
    ) -> dict[str, CgroupReading]:
        """One pass: the figures of these cgroups now. What was in the last pass and is not in this one is forgotten.

        `host` has totals of the whole host that were read at `now_ns`, just before. Those that are `idle` are skipped
        now and then.
        """
        members = {path: self._member(path) for path in paths}
        self._ancestors = set()
        self._unchanged.begin((member.lineage for member in members.values()), host, now_ns)
        found = {
            path: self._figures(member)
            for path, member in members.items()
            if not self._is_skipped(path, member, idle)
        }
        for path in self._members.keys() - members.keys() - self._ancestors:
            del self._members[path]
        self._skipped = {path: passes for path, passes in self._skipped.items() if path in members}
        self._limits.forget({place for member in members.values() for place in member.lineage})
        return found

    def _member(self, path: str) -> "_CgroupFiles":
        member = self._members.get(path)
        if member is None:
            files = [file for place in self._places for file in place.readers(path, self._keep_below)]
            member = self._members[path] = _CgroupFiles(lineage(path), files)
        return member

    def _is_skipped(self, path: str, member: "_CgroupFiles", idle: Collection[str]) -> bool:
        """Whether an idle cgroup is left out: only while nothing around it stalls for memory or I/O.

        Then it has next to nothing to tell. The first pause is of another length each, so that not all come due in the
        same pass.
        """
        passes = self._skipped.get(path)
        if passes is None:
            self._skipped[path] = len(self._skipped) % (self._most_skipped + 1)
        elif (
            path in idle
            and passes < self._most_skipped
            and self._unchanged.tokens(member.lineage).keys() >= _STALLS
        ):
            self._skipped[path] += 1
            return True
        else:
            self._skipped[path] = 0
        return False

    def _totals(self, path: str, tokens: ChangeTokens) -> Iterable[Total]:
        """What the files of an ancestor say of all that is below it."""
        self._ancestors.add(path)
        return map(Total, self._specs, self._member(path).read(tokens))

    def _figures(self, member: "_CgroupFiles") -> CgroupReading:
        throttling = self._limits.read(member.lineage)
        tokens = self._unchanged.tokens(member.lineage)
        if throttling[0] == inf:
            # Nothing is throttled, as long as there is no limit.
            tokens = {**tokens, LOCAL_FILE.name: UNLIMITED}
        read = (*throttling, *chain.from_iterable(member.read(tokens)), *self._untold)
        return CgroupFigures._make(self._in_order(read))


class _CgroupFiles(NamedTuple):
    """One cgroup: its path with its ancestors', and its files in each hierarchy that counts something."""

    lineage: Sequence[str]
    files: Sequence[FileReader | AbsentFile]

    def read(self, tokens: ChangeTokens) -> list[FileFigures]:
        """The figures of each file, in the order of `files`; those whose change token still holds are not read."""
        return [file.read(tokens.get(file.spec.name)) for file in self.files]


class _Place(NamedTuple):
    """Files that are in one hierarchy, and why there are none where that is not mounted."""

    mount: Path | None
    files: Sequence[KernelFile]
    absent: Missing

    def readers(self, path: str, keep_below: int) -> Iterator[FileReader | AbsentFile]:
        """Of a cgroup's files."""
        first = None
        for spec in self.files:
            if self.mount is None:
                yield AbsentFile(spec, self.absent)
            else:
                file = FileReader(spec, f"{self.mount}{path.rstrip('/')}", NO_CGROUP, keep_below, first)
                first = first or file
                yield file


def _places(layout: CgroupLayout) -> Iterator[_Place]:
    """Each hierarchy that a cgroup's files are in."""
    yield _Place(layout.cpu_mount, (LOCAL_FILE,), NO_CONTROLLER)
    yield _Place(layout.v2_mount, psi.FILES, V1_HAS_NO_PRESSURE)
    for controller, on_v1, on_v2, absent in (
        ("memory", cgroup_formats.MEMORY_V1, cgroup_formats.MEMORY_V2, NO_MEMORY),
        ("blkio", cgroup_formats.IO_V1, cgroup_formats.IO_V2, NO_IO),
    ):
        v1_mount = layout.v1_mounts.get(controller)
        files = kernel_files(on_v1 if v1_mount else on_v2, v1=v1_mount is not None)
        yield _Place(v1_mount or layout.v2_mount, tuple(files), absent)
