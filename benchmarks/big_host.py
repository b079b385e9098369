"""What the probe costs on hosts that this one is not: of 8 to 512 CPUs, with up to 4,096 cgroups.

    python -m benchmarks.big_host [--json]

The probe is given the sizes of such a host, real cgroups are made, and the memory that the hooks share with user space
is filled as those would have left it: cells of cgroups on the CPUs where they ran, whose figures grow before every
reading, CPUs that switch, pairs. Each host is measured in a process of its own. Exit code 1 where a goal is missed.
"""

# ruff: noqa: SLF001  it writes what the kernel's side of the probe does
import argparse
import ctypes
import json
import mmap
import os
import random
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.sandbox.cgroups import Workspace
from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from probes import bpf_syscall, layout
from probes.errors import JostleError
from probes.sched_probe import SchedProbe

CGROUPS = 4096
PREFIX = "/big-"
_READINGS = 7
_LOOKUP_AND_DELETE = 21  # include/uapi/linux/bpf.h
_HEAD = struct.Struct("<6QI")  # of struct slot_stats
_CLOCK_NS = 1_000_000_000
_MIB = 1 << 20
_MEMORY_GOALS_MIB = {256: 48.0, 512: 64.0}
_READ_GOAL_MS, _RESIDENT_GOAL_MB = 30.0, 60.0
# By how much the dearest of a flat curve may be above the cheapest, and one of a linear one beside the line.
_FLAT, _LINEAR_PCT = 1.5, 15.0


