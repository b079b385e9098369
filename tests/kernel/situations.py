"""Builds the situations that kernel tests assert on: cgroups, and processes that are held at a gate inside them.

Everything is undone by leaving the `Situation`, whatever happened inside. Expected values come from what the
kernel itself says of these processes (`/proc/PID/schedstat`, `/proc/PID/status`, `cpu.stat`), never from constants:
other people's processes may run beside them.
"""

import contextlib
import ctypes
import itertools
import mmap
import os
import random
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from collectors.host.hierarchy import CgroupLayout, detect_layout
from probes.layout import KEY_V1
from tests.slowness import SLOWNESS

_PATIENCE_S = 60 * SLOWNESS
_POLL_S = 0.005
_SYS_CLONE3 = 435  # the same on all architectures
_CLONE_INTO_CGROUP = 0x200000000  # include/uapi/linux/sched.h
_names = itertools.count()

Work = Callable[[], object]


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {_PATIENCE_S} s still not so: {what}")
        time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class Schedstat:
    """/proc/PID/schedstat: time on a CPU, time on the run queue, times it was put on a CPU."""

    run_ns: int
    wait_ns: int
    slices: int


@dataclass(frozen=True, slots=True)
class Switches:
    """Context switches of a task, from /proc/PID/status."""

    voluntary: int
    involuntary: int


@dataclass(frozen=True, slots=True)
class Used:
    """What a process and all its children that it waited for used (getrusage(2))."""

    cpu_ns: int


