"""What kernel files count for one cgroup: its limit, throttling, pressure, memory reclaim and block I/O.

On a hybrid host a cgroup of one path is a directory in each hierarchy, and each file is read where its controller is.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from math import inf
from pathlib import Path
from typing import NamedTuple

from collectors.host.hierarchy import CgroupLayout, lineage
from collectors.host.readings import Missing
from collectors.sources import block_io, memory, psi
from collectors.sources.kernel_files import (
    AbsentFile,
    ChangeTokens,
    Figure,
    FileFigures,
    FileReader,
    KernelFile,
)
from collectors.sources.throttling import LOCAL_FILE, NO_CONTROLLER, UNLIMITED, CgroupLimits, ControlFiles
from collectors.sources.unchanged import Total, Unchanged

V1_HAS_NO_PRESSURE = Missing("v1 cgroups have no pressure", "mount cgroup v2")
NO_CGROUP = Missing("the cgroup was gone when it was read, or is not in the hierarchy that tells")
NO_MEMORY = Missing("no mounted cgroup hierarchy has the memory controller", "mount the memory controller")
NO_IO = Missing("no mounted cgroup hierarchy has the io controller", "mount the io controller")


_STALLS = {file.name for file in psi.FILES if file.name != "cpu.pressure"}


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
        file_refaults: This and the next seven: see `collectors.sources.memory`.
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
        self._members: dict[str, _Member] = {}
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
    ) -> dict[str, CgroupFigures]:
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

    def _member(self, path: str) -> "_Member":
        member = self._members.get(path)
        if member is None:
            files = [file for place in self._places for file in place.readers(path, self._keep_below)]
            member = self._members[path] = _Member(lineage(path), files)
        return member

    def _is_skipped(self, path: str, member: "_Member", idle: Collection[str]) -> bool:
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

    def _figures(self, member: "_Member") -> CgroupFigures:
        throttling = self._limits.read(member.lineage)
        tokens = self._unchanged.tokens(member.lineage)
        if throttling[0] == inf:
            # Nothing is throttled, as long as there is no limit.
            tokens = {**tokens, LOCAL_FILE.name: UNLIMITED}
        return CgroupFigures._make(chain(throttling, *member.read(tokens)))


class _Member(NamedTuple):
    """One cgroup: its path with its ancestors', and its files in each hierarchy that counts something."""

    lineage: Sequence[str]
    files: Sequence[FileReader | AbsentFile]

    def read(self, tokens: ChangeTokens) -> list[FileFigures]:
        """Of each file."""
        return [file.read(tokens.get(file.spec.name)) for file in self.files]


class _Place(NamedTuple):
    """Files that are in one hierarchy, and why there are none where that is not mounted."""

    mount: Path | None
    files: Sequence[KernelFile]
    absent: Missing

    def readers(self, path: str, keep_below: int) -> Iterator[FileReader | AbsentFile]:
        """Of a cgroup's files."""
        for spec in self.files:
            if self.mount is None:
                yield AbsentFile(spec, self.absent)
            else:
                yield FileReader(spec, f"{self.mount}{path.rstrip('/')}", NO_CGROUP, keep_below)


def _places(layout: CgroupLayout) -> Iterator[_Place]:
    """Their figures are those of `CgroupFigures` after the first five, in that order."""
    yield _Place(layout.cpu_mount, (LOCAL_FILE,), NO_CONTROLLER)
    yield _Place(layout.v2_mount, psi.FILES, V1_HAS_NO_PRESSURE)
    for controller, module, absent in (("memory", memory, NO_MEMORY), ("blkio", block_io, NO_IO)):
        v1_mount = layout.v1_mounts.get(controller)
        yield _Place(v1_mount or layout.v2_mount, module.V1_FILES if v1_mount else module.V2_FILES, absent)
