"""What `jostle agent` keeps of its promises under load: windows, figures, scrapes and memory, one row a load.

    python -m benchmarks.load [--seconds 60] [--scale 1.0] [LOAD…]

Run time is compared with the kernel's own account (`usage_usec` in cpu.stat of the cgroup that holds all of the load),
read every 50 ms and taken at the begin of the first window and at the end of the last.
"""

import argparse
import contextlib
import os
import random
import signal
import socket
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.interrupts import raise_on_signals
from agent.sandbox.janitor import Janitor
from agent.store.query import Period, load_past
from agent.store.run_file import Run
from benchmarks.accounting import resident_mb
from benchmarks.running_agent import running_agent
from collectors.host.hierarchy import detect_layout
from collectors.windows.sched import subtree

WINDOW_S = 1.0
_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
_SAMPLED_EVERY_S = 0.05


class Load:
    """What is done to the agent, in cgroups that end with it; `scale` says how much of it."""

    def __init__(self, workspace: Workspace, metrics: Path, scale: float) -> None:
        self.workspace = workspace
        self.metrics = metrics
        self.scale = scale
        self.clients: list[socket.socket] = []

    def crowd(self) -> None:
        """5,000 idle cgroups and 1,000 that always want a CPU."""
        for number in range(self._many(5000)):
            self.workspace.make(f"idle-{number}")
        for number in range(self._many(1000)):
            _start(self.workspace.make(f"busy-{number}"), _spin)

    def tasks(self) -> None:
        """20,000 tasks in one cgroup, each of which wakes every 5 s and works for 0.2 ms."""
        group = self.workspace.make("crowd")
        for _ in range(self._many(20)):
            _start(group, _threads)

    def forks(self) -> None:
        """Processes that end as soon as they have begun, on every CPU."""
        for number in range(os.cpu_count() or 1):
            _start(self.workspace.make(f"forks-{number}"), _fork)

    def scrapers(self) -> None:
        """200 scrapers that ask for nothing, half of it, or all and never read; who is cut off comes again."""
        _start(self.workspace.make("busy"), _spin)
        threading.Thread(target=self._come_again, daemon=True).start()

    def _come_again(self) -> None:
        number = 0
        while True:
            with contextlib.suppress(OSError):
                client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                client.settimeout(1.0)
                client.connect(str(self.metrics))
                client.send((b"", b"GET /met", _REQUEST)[number % 3])
                self.clients.append(client)
            number += 1
            if len(self.clients) >= self._many(200):
                self.clients.pop(0).close()
                time.sleep(0.01)

    def _many(self, number: int) -> int:
        return max(1, round(number * self.scale))


LOADS: dict[str, Callable[[Load], None]] = {
    "5,000 idle and 1,000 busy cgroups": Load.crowd,
    "20,000 tasks in one cgroup": Load.tasks,
    "a fork storm": Load.forks,
    "200 slow scrapers": Load.scrapers,
}


def main() -> None:
    """Run the loads that are asked for, and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("loads", nargs="*", metavar="LOAD", help="the beginning of its name")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--scale", type=float, default=1.0)
    asked = parser.parse_args()
    raise_on_signals()
    wanted = [name for name in LOADS if not asked.loads or name.startswith(tuple(asked.loads))]
    if not wanted:
        parser.error(f"there are: {', '.join(LOADS)}")
    print(
        "| load | windows, lost | run time beside cpu.stat | slowest scrape | memory |\n|---|---|---|---|---|"
    )
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="jostle-load-") as scratch:
            print(f"| {name} | {_row(LOADS[name], Path(scratch), asked.seconds, asked.scale)} |", flush=True)


def _row(begin: Callable[[Load], None], scratch: Path, seconds: float, scale: float) -> str:
    workspace = Workspace(detect_layout())
    with Janitor(workspace.directories), workspace, running_agent(scratch, WINDOW_S) as agent:
        while not agent.metrics.exists() and agent.process.poll() is None:
            time.sleep(0.1)
        begin(Load(workspace, agent.metrics, scale))
        used, slowest_s = _watched(workspace.directories[0] / "cpu.stat", agent.metrics, seconds)
        memory_mb = resident_mb([agent.process.pid])
    run = load_past(agent.history, Period(1, 2**62))
    apart_pct = _apart_pct(run, f"/{workspace.name}", used)
    lost = f"{len(run.windows)}, {run.meta['lost_windows']}"
    return f"{lost} | {apart_pct:+.2f} % | {1000 * slowest_s:.0f} ms | {memory_mb:.0f} MB"


def _watched(stat: Path, metrics: Path, seconds: float) -> tuple[list[tuple[int, int]], float]:
    """(moment, what the load had used by then), both in ns; and how long the slowest scrape took."""
    used: list[tuple[int, int]] = []
    end_s, next_s, slowest_s = time.monotonic() + seconds, 0.0, 0.0
    while (now_s := time.monotonic()) < end_s:
        usec = next(line for line in stat.read_text().splitlines() if line.startswith("usage_usec"))
        used.append((time.time_ns(), 1000 * int(usec.split()[1])))
        if now_s >= next_s:
            next_s = now_s + 1.0
            slowest_s = max(slowest_s, _scrape_s(metrics))
        time.sleep(_SAMPLED_EVERY_S)
    return used, slowest_s


def _scrape_s(metrics: Path) -> float:
    begun_s = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(metrics))
        client.sendall(_REQUEST)
        answer = b""
        while more := client.recv(1 << 20):
            answer += more
    if not answer.startswith(b"HTTP/1.0 200"):
        return float("inf")
    return time.monotonic() - begun_s


def _apart_pct(run: Run, path: str, used: list[tuple[int, int]]) -> float:
    """How far what the windows say is from what the kernel says, of those windows in what was watched."""
    moments = [moment for moment, _ in used]

    def at(moment: int) -> int:
        place = min(max(1, bisect_left(moments, moment)), len(used) - 1)
        (before, low), (after, high) = used[place - 1], used[place]
        return low + (high - low) * (moment - before) // max(1, after - before)

    inside = [
        each
        for each in run.windows
        if each.end_ns - each.duration_ns >= moments[0] and each.end_ns <= moments[-1]
    ]
    told_ns = sum(subtree(each.cgroups, path).run_ns for each in inside)
    kernel_ns = at(inside[-1].end_ns) - at(inside[0].end_ns - inside[0].duration_ns)
    return 100 * (told_ns / max(1, kernel_ns) - 1)


def _start(group: Group, work: Callable[[], None]) -> None:
    if os.fork() == 0:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            group.add(os.getpid())
            work()
        finally:
            os._exit(1)


def _spin() -> None:
    while True:
        pass


def _threads() -> None:
    threading.stack_size(64 << 10)
    for _ in range(999):
        threading.Thread(target=_doze, daemon=True).start()
    _doze()


def _doze() -> None:
    while True:
        time.sleep(10 * random.random())  # noqa: S311  no secret
        end_ns = time.thread_time_ns() + 200_000
        while time.thread_time_ns() < end_ns:
            pass


def _fork() -> None:
    while True:
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


if __name__ == "__main__":
    main()