@dataclass(frozen=True, slots=True)
class Group:
    """A cgroup made for a test, by its directory."""

    directory: Path
    mount: Path
    v1: bool

    @property
    def path(self) -> str:
        """As jostle names it."""
        return "/" + str(self.directory.relative_to(self.mount))

    @property
    def key(self) -> int:
        """As the probe knows it."""
        inode = self.directory.stat().st_ino
        return inode | KEY_V1 if self.v1 else inode

    def take(self, pid: int) -> None:
        """Move a process in."""
        (self.directory / "cgroup.procs").write_text(str(pid))

    def limit(self, quota_us: int, period_us: int) -> None:
        """Give it a CPU quota, per period."""
        if self.v1:
            (self.directory / "cpu.cfs_period_us").write_text(str(period_us))
            (self.directory / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (self.directory / "cpu.max").write_text(f"{quota_us} {period_us}")

    def limit_memory(self, size_bytes: int) -> None:
        """Of a cgroup of the memory controller."""
        (self.directory / ("memory.limit_in_bytes" if self.v1 else "memory.max")).write_text(str(size_bytes))

    def weigh(self, weight: int) -> None:
        """Its weight among its siblings, where the cpu controller gives cgroups one; 100 is usual."""
        if self.v1:
            (self.directory / "cpu.shares").write_text(str(weight * 1024 // 100))
        elif (self.directory / "cpu.weight").exists():
            (self.directory / "cpu.weight").write_text(str(weight))

    @property
    def throttled_ns(self) -> int:
        """By the kernel's account, summed over CPUs."""
        stat = dict(line.split() for line in (self.directory / "cpu.stat").read_text().splitlines())
        return int(stat["throttled_time"]) if self.v1 else 1000 * int(stat["throttled_usec"])

    def remove(self) -> None:
        """Its processes must have ended; the kernel may need a moment to let go of them."""

        def removed() -> bool:
            try:
                self.directory.rmdir()
            except FileNotFoundError:
                return True
            except OSError:
                return False
            return True

        eventually(removed, f"{self.directory} is removed")


class Process:
    """A child that waits at a gate; `go` lets it do its work.

    It pins itself, awake: moved by another while it falls asleep, its run_delay would hold the sleep as well.
    """

    def __init__(self, work: Work, cpus: set[int] | None = None) -> None:
        self._gate_out, self._gate_in = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(work, cpus or os.sched_getaffinity(0))
        os.close(self._gate_out)
        eventually(lambda: self.state == "S", "the child sleeps at its gate")
        self._ended = False

    def _run(self, work: Work, cpus: set[int]) -> None:
        try:
            os.sched_setaffinity(0, cpus)
            os.close(self._gate_in)
            if os.read(self._gate_out, 1):
                work()
        finally:
            os._exit(0)

    def go(self) -> None:
        """Open the gate."""
        os.write(self._gate_in, b"!")

    @property
    def state(self) -> str:
        """R, S, T, Z, …"""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    @property
    def schedstat(self) -> Schedstat:
        """Of its only thread."""
        return Schedstat(*map(int, Path(f"/proc/{self.pid}/schedstat").read_text().split()))

    @property
    def switches(self) -> Switches:
        """Of its only thread."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        found = dict(line.split(":") for line in lines if "ctxt_switches" in line)
        return Switches(int(found["voluntary_ctxt_switches"]), int(found["nonvoluntary_ctxt_switches"]))

    def stop(self) -> None:
        """Ask it to stop: a wait in progress then ends, and is in everybody's books. See `await_stop`."""
        os.kill(self.pid, signal.SIGSTOP)

    def await_stop(self) -> None:
        """Until it has stopped."""
        eventually(lambda: self.state == "T", f"process {self.pid} stops")

    def wait(self) -> "Used":
        """Until it ends of its own accord."""
        self._ended = True
        os.close(self._gate_in)
        _, _, usage = os.wait4(self.pid, 0)
        return Used(round(1e9 * (usage.ru_utime + usage.ru_stime)))

    def end(self) -> None:
        """Kill it, unless it has ended."""
        if self._ended:
            return
        self._ended = True
        os.close(self._gate_in)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def run_as(pid: int, group: Group, work: Work) -> None:
    """Do a work in a new process of this pid, which must be free, born in a cgroup of v2, until it ends (clone3(2))."""
    wanted = (ctypes.c_int * 1)(pid)
    directory = os.open(group.directory, os.O_RDONLY)
    flags_to_tls = (_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    arguments = struct.pack("<11Q", *flags_to_tls, ctypes.addressof(wanted), 1, directory)
    number = ctypes.CDLL(None, use_errno=True).syscall(_SYS_CLONE3, arguments, len(arguments))
    if number == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.close(directory)
    assert number == pid, os.strerror(ctypes.get_errno())
    os.waitpid(pid, 0)


class Situation:
    """Cgroups and processes that are gone when it is left."""

    def __init__(self, layout: CgroupLayout | None = None) -> None:
        self.layout = layout or detect_layout()
        self._groups: list[Group] = []
        self.processes: list[Process] = []
        self.members: dict[Group, list[Process]] = {}

    def __enter__(self) -> "Situation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            for group in self._groups:
                stack.callback(group.remove)
            for process in self.processes:
                stack.callback(process.end)

    def group(self, name: str = "group", *, v1: bool = False, parent: Group | None = None) -> Group:
        """Make a cgroup: on v2, or (asked for, or no v2 here) where the v1 cpu controller is; or below `parent`."""
        if parent is not None:
            return self._make(parent.directory / name, parent.mount, parent.v1)
        v1 = v1 or self.layout.v2_mount is None
        mount = self.layout.v1_mounts["cpu"] if v1 else self.layout.v2_mount
        assert mount is not None
        return self._make(mount / f"jostle-test-{os.getpid()}-{next(_names)}-{name}", mount, v1)

    def limitable_group(self, name: str = "limited") -> Group:
        """Make a cgroup in the hierarchy that has the cpu controller, where quotas work."""
        if self.layout.cpu_on == "v2":
            _enable_cpu(self.layout.v2_mount)
        return self.group(name, v1=self.layout.cpu_on == "v1")

    def memory_group(self, name: str = "memory", *, parent: Group | None = None) -> Group:
        """Make a cgroup in the hierarchy that has the memory controller, of a v2 cgroup's path where that is v1."""
        mount = self.layout.v1_mounts.get("memory")
        if mount is None:
            assert self.layout.v2_mount is not None
            _enable(self.layout.v2_mount if parent is None else parent.directory, "memory")
            return self.group(name, parent=parent)
        return self._make((parent.directory if parent else mount) / name, mount, v1=True)

    def mirror(self, group: Group) -> Group:
        """The v1 cpu cgroup of the same path as one of v2."""
        mount = self.layout.v1_mounts["cpu"]
        return self._make(mount / group.path[1:], mount, v1=True)

    def process(self, work: Work, group: Group | None = None, cpus: set[int] | None = None) -> Process:
        """A process that waits at its gate inside a cgroup, pinned."""
        process = Process(work, cpus)
        self.processes.append(process)
        if group:
            group.take(process.pid)
            self.members.setdefault(group, []).append(process)
        return process

    def go(self, seconds: float) -> None:
        """Let all processes work for some time, then stop them all, so that all books agree on their waits."""
        for process in self.processes:
            process.go()
        time.sleep(seconds)
        self.stop()

    def stop(self) -> None:
        """Stop all processes, the first last, so that it has seen all of the others; wait until they have."""
        for process in reversed(self.processes):
            process.stop()
        for process in self.processes:
            process.await_stop()

    def _make(self, directory: Path, mount: Path, v1: bool) -> Group:  # noqa: FBT001  a fact about the group
        directory.mkdir()
        group = Group(directory, mount, v1)
        self._groups.append(group)
        return group


def _enable_cpu(mount: Path | None) -> None:
    assert mount is not None
    _enable(mount, "cpu")


def _enable(directory: Path, controller: str) -> None:
    (directory / "cgroup.subtree_control").write_text(f"+{controller}")


def spin() -> None:
    """Never leave the CPU of one's own accord."""
    while True:
        pass


def fifo_spin() -> None:
    """Keep everybody who is not real-time off this CPU, but for the twentieth of the time that the kernel saves."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    spin()


def idle_spin() -> None:
    """Spin under SCHED_IDLE: any normal task starves it."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    spin()


# Enough to have had more than its share under SCHED_IDLE, so that its dequeue is delayed when it falls asleep.
NAP_AFTER_NS = 3_000_000


def idle_nap() -> None:
    """Spin a little under SCHED_IDLE, then sleep."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    end_ns = time.process_time_ns() + 2 * NAP_AFTER_NS
    while time.process_time_ns() < end_ns:
        pass
    signal.pause()


def has_napped(process: Process, ran_ns: int) -> bool:
    """Whether an `idle_nap` sleeps, that had run for `ran_ns` before."""
    return process.schedstat.run_ns > ran_ns + NAP_AFTER_NS and process.state == "S"


def ping_pong() -> tuple[Work, Work]:
    """Two works that wake each other over a pair of pipes."""
    here, there = os.pipe(), os.pipe()

    def player(read: int, write: int, *, serves: bool) -> Work:
        def play() -> None:
            if serves:
                os.write(write, b"!")
            while os.read(read, 1):
                os.write(write, b"!")

        return play

    return player(here[0], there[1], serves=True), player(there[0], here[1], serves=False)


def relay(turns_us: tuple[int, ...]) -> list[Work]:
    """Works that pass a byte round; with it, each spins for so many microseconds of its own CPU time."""
    pipes = [os.pipe() for _ in turns_us]

    def runner(read: int, write: int, turn_us: int, *, starts: bool) -> Work:
        def run() -> None:
            if starts:
                os.write(write, b"!")
            while os.read(read, 1):
                end_ns = time.thread_time_ns() + 1000 * turn_us
                while time.thread_time_ns() < end_ns:
                    pass
                os.write(write, b"!")

        return run

    places = range(len(turns_us))
    return [runner(pipes[i - 1][0], pipes[i][1], turns_us[i], starts=i == 0) for i in places]


def fork_storm(seconds: float) -> Work:
    """Start short-lived processes, one after another."""

    def storm() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)

    return storm


def a_cpu() -> int:
    """The CPU that pinned processes share: the last one, as most programs begin on the first."""
    return max(os.sched_getaffinity(0))


def read_bytes(process: Process) -> int:
    """That a process had read from disks."""
    lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["read_bytes"])


@contextlib.contextmanager
def disk_file(megabytes: int) -> Iterator[Path]:
    """A file on a disk, written whole: in the first of some directories that is on one."""
    candidates = (Path(__file__).parent, Path("/var/tmp"), Path("/root"))  # noqa: S108  a name of its own
    directory = next((each for each in candidates if os.major(each.stat().st_dev)), None)
    assert directory is not None, "no directory here is on a disk"
    with tempfile.NamedTemporaryFile(dir=directory, prefix="jostle-test-") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
        yield Path(file.name)


def direct_io(path: Path, block_bytes: int, *, write: bool = False, seed: int = 0) -> Work:
    """Read, or write, one block after another at random places of a file, past the page cache."""

    def work() -> None:
        places, drawn = path.stat().st_size // block_bytes, random.Random(seed)  # noqa: S311  places
        block = mmap.mmap(-1, block_bytes)
        descriptor = os.open(path, (os.O_WRONLY if write else os.O_RDONLY) | os.O_DIRECT)
        while True:
            place = drawn.randrange(places) * block_bytes
            if write:
                os.pwritev(descriptor, [block], place)
            else:
                os.preadv(descriptor, [block], place)

    return work
