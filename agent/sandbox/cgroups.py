"""Cgroups of jostle's own: made, filled, emptied and removed again.

On a host whose controllers are on v2 each is one directory; on a hybrid host it is several of the same name, in the v1
trees of cpu and memory for what these divide, and in the v2 tree for identity.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collectors.host.hierarchy import CgroupLayout
from collectors.host.readings import Missing, read_text
from probes.errors import HostError, JostleError

PREFIX = "jostle-"
_EMPTY_TIMEOUT_S = 5.0
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Group:
    """One cgroup: its path in every hierarchy, and its directories."""

    path: str
    directories: tuple[Path, ...]

    def add(self, pid: int) -> None:
        """Move a process in, before it has children.

        Raises:
            JostleError: The cgroup is gone, or takes no process.
        """
        try:
            for directory in self.directories:
                (directory / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError as error:
            raise JostleError(
                f"the cgroup {self.path} takes no process ({error.strerror})", "did something remove it?"
            ) from error

    def pids(self) -> set[int]:
        """All processes in it and below it."""
        return {pid for directory in self.directories for pid in pids_below(directory)}

    def stop(self, grace_s: float = 0.0) -> None:
        """End every process in it: SIGTERM, `grace_s` to obey, then SIGKILL until none is left.

        Raises:
            JostleError: Something in it cannot be killed (a task stuck in the kernel).
        """
        if grace_s:
            _signal(self.pids(), signal.SIGTERM)
            _wait(self, grace_s)
        deadline = time.monotonic() + _EMPTY_TIMEOUT_S
        while pids := self.pids():
            self._kill(pids)
            if time.monotonic() > deadline:
                raise JostleError(
                    f"processes {sorted(pids)} in {self.path} cannot be killed", "look at their stacks"
                )
            time.sleep(_POLL_S)

    def _kill(self, pids: set[int]) -> None:
        """SIGKILL to all, by cgroup.kill where the kernel has it (661ee6280931, 5.14): it misses no fork."""
        for directory in self.directories:
            with contextlib.suppress(OSError):
                (directory / "cgroup.kill").write_text("1", encoding="ascii")
        _signal(pids, signal.SIGKILL)

    def remove(self) -> None:
        """Remove its directories and all below them; that one is gone already is not an error."""
        for directory in self.directories:
            remove_tree(directory)


def remove_tree(directory: Path) -> None:
    """Rmdir a cgroup and those below it. A cgroup whose last task is still exiting is busy for a moment."""
    deadline = time.monotonic() + _EMPTY_TIMEOUT_S
    for path, _, _ in os.walk(directory, topdown=False):
        while True:
            try:
                os.rmdir(path)  # noqa: PTH106  os.walk gives strings
            except FileNotFoundError:
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise JostleError(
                        f"the cgroup {path} cannot be removed ({error.strerror})", "remove it by hand"
                    ) from error
                time.sleep(_POLL_S)
            else:
                break


class Workspace:
    """The cgroup that holds all cgroups of one experiment; a context manager that leaves none behind."""

    def __init__(self, layout: CgroupLayout) -> None:
        self._mounts = _mounts(layout)
        self._on_v2 = _on_v2(layout)
        self.name = f"{PREFIX}{os.getpid()}-{os.urandom(3).hex()}"
        self._base = Group(f"/{self.name}", tuple(mount / self.name for mount in self._mounts))
        self._enabled: list[str] = []

    @property
    def directories(self) -> tuple[Path, ...]:
        """What to remove when all is over."""
        return self._base.directories

    def pids(self) -> set[int]:
        """All processes in its cgroups."""
        return self._base.pids()

    def __enter__(self) -> "Workspace":
        try:
            for controller in self._on_v2:
                if enable(self._mounts[0], controller):
                    self._enabled.append(controller)
            for directory in self._base.directories:
                directory.mkdir()
            for controller in self._on_v2:
                enable(self._base.directories[0], controller)
        except OSError as error:
            self._remove()
            raise _cannot_make(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._base.stop()
        self._remove()

    def _remove(self) -> None:
        self._base.remove()
        for controller in self._enabled:
            # Refused with EBUSY when others came to use it meanwhile, which is as it should be. After SIGKILL it
            # stays enabled: that changes nothing for cgroups that have no cpu limits and weights.
            with contextlib.suppress(OSError):
                _subtree_control(self._mounts[0]).write_text(f"-{controller}", encoding="ascii")

    def make(self, name: str) -> Group:
        """A new cgroup below the workspace."""
        group = Group(f"{self._base.path}/{name}", tuple(path / name for path in self._base.directories))
        try:
            for directory in group.directories:
                directory.mkdir()
        except OSError as error:
            raise _cannot_make(error) from error
        return group


def _mounts(layout: CgroupLayout) -> list[Path]:
    wanted = (layout.v2_mount, layout.v1_mounts.get("cpu"), layout.v1_mounts.get("memory"))
    mounts = list(dict.fromkeys(mount for mount in wanted if mount is not None))
    if not mounts:
        raise HostError("no cgroup hierarchy to make cgroups in", "mount cgroup2 at /sys/fs/cgroup")
    return mounts


def _on_v2(layout: CgroupLayout) -> list[str]:
    """Those of the controllers that divide something which the v2 hierarchy has."""
    there = read_text(layout.v2_mount / "cgroup.controllers") if layout.v2_mount else ""
    known = [] if isinstance(there, Missing) else there.split()
    return [controller for controller in ("cpu", "memory") if controller in known]


def enable(directory: Path, controller: str) -> bool:
    """Have a controller divide between the children of a v2 cgroup; returns whether it did not before."""
    control = _subtree_control(directory)
    if controller in control.read_text(encoding="ascii").split():
        return False
    control.write_text(f"+{controller}", encoding="ascii")
    return True


def _subtree_control(directory: Path) -> Path:
    return directory / "cgroup.subtree_control"


def _cannot_make(error: OSError) -> HostError:
    where = f": {error.filename}" if error.filename else ""
    remedy = "run it as root, outside of containers that mount cgroups read-only"
    return HostError(f"cannot make cgroups ({error.strerror}{where})", remedy)


def pids_below(directory: Path) -> Iterator[int]:
    """Every process in a cgroup and below it, each with its id here."""
    for path, _, _ in os.walk(directory):
        with contextlib.suppress(OSError):
            pids = map(int, (Path(path) / "cgroup.procs").read_text(encoding="ascii").split())
            # A process of another pid namespace shows as 0, which kill(2) would take for our own group.
            yield from filter(None, pids)


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _wait(group: Group, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while group.pids() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
