"""Whose allocations had memory reclaimed in a window, and within which limit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from collectors.host.hierarchy import is_within
from collectors.windows import charged
from probes.reclaim import UNKNOWN, ReclaimFigures, Reclaims


@dataclass(frozen=True, slots=True)
class ReclaimUse:
    """Reclaims in one cgroup's name: as it needed memory beyond a limit, so many pages were taken from who was there.

    `time_ns` is how long its tasks were at that.
    """

    reclaims: int = 0
    pages: int = 0
    time_ns: int = 0


ReclaimWindows = Mapping[str, Mapping[str, ReclaimUse]]
"""By the cgroup whose limit was reached (`/` is the host's memory), and the cgroup whose tasks needed more."""


@dataclass(frozen=True, slots=True)
class MemoryContest:
    """What made memory short for one cgroup with all below it: reclaims within limits that hold for it.

    Attributes:
        own_limit: Within limits of its own.
        own: In its own name within limits that it shares: of an ancestor, or the host's.
        others_pages: Pages in others' names within those.
    """

    own_limit: ReclaimUse = field(default_factory=ReclaimUse)
    own: ReclaimUse = field(default_factory=ReclaimUse)
    others_pages: Mapping[str, int] = field(default_factory=dict)

    def renamed(self, names: Mapping[str, str]) -> "MemoryContest":
        """The same, with others under other names; those of one name are one."""
        return replace(self, others_pages=charged.renamed(self.others_pages, names))


def reclaims_within(before: Reclaims, after: Reclaims, paths: Mapping[int, str]) -> ReclaimWindows:
    """What grew between two snapshots."""

    def use_of(was: ReclaimFigures | None, figures: ReclaimFigures) -> ReclaimUse | None:
        use = ReclaimUse(*(max(0, b - a) for a, b in zip(was or (0, 0, 0), figures, strict=True)))
        return use if use.reclaims else None

    return charged.within(before, after, paths, use_of, add)


def add(parts: Sequence[ReclaimUse]) -> ReclaimUse:
    """The sum over time, over limits or over cgroups."""
    return ReclaimUse(
        sum(part.reclaims for part in parts),
        sum(part.pages for part in parts),
        sum(part.time_ns for part in parts),
    )


def contest(windows: Iterable[ReclaimWindows], path: str) -> MemoryContest:
    """Of a cgroup with everything below it, over all windows."""
    own_limit, own = [], []
    others: dict[str, int] = {}
    for limit, name, use in (
        (limit, name, use)
        for window in windows
        for limit, cgroups in window.items()
        for name, use in cgroups.items()
    ):
        if limit != UNKNOWN and is_within(limit, path):
            own_limit.append(use)
        elif limit != UNKNOWN and is_within(path, limit):
            if is_within(name, path):
                own.append(use)
            else:
                others[name] = others.get(name, 0) + use.pages
    return MemoryContest(add(own_limit), add(own), others)
