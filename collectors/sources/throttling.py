"""The CPU limit of a cgroup and of its ancestors, whose limits bind it as well, and the time they cost it.

Sources: cpu.max, cpu.stat and cpu.stat.local on v2 (cgroup-v2.rst), cpu.cfs_quota_us, cpu.cfs_period_us and cpu.stat
on v1 (sched-bwc.rst). Throttled time is summed over CPUs: a cgroup that is throttled on four CPUs at once gathers four
seconds a second.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from math import inf
from pathlib import Path
from typing import NamedTuple

from collectors.host.hierarchy import CgroupLayout, lineage
from collectors.host.readings import Missing, excerpt, parse_count
from collectors.sources.cgroup_formats import FileFormat, kernel_files
from collectors.sources.kernel_files import (
    Figure,
    FileFigures,
    FileReader,
    KernelFile,
    flat,
    flat_number,
)

NO_CONTROLLER = Missing(
    "no mounted cgroup hierarchy has the cpu controller", "boot without cgroup_disable=cpu and mount one"
)
NO_QUOTA = -1


class Control(NamedTuple):
    """What the cpu controller says of one cgroup: its own limit, and what that has cost since it was made.

    Attributes:
        limit_cpus: Quota over period, `inf` for no limit: what Kubernetes calls the CPU limit.
        nr_periods: Enforcement periods in which it ran.
        nr_throttled: Those of them in which it ran out of quota.
        throttled_ns: Time throttled by its own limit.
    """

    limit_cpus: Figure
    nr_periods: Figure
    nr_throttled: Figure
    throttled_ns: Figure


# Without the cpu controller a cgroup cannot limit: the root of v2, and where subtree_control does not enable it.
UNLIMITED = Control(inf, 0, 0, 0)


def _max(text: str, path: str) -> FileFigures:
    # "QUOTA PERIOD" or "max PERIOD", in microseconds.
    quota, _, period = text.strip().partition(" ")
    period_us = _positive(period, text, path)
    if quota == "max" and not isinstance(period_us, Missing):
        return NO_QUOTA, period_us
    return _positive(quota, text, path), period_us


def _quota(text: str, path: str) -> FileFigures:
    return (NO_QUOTA if text.strip() == "-1" else _positive(text.strip(), text, path),)


def _period(text: str, path: str) -> FileFigures:
    return (_positive(text.strip(), text, path),)


def _positive(number: str, text: str, path: str) -> int | Missing:
    return parse_count(number) or Missing(f"{path} does not hold a valid quota and period: {excerpt(text)}")


_COUNTERS = ("nr_periods", "nr_throttled", "throttled_ns")
V2_FILES = (
    KernelFile(("cpu.max",), ("quota_us", "period_us"), _max),
    KernelFile(
        ("cpu.stat",),
        _COUNTERS,
        lambda text, path: (
            *flat("nr_periods", "nr_throttled")(text, path),
            flat_number(text, "throttled_usec", path, 1000),
        ),
    ),
)
V1_FILES = (
    KernelFile(("cpu.cfs_quota_us",), ("quota_us",), _quota),
    KernelFile(("cpu.cfs_period_us",), ("period_us",), _period),
    KernelFile(("cpu.stat",), _COUNTERS, flat("nr_periods", "nr_throttled", "throttled_time")),
)


def _local(text: str, path: str) -> FileFigures:
    if "throttled_time " in text:  # v1, in nanoseconds
        return (flat_number(text, "throttled_time", path),)
    return (flat_number(text, "throttled_usec", path, 1000),)


(LOCAL_FILE,) = kernel_files([FileFormat(("cpu.stat.local",), lambda _key: _local)], v1=False)
"""Time in which its tasks were kept from running by its own or an ancestor's limit; not before 6.6."""


class ControlFiles:
    """The files of the cpu controller in one cgroup.

    Most cgroups have no limit. While there is none its counters stand still, and only the limit is read.
    """

    def __init__(
        self, directory: str, no_directory: Missing | None = None, keep_below: int = 0, *, v1: bool
    ) -> None:
        """`directory`, `no_directory` and `keep_below` are those of `FileReader`; `v1` chooses the files."""
        specs = V1_FILES if v1 else V2_FILES
        self._files = [FileReader(spec, directory, no_directory, keep_below) for spec in specs]
        self._v1 = v1
        self._latest: Control | None = None

    def read(self) -> Control:
        """The limit and the throttling that the files say now."""
        limit_file, *other_files = self._files
        limit = limit_file.read()
        if limit[0] == NO_QUOTA and self._latest is not None and self._latest.limit_cpus == inf:
            return self._latest
        if limit_file.nowhere:
            return Control(*limit[:1] * len(Control._fields))
        figures = [*limit, *(figure for file in other_files for figure in file.read())]
        quota, period, *counters = figures
        self._latest = Control(limit_cpus(quota, period), *counters)
        if not (self._v1 or limit_file.exists) and other_files[-1].exists:
            return UNLIMITED
        return self._latest


