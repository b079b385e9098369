"""What the tasks of a victim sleep on, by looking at them now and then.

Sources: /proc/PID/task/TID/stat (its state), syscall (number and arguments of the call it is in; needs
CONFIG_HAVE_ARCH_TRACEHOOK and the right to trace it), wchan (the kernel function it sleeps in), /proc/PID/fd, and
/proc/locks and fdinfo for who holds a file lock (Documentation/filesystems/proc.rst).

A look takes 0.5 ms of a CPU for one task, 0.7 for three, 1.2 for ten and 8 for a hundred (medians of 50 looks, 0.1 s
apart, at `sleep` in a cgroup of hierarchies v1 and v2; one right after the other take a third of that, in warm caches).
After each jostle waits a hundred times as long as it took, so that looking costs 1 % of a CPU at most, however many
tasks there are: the next look at a hundred tasks is 0.8 s later.
"""

import contextlib
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collectors.host.hierarchy import CgroupLayout, cgroup_of_pid
from collectors.host.readings import Missing

SHORTEST_PAUSE_S = 0.01
_PAUSE_PER_COST = 100
# x86-64's numbers and those of asm-generic/unistd.h, which arm64 and riscv64 have.
_CALLS_X86 = {
    "file lock": (73, 72),  # flock, fcntl
    "futex": (202, 449, 455),
    "sleep": (35, 230),
    "child": (61, 247, 58, 56, 435),  # wait4, waitid, vfork, clone, clone3
    "signal": (34, 130, 128),
    "events": (7, 271, 23, 270, 232, 281, 441, 208, 426),  # poll, select, epoll, aio and io_uring
    "file": (0, 1, 17, 18, 19, 20, 42, 43, 44, 45, 46, 47, 74, 75, 288, 299),  # by what the descriptor is
    "semaphore": (65, 220),
}
_CALLS_GENERIC = {
    "file lock": (32, 25),
    "futex": (98, 449, 455),
    "sleep": (101, 115),
    "child": (260, 95, 220, 435),
    "signal": (133, 137),
    "events": (73, 72, 22, 441, 4, 426),
    "file": (63, 64, 65, 66, 67, 68, 82, 83, 202, 203, 206, 207, 211, 212, 242, 243),
    "semaphore": (193, 192),
}
_CALLS = {
    number: kind
    for kind, numbers in (_CALLS_X86 if os.uname().machine == "x86_64" else _CALLS_GENERIC).items()
    for number in numbers
}
_WAITS_FOR_OTHERS = frozenset({"child", "signal"})
"""A shell that waits for its command sleeps because that does: what that sleeps on counts."""
_DISK = re.compile(
    r"io_schedule|folio_wait|wait_on_page|wait_on_buffer|blk_|jbd2|submit_bio|iomap|ext4|xfs|btrfs"
)
_LOCK = re.compile(
    r"(?P<id>\d+): (?P<waits> *-> )?\w+ +\w+ +\w+ (?P<pid>-?\d+) (?P<file>[0-9a-f]+:[0-9a-f]+:\d+) "
)


