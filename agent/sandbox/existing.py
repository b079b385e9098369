"""Cgroups that were there before the experiment, by their paths: refused where freezing them would do harm."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.cgroups import pids_below
from agent.sandbox.freezer import Freezer, find_freezer
from collectors.host.hierarchy import CgroupLayout, is_within
from collectors.host.names import name_workload
from collectors.host.readings import Missing, read_text
from collectors.host.resolver import matches
from collectors.host.workloads import name_by_path
from probes.errors import HostError, JostleError, UsageError

CONTROLLERS = ("cpu", "freezer")
"""The v1 hierarchies in which a cgroup may be that an experiment is about."""
HOST_SERVICES = frozenset(
    {
        *(
            "systemd",
            "systemd-journal",
            "systemd-logind",
            "systemd-udevd",
            "dbus-daemon",
            "dbus-broker",
            "init",
        ),
        *("kubelet", "k3s-server", "k3s-agent", "containerd", "dockerd", "crio", "podman", "conmon"),
        *("sshd", "sshd-session"),
    }
)
"""What is never stopped, by the kernel's name of the process (15 characters)."""
PROTECTED = Path("/etc/jostle/protected")
"""Names or patterns of further cgroups that are never touched, one a line; `#` begins a comment."""


@dataclass(frozen=True, slots=True)
class ExistingCgroup:
    """A cgroup that is not ours: its path, and its directories in the hierarchies that it is in."""

    path: str
    directories: tuple[Path, ...]

    @property
    def called(self) -> str:
        """In sentences: a container's or a unit's name; its path where it has none."""
        return name_workload(self.path).name

    def pids(self) -> set[int]:
        """All processes in it and below it."""
        return {pid for directory in self.directories for pid in pids_below(directory)}

    def require(self) -> None:
        """Raise JostleError when it is there no more."""
        if not any(directory.is_dir() for directory in self.directories):
            raise JostleError(f"the cgroup {self.called} is gone", "is its service still running?")


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
        return runtime_name(self.path) or name_by_path(self.path)


def runtime_name(path: str) -> str | None:
    """What its runtime calls a cgroup that is there, a container or a pod; None: it is neither."""
    workload = name_workload(path)
    return None if workload.kind in ("cgroup", "root", "unit") else workload.name


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
        raise UsageError(f"the cgroup {found.called} holds no process", "start its workload first")
    return found


def find_victim(path: str, layout: CgroupLayout) -> ExistingCgroup:
    """The cgroup to watch.

    Raises:
        UsageError: See `find_cgroup`; or jostle itself is in it.
    """
    victim = find_cgroup(path, layout)
    if os.getpid() in victim.pids():
        raise UsageError(
            f"the victim {victim.called} contains jostle itself", "run jostle from another cgroup"
        )
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
            _require_apart(neighbour.cgroup, other.cgroup)
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
        raise UsageError(f"the neighbour {cgroup.called} {what}", "freezing it would do harm: choose another")
    freezer = find_freezer(cgroup.path, layout)
    if freezer is None:
        raise HostError(
            f"the cgroup {cgroup.called} cannot be frozen: its processes are neither in a v2 cgroup of that path nor "
            "in the v1 freezer's",
            "give it a cgroup in one of these hierarchies",
        )
    if freezer.is_frozen():
        raise UsageError(f"the neighbour {cgroup.called} is frozen already", "thaw it first, or leave it out")
    return Freezable(cgroup, freezer)


def _untouchable(path: str, pids: set[int], victim: ExistingCgroup | None) -> Iterator[str]:
    """What forbids to freeze it."""
    if 1 in pids:
        yield "contains PID 1"
    if os.getpid() in pids:
        yield "contains jostle itself"
    yield from (
        f"contains {name}, on which others depend" for name in map(_host_name, pids) if name in HOST_SERVICES
    )
    for pattern in _protected():
        if matches(path, [pattern]) or is_within(pattern, path):
            yield f"is protected by {PROTECTED} ({pattern})"
    if victim is None:
        return
    if is_within(victim.path, path):
        yield f"contains the victim {victim.called}"
    elif is_within(path, victim.path):
        yield f"is part of the victim {victim.called}"
    elif pids & victim.pids():
        yield f"shares processes with the victim {victim.called}"


def _host_name(pid: int) -> str:
    """The name of a process of this PID namespace; of a container's own (an init, a runtime) nothing."""
    with contextlib.suppress(OSError):
        process = Path("/proc", str(pid))
        if (process / "ns/pid").readlink() == Path("/proc/self/ns/pid").readlink():
            return (process / "comm").read_text(errors="replace").rstrip("\n")
    return ""


def _protected() -> list[str]:
    """The patterns of the list, one a line."""
    text = read_text(PROTECTED)
    lines = [] if isinstance(text, Missing) else text.splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _require_apart(one: ExistingCgroup, other: ExistingCgroup) -> None:
    if one.path == other.path:
        raise UsageError(f"the neighbour {one.called} is given twice", "name each once")
    if is_within(one.path, other.path) or is_within(other.path, one.path):
        raise UsageError(
            f"one of the neighbours {other.called} and {one.called} contains the other",
            "name only one of them",
        )


def _mounts(layout: CgroupLayout) -> list[Path]:
    """Of the hierarchies that tell cgroups apart, schedule or freeze them."""
    v1 = (layout.v1_mounts.get(name) for name in CONTROLLERS)
    return list(dict.fromkeys(mount for mount in (layout.v2_mount, *v1) if mount is not None))
