"""What `jostle agent` costs and how it grows while cgroups come and go: CPU, memory, descriptors, history.

    python -m benchmarks.soak [--minutes N] [--cgroups N] [--lifetime SECONDS] [--flight-recorder MIB] [--json]

Every cgroup holds one process that wakes once a second and works for a millisecond, together 30 % of a CPU; it lives
for a minute, and a new one of another name takes its place. Prints the figures and whether they keep the goals of
docs/operating.md; exits with 1 when one is missed.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.interrupts import raise_on_signals
from agent.sandbox.janitor import Janitor
from agent.store.query import Period, load_past
from benchmarks.accounting import resident_mb
from benchmarks.running_agent import RunningAgent, running_agent
from collectors.host.hierarchy import detect_layout

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_WAKE_EVERY_S, _WORK_S = 1.0, 0.001
_SAMPLE_EVERY_S = 5.0
# Until all cgroups are there and the agent has seen them all come and go once, it may grow.
_SETTLED_AFTER = 0.35
MOST_CPU_PCT, MOST_RSS_MB, MOST_GROWTH_MB = 0.5, 48 * 1.048576, 1.0
# With a flight recorder, which fills its memory for 15 minutes.
MOST_RECORDING_CPU_PCT, MOST_RECORDING_RSS_MB = 0.9, 55.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The agent at one moment."""

    at_s: float
    cpu_s: float
    rss_mb: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole run.

    `growth_mb` is from the first quarter of the settled part to its last, `descriptors` the most in either half.
    """

    minutes: float
    cgroups: int
    flight_recorder_mib: int
    came_and_went: int
    cpu_pct: float
    rss_mb: float
    growth_mb: float
    descriptors: tuple[int, int]
    windows: int
    lost_windows: int
    history_mb_per_hour: float

    def missed(self) -> list[str]:
        """The goals that were not kept."""
        most_cpu_pct, most_rss_mb, most_growth_mb = MOST_CPU_PCT, MOST_RSS_MB, MOST_GROWTH_MB
        if self.flight_recorder_mib:
            most_cpu_pct, most_rss_mb = MOST_RECORDING_CPU_PCT, MOST_RECORDING_RSS_MB
            most_growth_mb += self.flight_recorder_mib * 1.048576
        kept = {
            f"CPU at most {most_cpu_pct} % of a core": self.cpu_pct <= most_cpu_pct,
            f"resident memory at most {most_rss_mb:.1f} MB": self.rss_mb <= most_rss_mb,
            f"memory flat within {most_growth_mb:.1f} MB": self.growth_mb <= most_growth_mb,
            "no descriptor growth": self.descriptors[1] <= self.descriptors[0],
            "no window lost": self.lost_windows == 0,
        }
        return [goal for goal, ok in kept.items() if not ok]


def figures(samples: Sequence[Sample], **known: float) -> dict[str, object]:
    """What the samples say, of the part in which the agent has settled."""
    settled = [each for each in samples if each.at_s >= samples[-1].at_s * _SETTLED_AFTER]
    part = max(1, len(settled) // 4)
    first, last = settled[:part], settled[-part:]
    passed_s = settled[-1].at_s - settled[0].at_s
    return {
        **known,
        "cpu_pct": 100 * (settled[-1].cpu_s - settled[0].cpu_s) / passed_s,
        "rss_mb": max(each.rss_mb for each in samples),
        "growth_mb": _mean_rss_mb(last) - _mean_rss_mb(first),
        # One more is open in the windows in which the kernel accounts for the probe, one in ten.
        "descriptors": tuple(
            max(each.descriptors for each in half)
            for half in (settled[: len(settled) // 2], settled[len(settled) // 2 :])
        ),
    }


def main() -> None:
    """Run one soak and print what the agent used."""
    options = _arguments()
    raise_on_signals()
    with tempfile.TemporaryDirectory(prefix="jostle-soak-") as scratch:
        found = _soak(options, Path(scratch))
    if options.json:
        print(json.dumps(asdict(found)))
    else:
        for name, value in asdict(found).items():
            print(f"{name:22} {value:.3f}" if isinstance(value, float) else f"{name:22} {value}")
    missed = found.missed()
    for goal in missed:
        print(f"missed: {goal}", file=sys.stderr)
    sys.exit(bool(missed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cgroups", type=int, default=300)
    parser.add_argument("--lifetime", type=float, default=60.0, help="of each cgroup, in seconds")
    parser.add_argument("--window", type=float, default=10.0, help="of the agent, in seconds")
    parser.add_argument("--flight-recorder", type=int, default=0, metavar="MIB")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _soak(options: argparse.Namespace, scratch: Path) -> Figures:
    workspace = Workspace(detect_layout())
    with Janitor(workspace.directories), workspace:
        crowd = _Crowd(workspace, options.lifetime / options.cgroups)
        crowd.grow_to(options.cgroups)
        with running_agent(scratch, options.window, options.flight_recorder) as agent:
            samples = _watch(agent, crowd, options.minutes * 60)
    run = load_past(agent.history, Period(1, 2**62))
    covered_s = sum(window.duration_ns for window in run.windows) / 1e9
    known = figures(samples, minutes=options.minutes, cgroups=options.cgroups)
    return Figures(
        **known,  # type: ignore[arg-type]  # by name
        flight_recorder_mib=options.flight_recorder,
        came_and_went=crowd.gone,
        windows=round(covered_s / options.window),
        lost_windows=int(run.meta["lost_windows"]),
        history_mb_per_hour=agent.history.stat().st_size / 1e6 * 3600 / covered_s,
    )


def _watch(agent: RunningAgent, crowd: "_Crowd", seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    start_s = time.monotonic()
    while (now_s := time.monotonic() - start_s) < seconds and agent.process.poll() is None:
        if now_s >= (len(samples) + 1) * _SAMPLE_EVERY_S:
            samples.append(_sample(agent.process.pid, now_s))
        crowd.replace_one()
        time.sleep(crowd.replaced_every_s)
    if agent.process.poll() is not None:
        sys.exit(f"the agent ended with {agent.process.returncode}")
    return samples


def _sample(pid: int, at_s: float) -> Sample:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return Sample(
        at_s=at_s,
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        rss_mb=resident_mb([pid]),
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
    )


def _mean_rss_mb(samples: Sequence[Sample]) -> float:
    return statistics.fmean(each.rss_mb for each in samples)


class _Crowd:
    """Cgroups that come and go, the oldest first."""

    def __init__(self, workspace: Workspace, replaced_every_s: float) -> None:
        self.replaced_every_s = replaced_every_s
        self.gone = 0
        self._workspace = workspace
        self._members: deque[tuple[Group, int]] = deque()
        self._numbers = count(1)

    def grow_to(self, size: int) -> None:
        while len(self._members) < size:
            self._add()

    def replace_one(self) -> None:
        group, pid = self._members.popleft()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        group.remove()
        self.gone += 1
        self._add()

    def _add(self) -> None:
        group = self._workspace.make(f"pod-{next(self._numbers)}")
        pid = os.fork()
        if pid == 0:
            _wake_and_work(group)
        self._members.append((group, pid))


def _wake_and_work(group: Group) -> None:
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        group.add(os.getpid())
        while True:
            until_s = time.monotonic() + _WORK_S
            while time.monotonic() < until_s:
                pass
            time.sleep(_WAKE_EVERY_S)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
