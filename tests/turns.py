"""Turns on one machine: a test of the running kernel has it for itself, all others share it.

Two suites at once, or the workers of one, then give what one alone gives: a kernel test measures waits, which every
neighbour changes. Locks of POSIX (fcntl(2)): what a test starts and leaves behind does not inherit them.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

ROOMS = Path("/run")  # where only root writes, and only root can test the kernel
DOOR, ROOM = "jostle-tests.door", "jostle-tests.room"
POLL_S = 0.02


@contextlib.contextmanager
def turn(*, alone: bool, limit_s: float, rooms: Path = ROOMS) -> Iterator[None]:
    """Wait for the machine, alone or beside others.

    Who waits for it alone stands in the door meanwhile, so that those who share it cannot follow each other for ever.
    :raises TimeoutError: not within `limit_s` seconds, somebody's test has hung.
    """
    end_s = time.monotonic() + limit_s
    with _opened(rooms / DOOR) as door, _opened(rooms / ROOM) as room:
        _lock(door, fcntl.LOCK_EX, end_s)
        _lock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, end_s)
        fcntl.lockf(door, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int, end_s: float) -> None:
    while True:
        try:
            fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # which of the two is up to the system: fcntl(2)
            if time.monotonic() > end_s:
                raise TimeoutError(
                    "another test has had this machine for too long: look for one that hangs"
                ) from None
            time.sleep(POLL_S)
        else:
            return
