"""Reads and writes that reach a disk: past the page cache, in a file without a name, which goes with its process.

    python -m agent.selftest.workloads.disk read|write|sync|serve [--operations N] [--processes N] [--pause-ms MS]
        [--service NAME] [--after NAME]

`read`: blocks of 4 KiB at random places, so many operations in all, then it ends; `write`: 1 MiB at a time until it is
ended; `sync`: 4 KiB into the page cache, each made safe before the next, until it is ended. `serve` writes 8 MiB on
request, as `service` computes; `--after` waits until a service is ready.
"""

import argparse
import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.selftest.workloads.arguments import between
from agent.selftest.workloads.processes import spawn
from agent.selftest.workloads.service import DEFAULT_NAME, serve, wait_for

BLOCK_BYTES, LARGE_BYTES = 4096, 1 << 20
_READ_FILE_BYTES, _WRITTEN_FILE_BYTES = 8 << 20, 64 << 20
# Of each writer of a service: what it takes to be ready is part of the victim's time.
_SERVED_FILE_BYTES = 4 << 20
_WRITES_PER_REQUEST = 8
_DIRECTORIES = ("/var/tmp", "/root", ".")  # noqa: S108  files without a name


@dataclass(frozen=True, slots=True)
class DiskLoad:
    """What to do, see the module; `operations` of all processes together."""

    mode: str
    operations: int
    processes: int
    pause_ms: float
    service: str
    after: str | None


def directory_on_disk(candidates: Sequence[str] = _DIRECTORIES) -> str:
    """The first directory whose file system is on a block device.

    Raises:
        OSError: There is none.
    """
    for each in candidates:
        if Path(each).is_dir() and os.major(os.stat(each).st_dev):  # noqa: PTH116  one call
            return each
    raise OSError(f"none of {', '.join(candidates)} is on a disk")


def nameless(size_bytes: int, flags: int) -> int:
    """A file whose blocks are on the disk."""
    descriptor = os.open(directory_on_disk(), os.O_RDWR | os.O_TMPFILE | flags, 0o600)
    block = mmap.mmap(-1, LARGE_BYTES)
    for place in range(0, size_bytes, LARGE_BYTES):
        os.pwritev(descriptor, [block], place)
    os.fsync(descriptor)
    return descriptor


def read(operations: int) -> None:
    """Read so many blocks, one after the other."""
    descriptor = nameless(_READ_FILE_BYTES, os.O_DIRECT)
    block, drawn = mmap.mmap(-1, BLOCK_BYTES), random.Random(os.getpid())  # noqa: S311  places, no secret
    for _ in range(operations):
        os.preadv(descriptor, [block], BLOCK_BYTES * drawn.randrange(_READ_FILE_BYTES // BLOCK_BYTES))


def _writer(file_bytes: int, pause_ms: float = 0.0) -> Callable[[], None]:
    """Writes the next 1 MiB of a file, over and over."""
    descriptor, block = nameless(file_bytes, os.O_DIRECT), mmap.mmap(-1, LARGE_BYTES)
    place = 0

    def write() -> None:
        nonlocal place
        os.pwritev(descriptor, [block], place)
        place = (place + LARGE_BYTES) % file_bytes
        if pause_ms:
            time.sleep(pause_ms / 1e3)

    return write


def write(pause_ms: float) -> None:
    """Write until it is ended."""
    one = _writer(_WRITTEN_FILE_BYTES, pause_ms)
    while True:
        one()


def sync(pause_ms: float) -> None:
    """Write a little and wait until it is safe, until it is ended."""
    descriptor, block = nameless(LARGE_BYTES, 0), bytes(BLOCK_BYTES)
    while True:
        os.pwrite(descriptor, block, 0)
        os.fdatasync(descriptor)
        if pause_ms:
            time.sleep(pause_ms / 1e3)


def serve_writes(name: str) -> None:
    """Write when a client asks, all of it side by side."""
    writers = [_writer(_SERVED_FILE_BYTES) for _ in range(_WRITES_PER_REQUEST)]
    with ThreadPoolExecutor(len(writers)) as pool:
        serve(name, lambda: list(pool.map(lambda write: write(), writers)))


def work_of(load: DiskLoad) -> Callable[[], None]:
    """What one of its processes does."""
    modes: dict[str, Callable[[], None]] = {
        "read": partial(read, -(-load.operations // load.processes)),
        "write": partial(write, load.pause_ms),
        "sync": partial(sync, load.pause_ms),
    }
    return modes[load.mode]


def parse_arguments(arguments: Sequence[str] | None) -> DiskLoad:
    """The load that the command line asks for; exits 2 on bad usage."""
    parser = argparse.ArgumentParser("python -m agent.selftest.workloads.disk", description="Use a disk.")
    option = parser.add_argument
    option("mode", choices=("read", "write", "sync", "serve"))
    option("--operations", type=between(1, 10**8), default=1000, help="read: in all")
    option("--processes", type=between(1, 1000), default=1, help="that do this side by side")
    option("--pause-ms", type=between(0.0, 1e6), default=0.0, help="write, sync: after each")
    option("--service", default=DEFAULT_NAME, metavar="NAME", help="serve: its name")
    option("--after", metavar="NAME", help="begin when this service is ready")
    return DiskLoad(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run to its end, or until ended by a signal; returns 1 where there is no disk, or a process failed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it without a traceback from every process
    load = parse_arguments(arguments)
    try:
        directory_on_disk()
        if load.after is not None:
            wait_for(load.after)
        if load.mode == "serve":
            serve_writes(load.service)  # in this process: one that waits for others is no server
        for _ in range(load.processes):
            spawn(work_of(load))
    except OSError as error:
        print(f"disk: {error}", file=sys.stderr)
        return 1
    return max(int(os.wait()[1] != 0) for _ in range(load.processes))


if __name__ == "__main__":
    sys.exit(main())
