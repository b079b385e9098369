"""A process that outlives jostle: when jostle dies, hangs or stands still, it undoes what jostle was in the middle of.

    python -m agent.sandbox.janitor LEASE DIRECTORY…

Every change to a cgroup that is not jostle's own (frozen, capped) is a lease, which jostle renews while it is well.
Without a word from it for LEASE_S the janitor puts all back, and again should a jostle that was stopped half-way go on
and make the change after all. A change may have a deadline of its own, after which the janitor puts it back in any
case. When jostle is gone, it also kills what runs in jostle's own cgroups, and what left them, and removes them. Each
message is answered, so that jostle knows of the janitor what the janitor knows of jostle: one that does not answer is
killed, and jostle puts back and stops.

It shares nothing with jostle that ends both: its own session, deaf to the terminal's signals; the top cgroup of each
hierarchy, where cgroup.kill, a frozen unit or a unit's limits do not reach; no out-of-memory killer. It imports next to
nothing, so that it starts in 30 ms and takes 10 MB. A *spare* of it waits for the end of either: it puts back what is
on disk should both be killed, and lets the janitor go on should somebody stop it.
"""

import contextlib
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.leases import (
    LEASE_S,
    RENEW_S,
    Change,
    Lease,
    clear,
    heal,
    heal_one,
    open_lease,
    parse_lease,
    restore,
    started,
    wake,
    write,
)
from collectors.host.hierarchy import detect_layout, is_within
from probes.errors import JostleError, UsageError
from probes.isolated import python

_WELL, _EXPIRED = b".", b"!"
_RENEWAL = b"\n"
_LONGEST_MESSAGE = 1 << 16
# How soon a change is put back that a jostle makes whose lease is over.
_ENFORCE_S = 0.1
# How soon a janitor that somebody stopped goes on: within the lease, should jostle be stopped as well.
_WATCH_S = LEASE_S / 4
# How long it may take to end what jostle left. The spare goes on for longer.
_CLEAR_S = 15.0
_SPARE_S = 60.0
# It has nothing to do before it has answered once. Beside 15 others for two CPUs it took 3 s to get there.
_START_S = 30.0
_MOST_URGENT = -20


class JanitorLostError(JostleError):
    """Nobody would undo what jostle changes."""

    def __init__(self) -> None:
        super().__init__(
            "the process that cleans up after jostle was killed or stopped: nothing is frozen or capped without it",
            "run the experiment again",
        )


