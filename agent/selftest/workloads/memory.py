"""Memory that others may need too: files that are read through the page cache, and what is kept.

    python -m agent.selftest.workloads.memory look-up|stream|serve [--operations N] [--file-mib MIB] [--keep-mib MIB]
        [--service NAME] [--after NAME]

`look-up`: read blocks of 4 KiB at random places of a file, so many, then end; `stream`: read a file of holes, which
takes memory and no disk, from its beginning to its end over and over until it is ended. Each keeps but a few MiB that
cannot be taken from it. The file has no name, and goes with its process. `serve` keeps memory from the first request
on, and takes 0.1 s for each. `--after` waits until a service is ready.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence

from agent.selftest.workloads.arguments import between
from agent.selftest.workloads.disk import BLOCK_BYTES, LARGE_BYTES, directory_on_disk, nameless
from agent.selftest.workloads.service import DEFAULT_NAME, serve, wait_for

_ANSWER_S = 0.1


def look_up(operations: int, file_mib: int) -> None:
    """Read a file once, then so many blocks at random places of it: from memory, as long as it is left there."""
    descriptor = nameless(file_mib * LARGE_BYTES, os.O_DIRECT)
    read = reader(descriptor, file_mib)
    for _ in range(file_mib):
        read()
    cached, drawn = _cached(descriptor), random.Random(os.getpid())  # noqa: S311  places, no secret
    os.posix_fadvise(cached, 0, 0, os.POSIX_FADV_RANDOM)
    block = bytearray(BLOCK_BYTES)
    for _ in range(operations):
        os.preadv(cached, [block], BLOCK_BYTES * drawn.randrange(file_mib * LARGE_BYTES // BLOCK_BYTES))


def _cached(descriptor: int) -> int:
    """The same file once more, through the page cache."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)


def reader(descriptor: int, file_mib: int) -> Callable[[], None]:
    """Reads the next MiB of a file of so many, over and over; nothing of it is in the page cache at first."""
    cached, buffer, place = _cached(descriptor), bytearray(LARGE_BYTES), 0

    def read() -> None:
        nonlocal place
        os.preadv(cached, [buffer], place * LARGE_BYTES)
        place = (place + 1) % file_mib

    return read


def stream(file_mib: int) -> None:
    """Read until it is ended."""
    descriptor = os.open(directory_on_disk(), os.O_RDWR | os.O_TMPFILE, 0o600)
    os.ftruncate(descriptor, file_mib * LARGE_BYTES)
    read = reader(descriptor, file_mib)
    while True:
        read()


def serve_and_keep(name: str, keep_mib: int) -> None:
    """Keep memory from when a client asks."""
    kept: list[bytes] = []

    def work() -> None:
        if not kept:
            kept.append(
                bytes([1]) * (keep_mib * LARGE_BYTES)
            )  # not zeros: every page must be memory of its own
        time.sleep(_ANSWER_S)

    serve(name, work)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run to its end, or until ended by a signal; returns 1 where there is no disk. Exits 2 on bad usage."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it without a traceback
    parser = argparse.ArgumentParser("python -m agent.selftest.workloads.memory", description="Use memory.")
    option = parser.add_argument
    option("mode", choices=("look-up", "stream", "serve"))
    option("--operations", type=between(1, 10**8), default=20_000, help="look-up: how many")
    option("--file-mib", type=between(1, 2**20), default=256, help="the file's size")
    option("--keep-mib", type=between(1, 2**20), default=64, help="serve: how much")
    option("--service", default=DEFAULT_NAME, metavar="NAME", help="serve: its name")
    option("--after", metavar="NAME", help="begin when this service is ready")
    values = parser.parse_args(arguments)
    try:
        if values.after is not None:
            wait_for(values.after)
        if values.mode == "look-up":
            look_up(values.operations, values.file_mib)
        elif values.mode == "stream":
            stream(values.file_mib)
        else:
            serve_and_keep(values.service, values.keep_mib)
    except OSError as error:
        print(f"memory: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
