"""Changes to cgroups that are not jostle's own: each a lease, and on disk before it is made until it is put back.

A jostle that changes something has a file here, made before the first change and gone after the last was put back. It
is locked (flock(2)) by jostle and by its janitor, so that a lock nobody holds means: both are dead, and what the file
tells is to be put back by whoever comes next. A file is a list of JSON lines:

    ["jostle", PID, STARTED, DIRECTORIES]          who, and which cgroups are its own
    ["janitor", PID, STARTED]
    ["change", FILE, INODE, DURING, AFTER, …]      that of the cgroup: it stays the same when the cgroup is renamed
    ["undone", FILE, INODE]
    ["claims", PATHS]                              cgroups that no other jostle may experiment on meanwhile

They are lost at a boot, as the state of cgroups is: nothing is synced to a disk.
"""

import contextlib
import errno
import fcntl
import itertools
import json
import os
import signal
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.sandbox.cgroups import Group
from agent.sandbox.strays import end_marked, stat_fields
from collectors.host.hierarchy import walk
from probes.errors import HostError, JostleError

DIRECTORY = Path("/run/jostle-leases")
SUFFIX = ".lease"
LEASE_S = 2.0
"""How long a change outlives the last sign of life of who made it."""
RENEW_S = 0.5
_STARTED = 19  # field 22 of proc_pid_stat(5), counted from the state
_STOPPED = "T"
_LOOK_S = 6
_GONE = frozenset({errno.ENOENT, errno.ENODEV})


@dataclass(frozen=True, slots=True)
class Change:
    """One file of a cgroup: what it says for the time of a trial, and what it is to say afterwards.

    Attributes:
        file: Its path when it was changed.
        inode: The cgroup's.
        during: For the time of the trial.
        after: As it was found.
    """

    file: str
    inode: int
    during: str
    after: str

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from other changes that are in force."""
        return self.file, self.inode

    def put_back(self, directory: int, *, if_unchanged: bool = False) -> bool:
        """Write what was found, through the cgroup's descriptor; whether it was written.

        With `if_unchanged` only where `during` still stands. A cgroup that is gone needs none.

        Raises:
            OSError: It is there and cannot be written.
        """
        name = Path(self.file).name
        try:
            # FREEZING: v1's word while it is not FROZEN yet.
            if if_unchanged and _read(directory, name) not in (self.during, "FREEZING"):
                return False
            write(directory, name, self.after)
        except OSError as error:
            if error.errno in _GONE:
                return False
            raise
        return True

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the cgroup, wherever it is by now.

        Raises:
            FileNotFoundError: It is gone.
        """
        descriptor = _find(Path(self.file).parent, self.inode)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@dataclass(slots=True)
class LeaseRecord:
    """What a lease's file says: who made it, its own cgroups, and the changes in force, in their order."""

    jostle: tuple[int, str] = (0, "")
    janitor: tuple[int, str] = (0, "")
    directories: tuple[Path, ...] = ()
    changes: dict[tuple[str, int], Change] = field(default_factory=dict)
    claims: tuple[str, ...] = ()


def parse_lease(lines: Iterable[str]) -> LeaseRecord:
    """The lines of a file; one that was cut off, or is none of ours, tells nothing."""
    record = LeaseRecord()
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            match json.loads(line) if line.endswith("\n") else None:
                case ["jostle", int(pid), str(started), list(directories)]:
                    record.jostle, record.directories = (pid, started), tuple(map(Path, directories))
                case ["janitor", int(pid), str(started)]:
                    record.janitor = pid, started
                case ["change", str(file), int(inode), str(during), str(after), *_]:
                    record.changes[file, inode] = Change(file, inode, during, after)
                case ["undone", str(file), int(inode)]:
                    record.changes.pop((file, inode), None)
                case ["claims", list(claims)]:
                    record.claims = tuple(map(str, claims))
    return record


@dataclass(frozen=True, slots=True)
class Lease:
    """The file of one jostle, open and locked."""

    path: Path
    descriptor: int

    def append(self, *words: object) -> None:
        """A line; one write(2), so that whoever is killed leaves a whole one or none."""
        os.write(self.descriptor, json.dumps(words).encode() + b"\n")

    def read(self) -> LeaseRecord:
        """What it says."""
        content = os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)
        return parse_lease(content.decode(errors="replace").splitlines(keepends=True))

    def give_up(self) -> None:
        """Nothing is left to put back."""
        self.path.unlink(missing_ok=True)


def started(pid: int) -> str:
    """When a process started, by the kernel's clock: with its id it is that process for certain; empty: gone."""
    fields = stat_fields(pid)
    return fields[_STARTED] if fields and fields[0] != "Z" else ""


def open_lease(directories: Iterable[Path]) -> Lease:
    """A new one, of this process.

    Raises:
        HostError: There is no place for it that nobody else can change.
    """
    name = f"{os.getpid()}-{os.urandom(3).hex()}"
    try:
        place = _place(make=True)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            lease = Lease(DIRECTORY / f"{name}{SUFFIX}", os.open(name, flags, 0o600, dir_fd=place))
            fcntl.flock(lease.descriptor, fcntl.LOCK_EX)
            lease.append("jostle", os.getpid(), started(os.getpid()), [str(path) for path in directories])
            # Under its name it is locked and complete: nobody takes it for a dead one's.
            os.rename(name, lease.path.name, src_dir_fd=place, dst_dir_fd=place)
        finally:
            os.close(place)
    except OSError as error:
        raise HostError(
            f"nothing can be changed, since what is to be undone cannot be kept in {DIRECTORY} ({error.strerror})",
            "run as root where /run can be written",
        ) from error
    return lease


