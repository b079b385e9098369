"""What a recording with every signal on costs: 200 cgroups that all run, in windows of 1 s.

    python -m benchmarks.signals_cost [--cgroups N] [--seconds S] [--without-signals] [--json]

The figures are of the process that records, after its start-up: CPU time from /proc/PID/stat, in per cent of one CPU,
and resident memory from /proc/PID/status, as `top` shows both. Its tasks each run for 0.2 ms and touch a page every
100 ms, so that the files of every cgroup change in every window. Writes build/bench/signals-cost.json.
"""

import argparse
import contextlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.janitor import Janitor
from agent.store.run_file import read_run
from collectors.host.hierarchy import detect_layout
from probes.privilege import require_privilege

OUTPUT = Path("build/bench/signals-cost.json")
SCHEMA = "jostle.bench-signals/1"
PERIOD_S, BURST_S = 0.1, 0.0002
START_UP_S = 4.0
JOSTLE = (sys.executable, "-c", "from agent.cli import main; main()")


@dataclass(frozen=True, slots=True)
class Cost:
    """What recording cost; `signals_per_window` is of how many cgroups a window had signals, in the mean."""

    schema: str
    cgroups: int
    seconds: float
    cpu_pct: float
    rss_mb: float
    windows: int
    signals_per_window: float


def measure(cgroups: int, seconds: float) -> Cost:
    """Record for some seconds beside that many cgroups that run."""
    with contextlib.ExitStack() as stack:
        workspace = Workspace(detect_layout())
        stack.enter_context(Janitor(workspace.directories))
        stack.enter_context(workspace)
        for number in range(cgroups):
            _start_ticker(workspace.make(f"ticker-{number:03d}"), number / cgroups * PERIOD_S)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with _recording(directory / "a.run") as process:
            time.sleep(START_UP_S)
            before_s, start_s = _cpu_s(process.pid), time.monotonic()
            time.sleep(seconds)
            spent_s, elapsed_s = _cpu_s(process.pid) - before_s, time.monotonic() - start_s
            rss_mb = _rss_mb(process.pid)
        windows = [window for window in read_run(directory / "a.run").windows if window.signals]
    return Cost(
        schema=SCHEMA,
        cgroups=cgroups,
        seconds=elapsed_s,
        cpu_pct=100 * spent_s / elapsed_s,
        rss_mb=rss_mb,
        windows=len(windows),
        signals_per_window=sum(len(window.signals.cgroups) for window in windows if window.signals)
        / max(1, len(windows)),
    )


@contextlib.contextmanager
def _recording(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [*JOSTLE, "record", "-i", "1", "-o", str(path)], stdout=subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _start_ticker(group: Group, delay_s: float) -> None:
    if os.fork():
        return
    group.add(os.getpid())
    page = mmap.mmap(-1, 1 << 24)
    time.sleep(delay_s)
    for number in range(sys.maxsize):
        page[number * mmap.PAGESIZE % len(page)] = 1
        end_s = time.process_time() + BURST_S
        while time.process_time() < end_s:
            pass
        time.sleep(PERIOD_S)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main() -> None:
    """Measure, write the document, print it or the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks.signals_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--cgroups", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true", help="print the document")
    options = parser.parse_args()
    require_privilege()
    document = asdict(measure(options.cgroups, options.seconds))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        print(
            f"{document['cgroups']} cgroups, {document['signals_per_window']:.0f} with signals in a window:"
            f" {document['cpu_pct']:.2f} % of one CPU, {document['rss_mb']:.1f} MB"
        )


if __name__ == "__main__":
    main()