@dataclass(frozen=True, slots=True)
class Asleep:
    """What a task sleeps on.

    Attributes:
        on: In a word: "file lock", "futex", "pipe", "socket", "file", "disk", "events", "semaphore", "sleep", "child",
            "signal", or "kernel".
        what: The file's path, or the kernel function; None where there is nothing more to say.
        holder: The cgroup of who holds the lock; None where that cannot be read.
    """

    on: str
    what: str | None = None
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen at one moment: which part of the tasks slept on what, if all of them did; how many were stalled."""

    asleep: Mapping[Asleep, float]
    stalled: int


@dataclass(slots=True)
class SleepWatch:
    """Looks at the tasks of some processes, when it is `due`.

    The processes count as asleep while none of their tasks runs or wants to: that is the time on the clock in which
    nothing was done. Tasks that sleep on different things then share it. A task is stalled while it is in a sleep that
    no signal ends (state D), as one that waits for a disk is, whatever the others do.
    """

    pids: Callable[[], Iterable[int]]
    layout: CgroupLayout
    root: Path = Path("/")
    _ns: Counter[Asleep] = field(default_factory=Counter)
    _stalled_ns: float = 0.0
    _looked_ns: int = 0
    _seen: _Look | None = None
    _last_ns: int = field(default_factory=time.monotonic_ns)
    _due_s: float = field(default_factory=lambda: time.monotonic() + SHORTEST_PAUSE_S)
    _holders: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def pause_s(self) -> float:
        """How long to wait for the next look; 0: it is due."""
        return max(0.0, self._due_s - time.monotonic())

    def look(self) -> None:
        """Look once; what is seen stands for half the time since the last look, and until half of that to the next."""
        began_s, now_ns = time.thread_time(), time.monotonic_ns()
        passed_ns, self._last_ns = now_ns - self._last_ns, now_ns
        self._looked_ns += passed_ns
        found = self._found()
        self._charge(self._seen or found, passed_ns / 2)
        self._charge(found, passed_ns / 2)
        self._seen = found
        pause_s = max(SHORTEST_PAUSE_S, _PAUSE_PER_COST * (time.thread_time() - began_s))
        # At random, so as not to beat with what the tasks do by the clock.
        self._due_s = time.monotonic() + pause_s * random.uniform(0.5, 1.5)  # noqa: S311  no secret

    def seconds(self, duration_s: float) -> Mapping[Asleep, float]:
        """Of so many seconds on the clock, how many they slept on what; empty where nobody looked."""
        self._look_on(duration_s)
        return {asleep: duration_s * ns / self._looked_ns for asleep, ns in self._ns.items() if ns}

    def stalled_tasks(self, duration_s: float) -> float:
        """How many of their tasks were stalled, on average over so many seconds; 0 where nobody looked."""
        self._look_on(duration_s)
        return self._stalled_ns / self._looked_ns if self._looked_ns else 0.0

    def _look_on(self, duration_s: float) -> None:
        """What was seen last stands for the rest of the time."""
        if self._seen is not None:
            self._charge(self._seen, max(0.0, duration_s * 1e9 - self._looked_ns))
            self._looked_ns = max(self._looked_ns, round(duration_s * 1e9))

    def _charge(self, look: _Look, passed_ns: float) -> None:
        self._stalled_ns += look.stalled * passed_ns
        for asleep, share in look.asleep.items():
            self._ns[asleep] += round(passed_ns * share)

    def _found(self) -> _Look:
        tasks = [(pid, tid, self._state(tid, pid)) for pid, tid in self._tasks()]
        stalled = sum(state == "D" for _, _, state in tasks)
        if any(state == "R" for _, _, state in tasks):
            return _Look({}, stalled)
        asleep = [self._asleep(pid, tid, state) for pid, tid, state in tasks if state in ("S", "D")]
        found = [each for each in asleep if each.on not in _WAITS_FOR_OTHERS] or asleep
        return _Look({each: count / len(found) for each, count in Counter(found).items()}, stalled)

    def _tasks(self) -> Iterator[tuple[int, int]]:
        for pid in self.pids():
            with contextlib.suppress(OSError):
                yield from ((pid, int(tid)) for tid in os.listdir(f"{self.root}/proc/{pid}/task"))  # noqa: PTH208  see _read

    def _state(self, tid: int, pid: int) -> str:
        return self._read(f"{pid}/task/{tid}/stat").rpartition(")")[2].strip()[:1]

    def _asleep(self, pid: int, tid: int, state: str) -> Asleep:
        call, wchan = self._read(f"{pid}/task/{tid}/syscall").split(), self._read(f"{pid}/task/{tid}/wchan")
        if state == "D" and _DISK.search(wchan):
            return Asleep("disk", wchan)
        kind = _CALLS.get(int(call[0])) if call and call[0].isdigit() else None
        if kind == "file lock":
            return self._lock(pid, self._target(pid, call[1]))
        if kind == "file":
            target = self._target(pid, call[1])
            special = target.partition(":")[0]
            return Asleep(special) if special in ("pipe", "socket") else Asleep("file", target or None)
        return Asleep(kind) if kind else Asleep("kernel", wchan if wchan.strip("0") else None)

    def _target(self, pid: int, descriptor: str) -> str:
        with contextlib.suppress(OSError, ValueError):
            return os.readlink(f"{self.root}/proc/{pid}/fd/{int(descriptor, 16)}")  # noqa: PTH115  a name such as pipe:[7]
        return ""

    def _lock(self, pid: int, path: str) -> Asleep:
        held = held_by(self._read("locks"), pid)
        if held is None:
            return Asleep("file lock", path or None)
        if held not in self._holders:
            self._holders[held] = self._cgroup_of_holder(*held)
        return Asleep("file lock", path or None, self._holders[held])

    def _cgroup_of_holder(self, file: str, pid: int) -> str | None:
        """Who took it may have ended, or be unknown (-1), while another process goes on to hold it."""
        alive = pid > 0 and Path(self.root, "proc", str(pid)).exists()
        holder = pid if alive else next(self._with_lock(file), None)
        membership = None if holder is None else cgroup_of_pid(holder, self.layout, self.root)
        if membership is None or isinstance(membership, Missing):
            return None
        return next((path for path in (membership.v2, membership.v1_cpu) if path not in (None, "/")), "/")

    def _with_lock(self, file: str) -> Iterator[int]:
        for directory in Path(self.root, "proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                for number in (directory / "fdinfo").iterdir():
                    if f" {file} " in self._read(f"{directory.name}/fdinfo/{number.name}"):
                        yield int(directory.name)

    def _read(self, name: str) -> str:
        with contextlib.suppress(OSError), Path(f"{self.root}/proc/{name}").open(errors="replace") as file:
            return file.read()
        return ""


def held_by(locks: str, pid: int) -> tuple[str, int] | None:
    """Of the lock that a process waits for, by /proc/locks: the file as `major:minor:inode`, and who took it.

    A waiter stands below the holder with the holder's number and an arrow. None: it waits for none.
    """
    holders: dict[str, int] = {}
    for line in locks.splitlines():
        found = _LOCK.match(line)
        if found is None:
            continue
        if not found["waits"]:
            holders[found["id"]] = int(found["pid"])
        elif int(found["pid"]) == pid and found["id"] in holders:
            return found["file"], holders[found["id"]]
    return None
