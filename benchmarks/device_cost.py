"""What watching disks and network costs per request and per packet, by the probe's own clock (bpf/timing.h).

    python -m benchmarks.device_cost [--seconds S]

Reads 4 KiB past the page cache, and sends datagrams through a queue (tbf) that lets all of them pass. What the probe's
rare hooks cost in as long a time without either is subtracted. Needs root, a disk and iproute2.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.selftest.workloads.disk import directory_on_disk
from benchmarks.links import link, queued
from collectors.host.hierarchy import detect_layout
from collectors.sources.ebpf import open_probe
from probes.errors import JostleError
from probes.isolated import python
from probes.sched_probe import SchedProbe

_FLOOD = """
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for _ in range(100):
        sender.sendto(bytes(64), (sys.argv[1], 9))
"""
_WIDE = "rate 10gbit burst 100m latency 100ms"  # a queue that is never full


def main() -> None:
    """Measure both and print a line each."""
    parser = argparse.ArgumentParser(prog="benchmarks.device_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each of four passes (default 3)")
    seconds = parser.parse_args().seconds
    try:
        with open_probe(detect_layout()) as probe, link(*_WIDE.split()) as fast:
            per_request = cost(probe, seconds, lambda: read(seconds), requests)
            per_packet = cost(
                probe, seconds, lambda: flood(fast.peer, seconds), lambda: queued(fast.device)["packets"]
            )
    except JostleError as error:
        print(f"device_cost: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    for what, (each_ns, number), goal_ns in (("request", per_request, 600), ("packet", per_packet, 60)):
        missed = "" if each_ns <= goal_ns else ": MISSED"
        print(f"per {what:8} {each_ns:6.0f} ns of {number:,} (goal {goal_ns}{missed})")
    print(
        "Of packets each CPU follows the first 64 of a tick whole, and one in 16 of those beyond (bpf/network.c)."
    )


def cost(
    probe: SchedProbe, seconds: float, work: Callable[[], None], count: Callable[[], int]
) -> tuple[float, int]:
    """The hooks' time for each thing counted while the work is done, in ns, and how many that were."""
    idle_ns = _spent_ns(probe, lambda: time.sleep(seconds))
    before = count()
    busy_ns = _spent_ns(probe, work)
    number = count() - before
    return max(0.0, busy_ns - idle_ns) / max(1, number), number


def _spent_ns(probe: SchedProbe, work: Callable[[], None]) -> int:
    before_ns = probe.cost().other_ns
    work()
    return probe.cost().other_ns - before_ns


def read(seconds: float) -> None:
    """Read blocks from a disk for so long."""
    words = python("agent.selftest.workloads.disk", "read", "--operations", "100000000")
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(words, check=False, timeout=seconds)


def flood(peer: str, seconds: float) -> None:
    """Send datagrams for so long."""
    subprocess.run([sys.executable, "-I", "-c", _FLOOD, peer, str(seconds)], check=True)


def requests() -> int:
    """That the disk of `read` has ended."""
    with tempfile.TemporaryFile(dir=directory_on_disk()) as file:
        device = os.fstat(file.fileno()).st_dev
    wanted = [str(os.major(device)), str(os.minor(device))]
    for line in Path("/proc/diskstats").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[:2] == wanted:
            return sum(int(fields[place]) for place in (3, 7, 14, 18) if place < len(fields))
    return 0


if __name__ == "__main__":
    main()
