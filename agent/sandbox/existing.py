"""Cgroups that were there before the experiment, by their paths: refused where freezing them would do harm."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.cgroups import pids_below
from agent.sandbox.freezer import Freezer, find_freezer
from collectors.host.hierarchy import CgroupLayout, is_within, leaf
from probes.errors import HostError, JostleError, UsageError

CONTROLLERS = ("cpu", "freezer")
"""The v1 hierarchies in which a cgroup may be that an experiment is about."""


@dataclass(frozen=True, slots=True)
class ExistingCgroup:
    """A cgroup that is not ours: its path, and its directories in the hierarchies that it is in."""

    path: str
    directories: tuple[Path, ...]

    def pids(self) -> set[int]:
        """All processes in it and below it."""
        return {pid for directory in self.directories for pid in pids_below(directory)}

    def require(self) -> None:
        """Raise JostleError when it is there no more."""
        if not any(directory.is_dir() for directory in self.directories):
            raise JostleError(f"the cgroup {self.path} is gone", "is its service still running?")


@dataclass(frozen=True, slots=True)
class Freezable:
    """An existing cgroup that may be frozen."""

    cgroup: ExistingCgroup
    freezer: Freezer

    @property
    def path(self) -> str:
        """The path of the cgroup within its hierarchy."""
        return self.cgroup.path

    @property
    def name(self) -> str:
        """The cgroup's name in reports."""
        return leaf(self.path)


def find_cgroup(path: str, layout: CgroupLayout) -> ExistingCgroup:
    """The cgroup of this path.

    Raises:
        UsageError: There is none, it is the root, or it holds no process.
    """
    if path == "/":
        raise UsageError("/ is the root cgroup: it holds everything", "choose one below it")
    directories = tuple(mount / path[1:] for mount in _mounts(layout) if (mount / path[1:]).is_dir())
    if not directories:
        raise UsageError(f"there is no cgroup {path}", "`jostle top --once` lists those that run")
    found = ExistingCgroup(path, directories)
    if not found.pids():
        raise UsageError(f"the cgroup {path} holds no process", "start its workload first")
    return found


def find_victim(path: str, layout: CgroupLayout) -> ExistingCgroup:
    """The cgroup to watch.

    Raises:
        UsageError: See `find_cgroup`; or jostle itself is in it.
    """
    victim = find_cgroup(path, layout)
    if os.getpid() in victim.pids():
        raise UsageError(f"the victim {victim.path} contains jostle itself", "run jostle from another cgroup")
    return victim


def find_neighbours(
    paths: Sequence[str], victim: ExistingCgroup | None, layout: CgroupLayout
) -> tuple[Freezable, ...]:
    """The cgroups to freeze and thaw.

    Raises:
        UsageError: One of them does not exist, must not be frozen, or is part of another.
        HostError: One of them cannot be frozen on this host.
    """
    found: list[Freezable] = []
    for path in paths:
        neighbour = freezable(find_cgroup(path, layout), victim, layout)
        for other in found:
            _require_apart(neighbour.path, other.path)
        found.append(neighbour)
    return tuple(found)


def freezable(cgroup: ExistingCgroup, victim: ExistingCgroup | None, layout: CgroupLayout) -> Freezable:
    """A cgroup that may be frozen.

    Raises:
        UsageError: It contains jostle, PID 1 or the victim, is part of the victim, or is frozen already.
        HostError: It is in no hierarchy that can freeze it.
    """
    pids = cgroup.pids()
    for what in _untouchable(cgroup.path, pids, victim):
        raise UsageError(f"the neighbour {cgroup.path} {what}", "freezing it would do harm: choose another")
    freezer = find_freezer(cgroup.path, layout)
    if freezer is None:
        raise HostError(
            f"the cgroup {cgroup.path} cannot be frozen: its processes are neither in a v2 cgroup of that path nor "
            "in the v1 freezer's",
            "give it a cgroup in one of these hierarchies",
        )
    if freezer.is_frozen():
        raise UsageError(f"the neighbour {cgroup.path} is frozen already", "thaw it first, or leave it out")
    return Freezable(cgroup, freezer)


def _untouchable(path: str, pids: set[int], victim: ExistingCgroup | None) -> Iterator[str]:
    """What forbids to freeze it."""
    if 1 in pids:
        yield "contains PID 1"
    if os.getpid() in pids:
        yield "contains jostle itself"
    if victim is None:
        return
    if is_within(victim.path, path):
        yield f"contains the victim {victim.path}"
    elif is_within(path, victim.path):
        yield f"is part of the victim {victim.path}"
    elif pids & victim.pids():
        yield f"shares processes with the victim {victim.path}"


def _require_apart(path: str, other: str) -> None:
    if path == other:
        raise UsageError(f"the neighbour {path} is given twice", "name each once")
    if is_within(path, other) or is_within(other, path):
        raise UsageError(
            f"one of the neighbours {other} and {path} contains the other", "name only one of them"
        )


def _mounts(layout: CgroupLayout) -> list[Path]:
    """Of the hierarchies that tell cgroups apart, schedule or freeze them."""
    v1 = (layout.v1_mounts.get(name) for name in CONTROLLERS)
    return list(dict.fromkeys(mount for mount in (layout.v2_mount, *v1) if mount is not None))