@dataclass(frozen=True, slots=True)
class Host:
    """A host: its CPUs, how many of its cgroups run, and on how many CPUs each."""

    cpus: int
    running: int
    on_cpus: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Kernel memory; CPU time of the least disturbed reading, and memory resident meanwhile at most."""

    kernel_mib: float
    read_ms: float
    resident_mb: float
    cells: int


class Filling:
    """Gives cells to the cgroups of this benchmark; in each `window` all of them run and wait."""

    def __init__(self, probe: SchedProbe, host: Host) -> None:
        self._probe, self._host, self._sizes = probe, host, probe.dimensions
        self._window = 0
        rows = probe.dimensions.rows
        numbers = random.Random(1)  # noqa: S311  the same each time
        self._slots = [slot for slot, (_, path) in probe._directory.live.items() if PREFIX in path]
        self._slots = self._slots[: host.running]
        self._cells = list[int]()
        with self._memory("cell_owners") as owners, self._memory("cell_index") as index:
            for slot in self._slots:
                for row in numbers.sample(range(host.cpus), host.on_cpus):
                    cell = _free_cell(probe._descriptors["free_cells"])
                    at = 2 * (slot * rows + row)
                    index[at : at + 2] = cell.to_bytes(2, "little")
                    owners[4 * cell : 4 * cell + 4] = (row << 16 | slot).to_bytes(4, "little")
                    self._cells.append(cell)
        for row in range(host.cpus):  # all have switched
            at = row * layout.SIZE_CPU_STATE
            if probe._states[at : at + 8] == bytes(8):
                probe._states[at : at + 8] = _CLOCK_NS.to_bytes(8, "little")

    def _memory(self, name: str) -> mmap.mmap:
        sizes = self._sizes
        entries, value_bytes = {
            "cells": (sizes.cells, layout.size_cell(0)),
            "cell_owners": (sizes.cells // layout.GROUP_CELLS, 4 * layout.GROUP_CELLS),
            "cell_index": (sizes.rows * sizes.slots // layout.INDEX_CELLS + 1, 2 * layout.INDEX_CELLS),
            "pair_buckets": (sizes.rows * sizes.pair_buckets, layout.SIZE_PAIR_BUCKET),
            "claimed_pairs": (sizes.rows * sizes.pairs // 64, 8),
        }[name]
        return bpf_syscall.map_memory(self._probe._descriptors[name], entries, value_bytes)

    def window(self) -> None:
        """All cells grow, and four pairs of each cgroup."""
        self._window = window = self._window + 1
        sizes, size = self._sizes, layout.size_cell(0)
        figures = _HEAD.pack(*(window * figure for figure in (1000, 500, 0, 100, 0, 0, 3)))
        histogram = window.to_bytes(2, "little") * layout.NR_BUCKETS
        with self._memory("cells") as cells:
            for cell in self._cells:
                start = cell * size
                cells[start : start + len(figures)] = figures
                cells[start + size - len(histogram) : start + size] = histogram
        with self._memory("pair_buckets") as buckets, self._memory("claimed_pairs") as claimed:
            for number, slot in enumerate(self._slots):
                for row in {number * step % self._host.cpus for step in (1, 3, 5, 7)}:
                    place = row * sizes.pairs + number % sizes.pairs
                    key = slot << 16 | self._slots[number - 1]
                    layout.PAIR.pack_into(buckets, place * layout.PAIR.size, key, 0, window * 100)
                    claimed[place // 8] = claimed[place // 8] | 1 << place % 8


def _free_cell(queue: int) -> int:
    """Take one, as the hook does."""
    found = ctypes.c_uint32()
    bpf_syscall._bpf(_LOOKUP_AND_DELETE, struct.pack("<I4xQQQ", queue, 0, ctypes.addressof(found), 0))
    return found.value


def cost(host: Host) -> Cost:
    """Measure one host, in this process."""
    found = detect_layout()
    sizes = layout.dimensions_for(host.cpus, CGROUPS)
    identity = ebpf.identity_of(found)
    with SchedProbe(identity, lambda: ebpf.list_cgroups(found), dimensions=sizes, io=True) as probe:
        filling = Filling(probe, host)
        times_ms = list[float]()
        for _ in range(_READINGS):
            filling.window()
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # so that it does not lose its CPU
            began_ns = time.process_time_ns()
            snapshot = probe.read()
            times_ms.append((time.process_time_ns() - began_ns) / 1e6)
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            del snapshot
        kernel_bytes = probe.cost().memory_bytes or 0
        cells = probe._cells.owned
    return Cost(kernel_bytes / _MIB, min(times_ms), _peak_mb(), cells)


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1000


CPUS = tuple(Host(cpus, 200, 8) for cpus in (8, 32, 128, 256, 512))
RUNNING = tuple(Host(256, running, 16) for running in (250, 500, 1000, 2000, 4000))
BUSY = Host(256, 1000, 64)


def measured(host: Host) -> Cost:
    """The same in a process of its own.

    Raises:
        JostleError: It failed.
    """
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.big_host", "--host", json.dumps(asdict(host))],
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        raise JostleError(f"measuring {host} failed: {child.stderr.strip()[-500:]}", "see what it says")
    return Cost(**json.loads(child.stdout))


def misses(found: dict[Host, Cost]) -> list[str]:
    """Which goals are missed, each with its figure."""
    goals = [
        (f"kernel memory on {cpus} CPUs", most.kernel_mib, _MEMORY_GOALS_MIB[cpus], "MiB")
        for cpus in _MEMORY_GOALS_MIB
        for most in [max((c for h, c in found.items() if h.cpus == cpus), key=lambda cost: cost.kernel_mib)]
    ]
    flat = [found[host].read_ms for host in CPUS]
    running, times_ms = [host.running for host in RUNNING], [found[host].read_ms for host in RUNNING]
    line = statistics.linear_regression(running, times_ms)
    beside = max(
        abs(time_ms / (line.intercept + line.slope * number) - 1)
        for number, time_ms in zip(running, times_ms, strict=True)
    )
    goals += [
        ("reading 1,000 cgroups on 64 CPUs", found[BUSY].read_ms, _READ_GOAL_MS, "ms"),
        ("resident meanwhile", found[BUSY].resident_mb, _RESIDENT_GOAL_MB, "MB"),
        ("dearest by cheapest over CPUs", max(flat) / min(flat), _FLAT, "times"),
        ("farthest from a straight line over cgroups", 100 * beside, _LINEAR_PCT, "%"),
    ]
    return [f"{what}: {is_:.2f} {unit}, goal {goal:g}" for what, is_, goal, unit in goals if is_ > goal]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all, print the table and what is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.big_host", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document, and no table")
    parser.add_argument("--host", type=lambda text: Host(**json.loads(text)), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.host:
        print(json.dumps(asdict(cost(options.host))))
        return 0
    with Workspace(detect_layout()) as workspace:
        for number in range(CGROUPS):
            (workspace.directories[0] / f"{PREFIX[1:]}{number}").mkdir()
        found = {host: measured(host) for host in (*CPUS, *RUNNING, BUSY)}
    missed = misses(found)
    if options.json:
        hosts = [{**asdict(host), **asdict(cost)} for host, cost in found.items()]
        print(json.dumps({"hosts": hosts, "missed": missed}))
        return bool(missed)
    table = Table(
        "CPUs", "cgroups", "that ran", "on CPUs each", "cells", "kernel MiB", "read ms", "resident MB"
    )
    for host, its in found.items():
        sizes = (host.cpus, CGROUPS, host.running, host.on_cpus, its.cells)
        costs = (f"{its.kernel_mib:.1f}", f"{its.read_ms:.1f}", f"{its.resident_mb:.0f}")
        table.add_row(*map(str, sizes), *costs)
    console = Console()
    console.print(table)
    for line in missed or ["all goals are met"]:
        console.print(line)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
