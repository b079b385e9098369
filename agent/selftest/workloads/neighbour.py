"""A neighbour that takes one kind of resource until it is ended.

    python -m agent.selftest.workloads.neighbour spin|switch|cache|idle|bursty|random|syscall|fork|ask [--processes N]
        [--buffer-mib MIB] [--period-ms MS] [--duty-pct PCT] [--service NAME]

It prints one line when all its processes run. SIGTERM ends it, and with it the kernel ends its processes.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from agent.selftest.workloads.arguments import between
from agent.selftest.workloads.processes import spawn
from agent.selftest.workloads.service import DEFAULT_NAME, ask

MIB = 2**20
MODES = ("spin", "switch", "cache", "idle", "bursty", "random", "syscall", "fork", "ask")

# random: how long a burst is on average, and how late at most it may come.
BURST_S, MOST_BEHIND_S = 0.02, 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """What to take, and how much of it."""

    mode: str
    processes: int
    buffer_mib: int
    period_ms: float
    duty_pct: float
    service: str


def spin() -> NoReturn:
    """Keep a CPU busy without touching memory."""
    while True:
        pass


def burst(period_ms: float, duty_pct: float) -> NoReturn:
    """Keep a CPU busy for a share of each period and sleep for the rest."""
    busy_s = period_ms / 1e3 * duty_pct / 100
    idle_s = period_ms / 1e3 * (100 - duty_pct) / 100  # by itself, as a difference might round to less than 0
    while True:
        until_s = time.monotonic() + busy_s
        while time.monotonic() < until_s:
            pass
        time.sleep(idle_s)


def burst_at_random(cpu: int, duty_pct: float) -> NoReturn:
    """Want a share of this CPU's time in bursts at random: exponential lengths, a Poisson process of arrivals.

    What it could not have for more than a moment it does without: it is not to catch up later.
    """
    os.sched_setaffinity(0, {cpu})
    draw = random.Random()  # noqa: S311  when a burst comes, no secret
    due_s = time.monotonic()
    while True:
        due_s = max(due_s, time.monotonic() - MOST_BEHIND_S) + draw.expovariate(duty_pct / 100 / BURST_S)
        time.sleep(max(0.0, due_s - time.monotonic()))
        until_s = time.thread_time() + draw.expovariate(1 / BURST_S)
        while time.thread_time() < until_s:
            pass


def stream(buffer_mib: int) -> NoReturn:
    """Read through a buffer larger than the caches, over and over, at the memory's speed."""
    buffer = bytes([1]) * (buffer_mib * MIB)  # not zeros: every page must be memory of its own
    while True:
        buffer.find(b"\x02")  # a byte that is not there: memchr(3) reads it all


def call() -> NoReturn:
    """Copy zeros in the kernel, a small piece per system call."""
    with open("/dev/zero", "rb", buffering=0) as zeros:  # noqa: PTH123  no Path to import for one file
        while True:
            zeros.read(4096)


def fork() -> NoReturn:
    """Start processes that end at once, one after the other."""
    while True:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)


def idle() -> NoReturn:
    """Do nothing until it is ended: a neighbour that takes no CPU time."""
    while True:
        signal.pause()


def pass_on(source: int, sink: int) -> NoReturn:
    """Hand on every byte that comes: two of these on crossed pipes switch back and forth without end."""
    while True:
        os.write(sink, os.read(source, 1))


def start_pair() -> None:
    """Start two processes that pass one byte back and forth."""
    (here, to_here), (there, to_there) = os.pipe(), os.pipe()
    spawn(partial(pass_on, here, to_there))
    spawn(partial(pass_on, there, to_here))
    os.write(to_here, b"!")
    for descriptor in (here, to_here, there, to_there):
        os.close(descriptor)


def start(load: Load) -> int:
    """Start the processes and return how many they are; `switch` rounds an odd number up."""
    if load.mode == "switch":
        pairs = (load.processes + 1) // 2
        for _ in range(pairs):
            start_pair()
        return 2 * pairs
    if load.mode == "random":
        usable = sorted(os.sched_getaffinity(0))
        for number in range(load.processes):
            spawn(partial(burst_at_random, usable[number % len(usable)], load.duty_pct))
        return load.processes
    work: dict[str, Callable[[], None]] = {
        "spin": spin,
        "cache": partial(stream, load.buffer_mib),
        "idle": idle,
        "bursty": partial(burst, load.period_ms, load.duty_pct),
        "syscall": call,
        "fork": fork,
        "ask": partial(ask, load.service),
    }
    for _ in range(load.processes):
        spawn(work[load.mode])
    return load.processes


def parse_arguments(arguments: Sequence[str] | None) -> Load:
    """The load that the command line asks for; exits 2 on bad usage."""
    parser = argparse.ArgumentParser(
        "python -m agent.selftest.workloads.neighbour", description="Take a resource."
    )
    option = parser.add_argument
    option("mode", choices=MODES)
    cpus = len(os.sched_getaffinity(0))
    option("--processes", type=between(1, 10**4), default=cpus, help="by default the number of usable CPUs")
    option("--buffer-mib", type=between(1, 2**20), default=64, help="cache: what each process reads through")
    option("--period-ms", type=between(1.0, 1e6), default=100.0, help="bursty: from one burst to the next")
    option(
        "--duty-pct",
        type=between(0.0, 100.0),
        default=50.0,
        help="bursty, random: the busy share of the time",
    )
    option("--service", default=DEFAULT_NAME, metavar="NAME", help="ask: the name the service was given")
    return Load(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until ended by a signal; returns 1 if a process of its own ended first."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it without a traceback from every process
    load = parse_arguments(arguments)
    print(f"neighbour: {load.mode}, {start(load)} processes", flush=True)
    pid, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    print(f"neighbour: process {pid} ended early, with code {code}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
