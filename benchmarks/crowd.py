"""A storm out of many cgroups: in each a pair of processes that pass one byte to and fro, all on the same CPU.

    python -m benchmarks.crowd LOOPS DIRECTORY…

The pairs are made in the cgroups `pair-*` below every DIRECTORY (one per hierarchy) and start together when all are
there. Prints the time from then to the end of the last, and the CPU time of all in between.
"""

import os
import struct
import sys
import time
from pathlib import Path

_CPU_NS = struct.Struct("<Q")


def main() -> None:
    """Run one storm in the cgroups that the arguments name, and print its times."""
    loops, bases = int(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]]
    names = sorted(path.name for path in bases[0].glob("pair-*"))
    if not names:
        sys.exit(f"there is no cgroup pair-* in {bases[0]}")
    gate, ready, report = os.pipe(), os.pipe(), os.pipe()
    for name in names:
        _start_pair([base / name for base in bases], loops, gate, ready[1], report[1])
    os.close(gate[0])
    _read_exactly(ready[0], 2 * len(names))
    start_s = time.monotonic()
    os.close(gate[1])
    reports = _read_exactly(report[0], 2 * len(names) * _CPU_NS.size)
    wall_s = time.monotonic() - start_s
    cpu_s = sum(ns for (ns,) in _CPU_NS.iter_unpack(reports)) / 1e9
    print(f"Total time: {wall_s:.6f} [sec]")
    print(f"CPU time: {cpu_s:.6f} [sec]")


def _start_pair(directories: list[Path], loops: int, gate: tuple[int, int], ready: int, report: int) -> None:
    there, back = os.pipe(), os.pipe()
    for first in (True, False):
        if os.fork() == 0:
            os.close(gate[1])
            for directory in directories:
                (directory / "cgroup.procs").write_text("0", encoding="ascii")
            source, sink = (back[0], there[1]) if first else (there[0], back[1])
            os.write(ready, b".")
            os.read(gate[0], 1)  # until the parent closes it
            before_ns = time.process_time_ns()
            _play(source, sink, loops, first=first)
            os.write(report, _CPU_NS.pack(time.process_time_ns() - before_ns))
            os._exit(0)
    for descriptor in (*there, *back):
        os.close(descriptor)


def _play(source: int, sink: int, loops: int, *, first: bool) -> None:
    for _ in range(loops):
        if first:
            os.write(sink, b".")
        os.read(source, 1)
        if not first:
            os.write(sink, b".")


def _read_exactly(descriptor: int, length: int) -> bytes:
    found = b""
    while len(found) < length:
        found += os.read(descriptor, length - len(found))
    return found


if __name__ == "__main__":
    main()