LIMIT_FIGURES = ("limit_cpus", "nr_periods", "nr_throttled", "throttled_own_ns", "throttled_ancestors_ns")
"""The figures that `CgroupLimits` makes of several files, by their names in the registry."""


class CgroupLimits:
    """The limits of cgroups and of their ancestors, of which each is read once in a pass over many cgroups."""

    def __init__(self, mount: Path | None, files: Callable[[str], ControlFiles]) -> None:
        """`mount` is that of the hierarchy with the cpu controller, None where there is none.

        `files` gives the reader of a directory below it.
        """
        self._mount = mount
        self._make = files
        self._files: dict[str, ControlFiles] = {}
        self._read: dict[str, _Bound] = {}

    def read(self, own_and_above: Sequence[str]) -> FileFigures:
        """The tightest limit of a cgroup, given as its path and its ancestors', its own counters, its ancestors' time.

        That is `Control` with the limit that binds, and for how long the ancestors were throttled all together.
        """
        if self._mount is None:
            return (NO_CONTROLLER,) * len(LIMIT_FIGURES)
        bound, above = self._bound(own_and_above), own_and_above[1:]
        return bound.limit_cpus, *bound.own[1:], self._bound(above).throttled_ns if above else 0

    def forget(self, kept: AbstractSet[str]) -> None:
        """The end of a pass: all but these are forgotten, and all will be read again."""
        self._files = {path: files for path, files in self._files.items() if path in kept}
        self._read = {}

    def _bound(self, own_and_above: Sequence[str]) -> "_Bound":
        path, *above = own_and_above
        bound = self._read.get(path)
        if bound is None:
            own = self._own(path)
            bound = _Bound(own, own.limit_cpus, own.throttled_ns)
            if above:
                outer = self._bound(above)
                bound = _Bound(
                    own,
                    tightest((own.limit_cpus, outer.limit_cpus)),
                    _sum((own.throttled_ns, outer.throttled_ns)),
                )
            self._read[path] = bound
        return bound

    def _own(self, path: str) -> Control:
        files = self._files.get(path)
        if files is None:
            files = self._files[path] = self._make(f"{self._mount}{path.rstrip('/')}")
        return files.read()


class _Bound(NamedTuple):
    """What one cgroup's controller says, and with its ancestors': the tightest limit, the sum of their throttling."""

    own: Control
    limit_cpus: Figure
    throttled_ns: Figure


def _sum(figures: Iterable[Figure]) -> Figure:
    """The sum, missing if one of them is."""
    total = 0
    for figure in figures:
        if isinstance(figure, Missing):
            return figure
        total += int(figure)
    return total


def limit_cpus(quota_us: Figure, period_us: Figure) -> Figure:
    """The limit in CPUs: quota over period, infinite without a quota, and missing where one of the two is."""
    if isinstance(quota_us, Missing):
        return quota_us
    if quota_us == NO_QUOTA:
        return inf
    return period_us if isinstance(period_us, Missing) else quota_us / period_us


def tightest(limits: Sequence[Figure]) -> Figure:
    """The limit that binds, of a cgroup's own and its ancestors'. One that cannot be read might be the tightest."""
    unknown = next((limit for limit in limits if isinstance(limit, Missing)), None)
    return unknown or min((limit for limit in limits if not isinstance(limit, Missing)), default=inf)


def binding_quota(layout: CgroupLayout, path: str) -> tuple[str, float] | None:
    """The cgroup, itself or an ancestor, with the tightest quota, and that in CPUs; the nearest of several.

    None where there is none any more, or it cannot be read.
    """
    mount = layout.cpu_mount
    if mount is None:
        return None
    limits = [
        (place, ControlFiles(f"{mount}{place.rstrip('/')}", v1=layout.cpu_on == "v1").read().limit_cpus)
        for place in lineage(path)
    ]
    known = [(place, float(limit)) for place, limit in limits if not isinstance(limit, Missing)]
    owner, limit = min(known, key=lambda pair: pair[1], default=(path, inf))
    return None if limit == inf else (owner, limit)