class Janitor:
    """Runs beside an experiment; a context manager. On a normal end it finds nothing left to do.

    Args:
        directories: The cgroups of jostle's own, not made yet.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = [str(directory) for directory in directories]

    def __enter__(self) -> "Janitor":
        heal()
        self._lease = open_lease(map(Path, self._directories))
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(_START_S)
        self._asked_s = time.monotonic()
        with theirs:
            self._process = subprocess.Popen(
                python("agent.sandbox.janitor", str(self._lease.path), *self._directories),
                stdin=theirs.fileno(),
                stdout=self._lease.descriptor,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLEAR_S)
        self._process.kill()
        self._process.wait()
        # It was killed before its time: what could not be put back stays on disk, for whoever comes next.
        if not self._lease.read().changes:
            self._lease.give_up()
        os.close(self._lease.descriptor)

    @contextlib.contextmanager
    def changed(self, file: Path, during: str, after: str, most_s: float = math.inf) -> Iterator[None]:
        """Within it a cgroup's `file` holds `during`; then `after`, also should jostle be killed.

        It is the cgroup that had this path at first, whatever it is called later. One that is gone by then needs no
        writing back. Within it `renew` must be called again and again. After `most_s` the janitor puts it back
        whatever jostle says.

        Raises:
            JostleError: It cannot be written.
            JanitorLostError: There is no janitor any more: then nothing is changed.
        """
        with _directory_of(file) as directory:
            change = Change(str(file), os.fstat(directory).st_ino, during, after)
            try:
                limit = [] if most_s == math.inf else [most_s]
                self._ask(_line("change", *change.key, during, after, *limit), directory)
                with _explained(file, during):
                    write(directory, file.name, during)
                yield
            finally:
                # Should the writing fail, the line below is not reached, and the janitor tries again.
                with _explained(file, after):
                    change.put_back(directory)
                self._undone(change)

    def claim(self, paths: Iterable[str]) -> None:
        """Have these cgroups to oneself until all is over.

        Raises:
            UsageError: Another jostle experiments on one of them, or on a part of it.
        """
        mine = list(paths)
        self._lease.append("claims", mine)
        for pid, theirs in heal().claims:
            for path in mine:
                if any(is_within(path, other) or is_within(other, path) for other in theirs):
                    raise UsageError(
                        f"another jostle (process {pid}) runs an experiment on {path}",
                        "wait until it has ended",
                    )

    def renew(self) -> None:
        """A sign of life, where one is due.

        Raises:
            JanitorLostError: The janitor gives none.
        """
        if time.monotonic() - self._asked_s > RENEW_S:
            self._ask(_RENEWAL)

    def expired(self) -> str | None:
        """Why a trial is void whose changes the janitor has put back before its end; None: it has not."""
        if self._ask(_RENEWAL) == _WELL:
            return None
        return f"jostle stood still for {LEASE_S:g} s or more, and what it had frozen or capped was put back meanwhile"

    def _undone(self, change: Change) -> None:
        try:
            self._ask(_line("undone", *change.key))
        except JanitorLostError:
            self._lease.append("undone", *change.key)
            raise

    def _ask(self, message: bytes, *descriptors: int) -> bytes:
        answer = b""
        with contextlib.suppress(OSError):
            socket.send_fds(self._line, [message], descriptors)
            answer = self._line.recv(1)
            self._line.settimeout(LEASE_S)
        self._asked_s = time.monotonic()
        if not answer:
            # One that was stopped would come between later.
            self._process.kill()
            raise JanitorLostError
        return answer


@contextlib.contextmanager
def _directory_of(file: Path) -> Iterator[int]:
    with _explained(file.parent):
        descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(file: Path, text: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"write {text!r} to" if text else "open"
        raise JostleError(
            f"cannot {what} {file} ({error.strerror})", "is its cgroup still there, and writable?"
        ) from error


def _line(*words: object) -> bytes:
    return json.dumps(words).encode() + b"\n"


@dataclass(slots=True)
class _HeldChange:
    """A change in force; `expired`: put back since its lease was over, though jostle has not said that it is undone."""

    change: Change
    directory: int
    until_s: float = math.inf
    expired: bool = False

    def put_back(self) -> None:
        """What is gone, or cannot be written, is tried again by whoever comes next."""
        with contextlib.suppress(OSError):
            self.change.put_back(self.directory, if_unchanged=self.expired)


def serve(line: socket.socket, lease: Lease) -> list[_HeldChange]:
    """Hear what jostle changes until it is gone; returns what is in force then. Without a word from it, put back."""
    held: dict[tuple[str, int], _HeldChange] = {}
    last_s = time.monotonic()
    while True:
        expired = any(each.expired for each in held.values())
        deadline_s = min([last_s + LEASE_S, *(each.until_s for each in held.values())])
        left_s = _ENFORCE_S if expired else deadline_s - time.monotonic()
        if select.select([line], [], [], max(0.0, left_s) if held else None)[0]:
            message, descriptors, _, _ = socket.recv_fds(line, _LONGEST_MESSAGE, 1)
            if not message:
                return list(held.values())
            if message != _RENEWAL:
                os.write(lease.descriptor, message)
                _take(held, message, descriptors)
            last_s = time.monotonic()
            with contextlib.suppress(BrokenPipeError):
                line.send(_EXPIRED if any(each.expired for each in held.values()) else _WELL)
        now_s = time.monotonic()
        for each in reversed(held.values()):
            if each.expired or now_s >= min(each.until_s, last_s + LEASE_S):
                each.put_back()
                each.expired = True


def _take(held: dict[tuple[str, int], _HeldChange], message: bytes, descriptors: Sequence[int]) -> None:
    match json.loads(message):
        case ["change", str(file), int(inode), str(during), str(after), *limit]:
            until_s = time.monotonic() + limit[0] if limit else math.inf
            held[file, inode] = _HeldChange(Change(file, inode, during, after), descriptors[0], until_s)
        case ["undone", str(file), int(inode)]:
            os.close(held.pop((file, inode)).directory)


def _keep_apart() -> None:
    """Out of reach of what may end jostle."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    # Each is refused by itself: to a user who is not root, in a container.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _MOST_URGENT)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-1000", encoding="ascii")
    layout = detect_layout()
    for mount in filter(None, {layout.v2_mount, *layout.v1_mounts.values()}):
        with contextlib.suppress(OSError):
            (mount / "cgroup.procs").write_text("0", encoding="ascii")


def _start_spare(lease: Lease) -> int:
    """A copy of this process that waits; returns its id."""
    record, own = lease.read(), os.pidfd_open(os.getpid())
    with contextlib.suppress(ProcessLookupError):
        watched = [own, os.pidfd_open(record.jostle[0])]
        if pid := os.fork():
            return pid
        # It holds neither the line, whose end jostle is to see, nor the lock.
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        while not select.select(watched, [], [], _WATCH_S)[0]:
            wake(record)
        _stand_in(lease.path)
        os._exit(0)
    return 0


def _stand_in(path: Path) -> None:
    """Until the lease is given up: wake the janitor, or do its work."""
    deadline_s = time.monotonic() + _SPARE_S
    while path.exists() and time.monotonic() < deadline_s:
        with contextlib.suppress(JostleError, OSError):
            if not heal_one(path):
                record = parse_lease(path.read_text().splitlines(keepends=True))
                wake(record)
                if started(record.janitor[0]) != record.janitor[1]:
                    for change in reversed(record.changes.values()):
                        restore(change, if_unchanged=True)
        time.sleep(_ENFORCE_S)


def main() -> None:
    """Serve, then clean; what is gone already is not an error."""
    path, *directories = sys.argv[1:]
    lease = Lease(Path(path), 1)
    _keep_apart()
    lease.append("janitor", os.getpid(), started(os.getpid()))
    spare = _start_spare(lease)
    for each in reversed(serve(socket.socket(fileno=0), lease)):
        each.put_back()
    clear(map(Path, directories))
    lease.give_up()
    if spare:
        os.kill(spare, signal.SIGKILL)
        os.waitpid(spare, 0)


if __name__ == "__main__":
    main()
