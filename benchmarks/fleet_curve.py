"""How long compaction takes, and each question by the size of the fleet.

    python -m benchmarks.fleet_sim DATASET --hosts 200
    python -m benchmarks.fleet_curve DATASET [--hosts 100 300 1000 3000 10000] [--question aggressors]

Compacts the day of DATASET where it is not, then asks its clones of so many hosts, each question in a process of its
own; a clone is removed when it was asked. Prints wall-clock seconds, and the most memory of a process.
"""

import argparse
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from agent.fleet.ask import ALL
from agent.fleet.schema import TABLES, VERSION
from benchmarks.fleet_cost import timed
from benchmarks.fleet_sim import clone

PAIRS = ("hosts", "pairs")
"""What question 1 reads: of 10,000 hosts with 300 cgroups all tables would not have room on a laptop."""


def main() -> None:
    """Compact, clone, ask."""
    parser = argparse.ArgumentParser(description="Each question's time against the size of the fleet.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--hosts", type=int, nargs="+", default=[100, 300, 1000, 3000, 10000])
    parser.add_argument("--question", nargs="+", default=ALL)
    asked = parser.parse_args()
    if not (asked.dataset / VERSION / "manifest").exists():
        seconds, cpu_s, memory_mb = timed("fleet", "compact", asked.dataset)
        print(f"compacted in {seconds:.1f} s, {cpu_s:.1f} s of CPU, {memory_mb:.0f} MB", flush=True)
    for hosts in asked.hosts:
        tables = PAIRS if {"aggressors"} >= {*asked.question} else tuple(TABLES)
        # In a process of its own: of what a child takes, the kernel counts what its parent had when it was made.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            there = pool.submit(clone, asked.dataset, hosts, tables).result()
        size = sum(path.stat().st_size for path in there.rglob("*.parquet"))
        print(f"{hosts} hosts, {size / 1e6:.0f} MB", flush=True)
        for question in asked.question:
            seconds, cpu_s, memory_mb = timed("fleet", question, there, "--json")
            print(f"    {question:12}{seconds:8.1f} s{cpu_s:8.1f} s of CPU{memory_mb:8.0f} MB", flush=True)
        shutil.rmtree(there)


if __name__ == "__main__":
    main()
