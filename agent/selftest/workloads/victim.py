"""A victim whose work is fixed: the same operations whatever the load, so that only their duration varies.

    python -m agent.selftest.workloads.victim [--operations N] [--processes N] [--think-ms MS] [--working-set-kib KIB]

It prints lines of `key=value unit`, which the metric reader `jostle-victim` reads. An operation's latency
runs from when it was due: after think time, that is when its sleep should have ended, so that waiting for a
CPU after waking counts.
"""

import argparse
import math
import os
import signal
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from agent.selftest.workloads.arguments import between
from agent.selftest.workloads.processes import spawn

# One operation took 0.7 to 1.0 ms on an idle cloud core with Python 3.11, so that a run lasts about 1 s.
OPERATIONS = 1000
ROUNDS_PER_OPERATION = 14_000
# With a working set, about this many cache lines are read too, or all of it if that is more. On the same core
# that took 0.2 ms from the level 2 cache and 1.7 ms from beyond it.
LINES_PER_OPERATION = 2**18
CACHE_LINE_BYTES = 64
PAGE_BYTES = 4096
NS_PER_MS = 1e6
NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Work:
    """What each run does in all, shared out among `processes`."""

    operations: int
    processes: int
    think_ms: float
    working_set_kib: int


@dataclass(frozen=True, slots=True)
class VictimOutcome:
    """How long it took: from the common start to the last operation's end, and each operation by itself."""

    duration_ns: int
    latencies_ns: Sequence[int]


def run(work: Work) -> VictimOutcome:
    """Do the work. Raises ChildProcessError if one of the processes ended early."""
    gate, opener = os.pipe()
    results = [_start_worker(work, share, gate, opener) for share in shares(work.operations, work.processes)]
    for result in results:
        os.read(result, 1)  # ready
    start_ns = time.monotonic_ns()
    os.close(opener)
    figures = [array("Q", data) for data in _collect(results)]
    end_ns = max(worker[0] for worker in figures)
    return VictimOutcome(end_ns - start_ns, array("Q", chain.from_iterable(worker[1:] for worker in figures)))


def _collect(results: list[int]) -> list[bytes]:
    """What every worker wrote. Waiting for them makes their CPU time count as this process's children's."""
    written = []
    for result in results:
        with os.fdopen(result, "rb") as stream:
            written.append(stream.read())
    for _ in results:
        pid, status = os.wait()
        if status:
            code = os.waitstatus_to_exitcode(status)
            raise ChildProcessError(f"process {pid} ended early, with code {code}")
    return written


def shares(operations: int, processes: int) -> list[int]:
    """The operations of each process: they differ by one at most."""
    each, left = divmod(operations, processes)
    return [each + (index < left) for index in range(processes)]


def _start_worker(work: Work, share: int, gate: int, opener: int) -> int:
    """A descriptor that yields one byte when the worker is ready, then its end and its latencies in ns."""
    result, sink = os.pipe()
    spawn(partial(_work, work, share, gate, opener, sink))
    os.close(sink)
    return result


def _work(work: Work, share: int, gate: int, opener: int, sink: int) -> None:
    os.close(opener)
    # Not zeros, because every page must be memory of its own.
    buffer = bytearray(b"\x01") * (work.working_set_kib * 1024)
    os.write(sink, b"r")
    os.read(gate, 1)  # returns when the parent closes the last writing end
    latencies_ns = operate(share, work.think_ms, buffer)
    with os.fdopen(sink, "wb") as stream:
        stream.write(array("Q", [time.monotonic_ns(), *latencies_ns]))


def operate(count: int, think_ms: float, buffer: bytearray) -> Sequence[int]:
    """Do `count` operations with a rest before each; their latencies in ns, from when each was due."""
    latencies_ns = array("Q")
    for _ in range(count):
        due_ns = time.monotonic_ns() + int(think_ms * NS_PER_MS)
        if think_ms:
            time.sleep(think_ms / 1e3)
        compute()
        _walk(buffer)
        latencies_ns.append(time.monotonic_ns() - due_ns)
    return latencies_ns


def compute() -> int:
    """A chain of multiplications, each of which needs the one before; touches next to no memory."""
    value = 1
    for _ in range(ROUNDS_PER_OPERATION):
        value = (value * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
    return value


def _walk(buffer: bytearray) -> None:
    """Read the whole buffer, again and again if it is small, one line of each page at a time.

    Going from page to page keeps the hardware prefetcher from hiding that a line has been evicted.
    """
    lines = len(buffer) // CACHE_LINE_BYTES
    if not lines:
        return
    for _ in range(max(1, LINES_PER_OPERATION // lines)):
        for offset in range(0, PAGE_BYTES, CACHE_LINE_BYTES):
            buffer[offset::PAGE_BYTES]  # the copy of this slice is what reads it


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The nearest rank: the smallest value that at least `percent` per cent of the values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def render(work: Work, outcome: VictimOutcome) -> str:
    """The lines that are printed; the keys of those with a unit the reader knows are its metrics' names."""
    ordered = sorted(outcome.latencies_ns)
    duration_s = outcome.duration_ns / NS_PER_S
    lines = [
        f"operations={len(ordered)} operations",
        f"processes={work.processes} processes",
        f"work_duration={duration_s:.6f} s",
        f"operations_per_s={len(ordered) / duration_s:.3f} operations/s",
        f"latency_sum={sum(ordered) / NS_PER_MS:.6f} ms",
        *(f"latency_p{rank}={percentile(ordered, rank) / NS_PER_MS:.6f} ms" for rank in (50, 95, 99)),
        f"latency_max={ordered[-1] / NS_PER_MS:.6f} ms",
    ]
    return "\n".join(lines)


def parse_arguments(arguments: Sequence[str] | None) -> Work:
    """The work that the command line asks for; exits 2 on bad usage."""
    parser = argparse.ArgumentParser(
        "python -m agent.selftest.workloads.victim", description="Do fixed work."
    )
    option = parser.add_argument
    option("--operations", type=between(1, 10**8), default=OPERATIONS, help="in all, about 1 ms of CPU each")
    option("--processes", type=between(1, 10**4), default=1, help="that share the operations")
    option("--think-ms", type=between(0.0, 1e6), default=0.0, help="sleep before each operation")
    option("--working-set-kib", type=between(0, 2**30), default=0, help="memory that each operation reads")
    return Work(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it without a traceback from every process
    work = parse_arguments(arguments)
    try:
        print(render(work, run(work)))
    except OSError as error:
        print(f"victim: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
