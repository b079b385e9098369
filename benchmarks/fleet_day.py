"""What it takes to compact a day of busy hosts: seconds, CPU time and memory.

    python -m benchmarks.fleet_day DATASET [--hosts 200] [--services 300]

An hour of the host of `benchmarks.fleet_cost` is shipped; each host has it 24 times, with figures that are up to half
more or less, cgroup by cgroup. DATASET is written where it is not there yet, by all CPUs (4 minutes on two), and is
compacted each time: what an earlier compaction made is removed first.
"""

import argparse
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from agent.documents.times import partition
from agent.fleet.place import Folder
from agent.fleet.rows import TIME_BITS, Columns
from agent.fleet.schema import HOUR_S, TABLES, VERSION
from agent.fleet.ship import NEVER_NS, ship
from agent.fleet.ship import parquet as packed
from agent.fleet.sums import rounded
from benchmarks.fleet_cost import BEGIN_S, timed, write_hour

_SAME = ("cpus", "duration_ns", "first_window", "lost_windows", "windows")
_LEVEL = 9  # zstd's: 3 % larger than what is shipped, in an eighth of the time


def write_day(dataset: Path, hosts: int, services: int) -> None:
    """Every hour of every host."""
    with tempfile.TemporaryDirectory(prefix="jostle-day-") as scratch:
        history, one = Path(scratch) / "history.db", Path(scratch) / "one"
        write_hour(history, services)
        ship(history, Folder(one), None, {}, now_ns=NEVER_NS)
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(partial(_write_host, one, dataset), range(hosts)):
                pass


def _write_host(one: Path, dataset: Path, number: int) -> None:
    random, name = np.random.default_rng(number), f"host-{number:05d}"
    for table in TABLES:
        for path in (one / VERSION / table).rglob("*.parquet"):
            rows = parquet.ParquetFile(path).read()
            _, rest = path.name.split(".", 1)
            for hour in range(24):
                time_s = BEGIN_S + hour * HOUR_S
                columns = _another(rows, name, hour * HOUR_S, random)
                there = dataset / VERSION / table / partition(time_s) / f"{name}.{rest}"
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(packed(table, columns, _LEVEL))


def _another(rows: pa.Table, host: str, later_s: int, random: np.random.Generator) -> Columns:
    """The same rows of another host and hour."""
    factors = random.uniform(0.5, 1.5, rows.num_rows)
    found: dict[str, Any] = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if column.type == pa.string():
            found[name] = [host] * len(column) if name == "host" else column.to_pylist()
            continue
        figures = column.fill_null(0).to_numpy()
        if name == "time_s":
            figures = figures + later_s
        elif column.type == pa.int64() and name not in _SAME:
            figures = _rounded(figures * factors)
        found[name] = np.ma.array(figures, mask=column.is_null().to_numpy())
    return found


def _rounded(figures: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """As a shipper does it, over all rows."""
    return rounded(figures.astype(np.int64).reshape(-1, 1), np.zeros(1, np.int64), TIME_BITS)[:, 0]


def main() -> None:
    """Write a day, and compact it."""
    parser = argparse.ArgumentParser(description="What it takes to compact a day of busy hosts.")
    parser.add_argument("dataset", type=Path)
    for name, default in (("hosts", 200), ("services", 300)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    if not asked.dataset.exists():
        write_day(asked.dataset, asked.hosts, asked.services)
    shutil.rmtree(asked.dataset / VERSION / "manifest", ignore_errors=True)
    for path in asked.dataset.glob(f"{VERSION}/*/date=*/*.parquet"):
        path.unlink()
    hours = list(asked.dataset.rglob("*.parquet"))
    size = sum(path.stat().st_size for path in hours)
    print(f"{size / 1e6:.0f} MB in {len(hours):,} files, load {os.getloadavg()[0]:.1f}", flush=True)
    seconds, cpu_s, memory_mb = timed("fleet", "compact", asked.dataset)
    made = list(asked.dataset.glob(f"{VERSION}/*/date=*/*.parquet"))
    size = sum(path.stat().st_size for path in made)
    print(
        f"{size / 1e6:.0f} MB in {len(made)} files: {seconds:.1f} s, {cpu_s:.1f} s of CPU, {memory_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
