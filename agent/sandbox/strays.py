"""Processes that a trial's commands started and that left its cgroups: found, named and ended.

Two ways find them. Every command bears a mark in its environment, which its children inherit. And while an experiment
runs, orphans become children of jostle (PR_SET_CHILD_SUBREAPER, include/uapi/linux/prctl.h), so that ancestry tells
also of those that threw their environment away (`su -`, `env -i`). What a daemon starts on request (`docker run`) has
neither: see `runs_elsewhere`.
"""

import contextlib
import ctypes
import itertools
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from probes.errors import JostleError

MARK = "JOSTLE_CGROUP"
_PR_SET_CHILD_SUBREAPER = 36
_ENDED_S = 5.0
_POLL_S = 0.005
_ENDED = ("Z", "X", "")
# Of a look's time on a CPU: 1 % of one at most.
PAUSE_PER_COST = 100
_CLIENTS = {
    "docker": ("run", "exec", "start", "compose"),
    "podman": ("run", "exec", "start"),
    "nerdctl": ("run", "exec", "start", "compose"),
    "kubectl": ("run", "exec", "create", "apply"),
    "crictl": ("run", "exec", "start"),
    "ctr": ("run", "t", "task", "tasks"),
    "machinectl": ("shell", "start"),
    "systemctl": ("start", "restart"),
    "systemd-run": (),
}
"""Programs that have somebody else do the work, and the words with which they do; none: always."""


def runs_elsewhere(command: str) -> bool:
    """Whether a command only asks a daemon to do the work, in a cgroup of that daemon's choice."""
    with contextlib.suppress(ValueError):
        before = ("exec", "sudo", "env", "nice", "time")
        words = list(itertools.dropwhile(lambda word: "=" in word or word in before, shlex.split(command)))
        asking = _CLIENTS.get(Path(words[0]).name) if words else None
        return asking is not None and (not asking or not set(asking).isdisjoint(words[1:]))
    return False


def marked(name: str, root: Path = Path("/proc")) -> Iterator[int]:
    """Every process whose environment says that it comes from the workspace of this name."""
    mark = f"{MARK}=/{name}/".encode()
    for directory in root.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(entry.startswith(mark) for entry in (directory / "environ").read_bytes().split(b"\0")):
                yield int(directory.name)


def end_marked(names: Iterable[str]) -> None:
    """Kill what bears the mark of these workspaces, until none is left."""
    deadline_s = time.monotonic() + _ENDED_S
    names = list(names)
    while pids := {pid for name in names for pid in marked(name)}:
        _kill(pids)
        if time.monotonic() > deadline_s:
            return
        time.sleep(_POLL_S)


class Strays:
    """Of one experiment; a context manager, within which jostle is the parent of orphans.

    Args:
        name: The workspace's.
        inside: The processes in its cgroups.
    """

    def __init__(self, name: str, inside: Callable[[], set[int]]) -> None:
        self._name = name
        self._inside = inside
        self._own: set[int] = set()
        self._told: str | None = None
        self._due_s = 0.0

    def __enter__(self) -> "Strays":
        _adopt_orphans(on=True)
        return self

    def __exit__(self, *_: object) -> None:
        _adopt_orphans(on=False)

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """One trial within: what its commands started does not outlive it."""
        self._own, self._told = _descendants({os.getpid()}), None
        try:
            yield
        finally:
            self._end()

    def look(self) -> None:
        """Look for some, as often as costs next to nothing."""
        if time.monotonic() >= self._due_s:
            began_s = time.thread_time()
            self.found()
            self._due_s = time.monotonic() + PAUSE_PER_COST * (time.thread_time() - began_s)

    def found(self) -> str | None:
        """What left its cgroup in this trial, as a reason for why it is void; None: nothing was seen to."""
        if self._told is None:
            named = next(filter(None, map(self._describe, sorted(self._outside()))), None)
            self._told = named and (
                f"{named}, where its work is not counted as the trial's: "
                "have it stay, or give what runs there as --victim-cgroup or --neighbour-cgroup"
            )
        return self._told

    def _outside(self) -> set[int]:
        known = set(marked(self._name)) | _descendants(set(_children()) - self._own)
        # Those that came into the cgroups meanwhile are seen inside.
        return {pid for pid in known if _state(pid) not in _ENDED} - self._inside()

    def _describe(self, pid: int) -> str | None:
        """Which process it is, and where it went; None when it has ended meanwhile, inside as well as outside."""
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
            lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
            # Of v2, which names no controller, and of v1's cpu: where a trial has cgroups.
            paths = [
                path for _, controllers, path in lines if controllers == "" or "cpu" in controllers.split(",")
            ]
            if _state(pid) in _ENDED or any(f"/{self._name}/" in path for path in paths):
                return None
            return f"a process of the trial ({name}, {pid}) left its cgroup for {max(paths, key=len)}"
        return None

    def _end(self) -> None:
        deadline_s = time.monotonic() + _ENDED_S
        while pids := self._outside():
            _kill(pids)
            self._reap()
            if time.monotonic() > deadline_s:
                raise JostleError(
                    f"processes {sorted(pids)} of a trial cannot be killed", "look at their stacks"
                )
            time.sleep(_POLL_S)
        self._reap()

    def _reap(self) -> None:
        """Bury the orphans; the commands themselves have been waited for."""
        for pid in set(_children()) - self._own:
            if _state(pid) == "Z":
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def _adopt_orphans(*, on: bool) -> None:
    # Not there before Linux 3.4; without it orphans are found by their mark alone.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def stat_fields(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def _state(pid: int) -> str:
    return next(iter(stat_fields(pid)), "")


def _parents() -> dict[int, int]:
    found = ((int(path.name), stat_fields(path.name)) for path in Path("/proc").glob("[0-9]*"))
    return {pid: int(fields[1]) for pid, fields in found if fields}


def _children() -> list[int]:
    own = os.getpid()
    return [pid for pid, parent in _parents().items() if parent == own]


def _descendants(pids: set[int]) -> set[int]:
    found, parents = set(pids), _parents()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
