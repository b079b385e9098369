"""Which cgroups of a window are meant, by shell patterns."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from collectors.windows.sched import SchedWindow


def matching(window: SchedWindow, globs: Sequence[str]) -> SchedWindow:
    """The window with only the cgroups that match one of the globs (all, when there is none)."""
    if not globs:
        return window
    kept = {path: cgroup for path, cgroup in window.cgroups.items() if matches(path, globs)}
    return replace(window, cgroups=kept)


def matches(path: str, globs: Sequence[str]) -> bool:
    """Whether a cgroup's path, or its last part, matches a shell pattern; `*` also matches `/`."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path, glob) or fnmatchcase(name, glob) or path == f"/{glob}" for glob in globs)
