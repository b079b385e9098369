"""What shipping an hour of a busy host costs: bytes by table and column, CPU time and memory.

    python -m benchmarks.fleet_cost [--services 300] [--columns]
    python -m benchmarks.fleet_cost --history FILE.db      # of a history that was recorded

The host has 64 CPUs, half of which are used. Each service's share is log-normal (the median a seventh of the mean, as
of containers), and it waits a few per cent of its run time, for those that run most; every figure that a kernel with
cgroup v2 tells is there. `jostle ship` is a process of its own, its cost what the kernel says of it when it has ended.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from pyarrow import parquet

from agent.documents.verdict_parts import Host
from agent.fleet.schema import TABLES
from agent.store.history import opened
from agent.store.run_file import pack
from agent.store.windows import WindowWriter, insert_facts
from collectors.host.workloads import identify
from collectors.windows.figures import CgroupFigures, CgroupSignals, CpuSignals
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import CgroupWindow, CpuWindow, SchedWindow, WaitFor
from collectors.windows.signals import HostSignals, SignalWindow

NS, WINDOW_S, BEGIN_S, CPUS = 10**9, 10, 1_780_272_000, 64
UTILISATION, SLICE_NS, AGGRESSORS = 0.5, 500_000, 8
_BUCKETS = np.arange(len(EDGES_NS))


class BusyHost:
    """A host with so many services."""

    def __init__(self, services: int) -> None:
        self.random = np.random.default_rng(1)
        shares = self.random.lognormal(0, 2, services)
        self.shares = np.minimum(4.0, shares / shares.sum() * UTILISATION * CPUS)
        self.waits = self.random.lognormal(-3, 1, services)  # of its run time; the median 5 %
        self.does_io = self.random.random(services) < 0.3
        self.paths = [f"/system.slice/svc-{number}.service" for number in range(services)]
        self.names = {path: identify(path) for path in self.paths}
        weights = self.shares / self.shares.sum()
        self.neighbours = [
            self.random.choice(services, AGGRESSORS, replace=False, p=weights) for _ in range(services)
        ]

    def window(self) -> SchedWindow:
        """Ten seconds."""
        found = {path: self._cgroup(number) for number, path in enumerate(self.paths)}
        figures = {path: self._figures(number, found[path]) for number, path in enumerate(self.paths)}
        taken = CpuSignals(*self.random.integers(0, NS // 100, 4).tolist())
        return SchedWindow(
            end_ns=0,
            duration_ns=WINDOW_S * NS,
            cgroups=found,
            cpus=tuple(CpuWindow(float(self.random.uniform(0.3, 0.7)), 0.1, 10_000) for _ in range(CPUS)),
            untracked=0,
            signals=SignalWindow(
                cgroups=figures,
                host=HostSignals(cpus=dict.fromkeys(range(CPUS), taken), pressure={}),
                names=self.names,
            ),
        )

    def _cgroup(self, number: int) -> CgroupWindow:
        rng = self.random
        run_ns = int(WINDOW_S * NS * self.shares[number] * rng.gamma(10) / 10)
        slices = int(rng.poisson(1 + run_ns / SLICE_NS))
        others_ns = int(run_ns * self.waits[number] * rng.gamma(4) / 4)
        parts = (others_ns * rng.dirichlet(np.ones(AGGRESSORS))).astype(np.int64).tolist()
        wakeup_ns, self_ns = slices * int(rng.integers(500, 3000)), int(run_ns * 0.002 * rng.gamma(2))
        form = np.exp(-(((_BUCKETS - 40) / 12.0) ** 2))
        preempted = int(rng.poisson(slices / 20))
        return CgroupWindow(
            path=self.paths[number],
            run_ns=run_ns,
            wait_ns=sum(parts) + wakeup_ns + self_ns,
            self_ns=self_ns,
            wakeup_ns=wakeup_ns,
            throttled_ns=0,
            unattributed_ns=0,
            preempt_wait_ns=others_ns // 3,
            stolen_ns=int(run_ns * 0.003 * rng.gamma(3)),
            switches=2 * slices,
            preempted_own=preempted // 4,
            preempted_foreign=preempted,
            preempted_throttled=0,
            sampled_ns=others_ns // 4,
            histogram=tuple(rng.multinomial(slices, form / form.sum()).tolist()),
            waited_for={
                self.paths[other]: WaitFor(part, preempted // AGGRESSORS)
                for other, part in zip(self.neighbours[number], parts, strict=True)
                if other != number and part
            },
        )

    def _figures(self, number: int, window: CgroupWindow) -> CgroupSignals:
        rng = self.random
        told = dict.fromkeys(CgroupFigures._fields, 0)
        some_us = sum(wait.wait_ns for wait in window.waited_for.values()) // 1000
        told |= {"cpu_some_ns": some_us * 1000, "cpu_full_ns": int(some_us * rng.uniform(0.5, 1.0)) * 1000}
        if self.does_io[number]:
            reads, writes = int(rng.poisson(20)), int(rng.poisson(50))
            io_us = (reads + writes) * int(rng.integers(100, 400))
            told |= {
                "reads": reads,
                "writes": writes,
                "read_bytes": reads * 16384,
                "written_bytes": writes * 8192,
            }
            told |= {
                "io_some_ns": io_us * 1000,
                "io_full_ns": io_us * 700,
                "major_faults": int(rng.poisson(1)),
            }
        return CgroupFigures(float("inf"), *(told[name] for name in CgroupFigures._fields[1:]))


def write_hour(path: Path, services: int) -> None:
    """A history of one hour of such a host: of each five minutes six windows, five times each."""
    host = BusyHost(services)
    facts = {"host": pack(Host("host-00001", "6.1.0-28-amd64", CPUS, "", "v2", "")), "tier": "ebpf"}
    with closing(opened(path)) as db, db:
        insert_facts(db, 1, facts.items())
        writer = WindowWriter(db, recording=1)
        for five in range(12):
            seen = [host.window() for _ in range(6)]
            for place in range(30):
                writer.insert(replace(seen[place % 6]), (BEGIN_S + five * 300 + (place + 1) * WINDOW_S) * NS)


def timed(*words: str | Path) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and MB of memory, of a jostle in a process of its own."""
    begin_s = time.monotonic()
    process = subprocess.Popen([Path(sys.executable).with_name("jostle"), *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("it failed")
    return time.monotonic() - begin_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def show_sizes(dataset: Path, *, columns: bool) -> None:
    """Bytes of each table, and of its columns."""
    for table in TABLES:
        for file in sorted(dataset.glob(f"v1/{table}/*/*/*.parquet")):
            found = parquet.ParquetFile(file).metadata
            print(f"{table:13}{found.num_rows:7,} rows{file.stat().st_size:9,} bytes")
            chunks = [found.row_group(0).column(place) for place in range(found.num_columns)]
            for chunk in sorted(chunks, key=lambda each: -each.total_compressed_size) if columns else ():
                print(f"    {chunk.path_in_schema:24}{chunk.total_compressed_size:7,}")


def main() -> None:
    """Write an hour, ship it, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--services", type=int, default=300)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--columns", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jostle-cost-") as scratch:
        history, dataset = Path(scratch) / "history.db", Path(scratch) / "data"
        if asked.history:
            shutil.copy(asked.history, history)
        else:
            write_hour(history, asked.services)
        _, cpu_s, memory_mb = timed("ship", dataset, "--history-file", history)
        show_sizes(dataset, columns=asked.columns)
        size = sum(file.stat().st_size for file in dataset.rglob("*.parquet"))
        print(f"all {size / 1000:.1f} KB, {cpu_s:.2f} s of CPU, {memory_mb:.0f} MB")


if __name__ == "__main__":
    main()