@dataclass(frozen=True, slots=True)
class Healed:
    """What became of what others had left.

    Attributes:
        put_back: The files that say again what they said.
        failed: What could not be put back or ended, in words.
        living: Of each jostle that still holds something, its process and the files.
        claims: Of each other jostle that lives, its process and the cgroups that it experiments on.
    """

    put_back: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    living: tuple[tuple[int, tuple[str, ...]], ...] = ()
    claims: tuple[tuple[int, tuple[str, ...]], ...] = ()


def heal() -> Healed:
    """Put back what a jostle changed that died with its janitor, and end what it left; those that live are let be.

    Raises:
        HostError: What is to be put back may not be read, or somebody else could have written it.
    """
    put_back: list[str] = []
    failed: list[str] = []
    living: list[tuple[int, tuple[str, ...]]] = []
    claims: list[tuple[int, tuple[str, ...]]] = []
    try:
        place = _place(make=False)
    except FileNotFoundError:
        return Healed()
    try:
        for name in sorted(entry.name for entry in os.scandir(place)):
            with contextlib.suppress(FileNotFoundError), _opened(place, name) as lease:
                if lease and _lock(lease):
                    try:
                        put_back += recover(lease)
                    except JostleError as error:
                        failed.append(str(error))
                elif lease:
                    record = lease.read()
                    if record.jostle[0] != os.getpid():
                        claims.append((record.jostle[0], record.claims))
                    if record.changes:
                        wake(record)
                        living.append(
                            (record.jostle[0], tuple(each.file for each in record.changes.values()))
                        )
    finally:
        os.close(place)
    return Healed(tuple(put_back), tuple(failed), tuple(living), tuple(claims))


def heal_one(path: Path) -> bool:
    """Do so with one lease; False: somebody holds it."""
    place = _place(make=False)
    try:
        with _opened(place, path.name) as lease:
            if lease is None or not _lock(lease):
                return False
            recover(lease)
    finally:
        os.close(place)
    return True


def recover(lease: Lease) -> list[str]:
    """Put back all that a locked lease tells, the last change first, end what it left, and give it up."""
    if not os.fstat(lease.descriptor).st_nlink:
        return []
    record = lease.read()
    found = [change.file for change in reversed(record.changes.values()) if restore(change)]
    clear(record.directories)
    lease.give_up()
    return found


def restore(change: Change, *, if_unchanged: bool = False) -> bool:
    """Put a change back that somebody else made; whether there was something to be put back.

    Raises:
        JostleError: The cgroup is there and cannot be written to.
    """
    try:
        with change.opened() as directory:
            return change.put_back(directory, if_unchanged=if_unchanged)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JostleError(
            f"cannot write {change.after!r} to {change.file} ({error.strerror})", "write it by hand"
        ) from error


def clear(directories: Iterable[Path]) -> None:
    """End all that runs in cgroups of jostle's own, and what left them, and remove them."""
    left = Group("what jostle left", tuple(directories))
    left.stop()
    if left.directories and not (pid := os.fork()):
        # To look through everybody's environment may take for ever: it is read from memory that somebody else can
        # have a server of theirs fill (userfaultfd(2), FUSE), who then does not.
        signal.alarm(_LOOK_S)
        end_marked({directory.name for directory in left.directories})
        os._exit(0)
    elif left.directories:
        os.waitpid(pid, 0)
    left.stop()
    left.remove()


def wake(record: LeaseRecord) -> None:
    """Let a janitor go on that somebody has stopped."""
    pid, since = record.janitor
    fields = stat_fields(pid)
    if fields and fields[0] == _STOPPED and fields[_STARTED] == since:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def write(directory: int, name: str, text: str) -> None:
    """Write to a file of a cgroup by its descriptor, which means the same cgroup whatever it is called."""
    flags = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=directory)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


def _read(directory: int, name: str) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(descriptor, 4096).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)


def _place(*, make: bool) -> int:
    """The directory, if it is root's alone: through no link, so that nobody else says what is written where."""
    if make:
        with contextlib.suppress(FileExistsError):
            DIRECTORY.mkdir(0o700, parents=True)
    try:
        place = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError as error:
        raise HostError(f"{DIRECTORY} may not be read", "run as root") from error
    found = os.fstat(place)
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        os.close(place)
        raise HostError(f"{DIRECTORY} belongs to others, or they may write to it", "remove it")
    return place


@contextlib.contextmanager
def _opened(place: int, name: str) -> Iterator[Lease | None]:
    """A lease by its name in the directory; None: it is none."""
    if not name.endswith(SUFFIX):
        yield None
        return
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=place)
    try:
        found = os.fstat(descriptor)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        yield Lease(DIRECTORY / name, descriptor) if ours else None
    finally:
        os.close(descriptor)


def _lock(lease: Lease) -> bool:
    try:
        fcntl.flock(lease.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _find(directory: Path, inode: int) -> int:
    """A descriptor of the cgroup with this inode: where it was, or by whatever name in its hierarchy."""
    top = directory
    while not top.exists() or (top != top.parent and top.parent.stat().st_dev == top.stat().st_dev):
        top = top.parent
    named = (cgroup.directory(top) for cgroup in walk(top) if cgroup.id == inode)
    for path in itertools.chain([directory], named):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if os.fstat(descriptor).st_ino == inode:
                return descriptor
            os.close(descriptor)
    raise FileNotFoundError(directory)
