"""Two cgroups that each keep a CPU busy ran at the same time for as long as the CPUs they had leave no other way."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.host.readings import Missing
from collectors.host.topology import read_topology
from collectors.sources import ebpf
from collectors.windows import sched
from collectors.windows.corun import Corun, coruns
from probes.sched_probe import SchedProbe

pytestmark = pytest.mark.kernel

SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
open(sys.argv[2], "w").write(str(os.getpid()))
while True: pass
"""
SECONDS = 0.5
# The rings may reach back less far than the window, and the stretch stands for all of it.
TOLERANCE = 0.25


@dataclass(frozen=True, slots=True)
class Together:
    """Two cgroups that each kept a CPU busy: how long jostle says they ran at once, and how long they must have.

    Attributes:
        corun: Of one beside the other; None where they share nothing.
        at_least_ns: What the time each ran leaves no other way than to have been at once.
        at_most_ns: The shorter of those times.
        slack_ns: What either may be wrong by.
    """

    corun: Corun | None
    at_least_ns: int
    at_most_ns: int
    slack_ns: float

    def is_about(self, found_ns: int) -> bool:
        return self.at_least_ns - self.slack_ns <= found_ns <= self.at_most_ns + self.slack_ns


@contextmanager
def spinners(mount: Path, cpus: Iterable[int]) -> Iterator[list[Path]]:
    """A cgroup for each of these CPUs, that keeps it busy."""
    directories, processes = [], []
    try:
        for cpu in cpus:
            directory = mount / f"jostle-test-corun-{os.getpid()}-{cpu}"
            directory.mkdir()
            directories.append(directory)
            words = [sys.executable, "-c", SPIN, str(cpu), str(directory / "cgroup.procs")]
            processes.append(subprocess.Popen(words))
        yield directories
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for directory in directories:
            directory.rmdir()


def run_together(mount: Path, cpus: tuple[int, int], probe: SchedProbe) -> Together:
    """Keep both CPUs busy for a while."""
    with spinners(mount, cpus) as directories:
        while not all(directory.joinpath("cgroup.procs").read_text() for directory in directories):
            time.sleep(0.01)
        before = probe.read()
        time.sleep(SECONDS)
        after = probe.read()
        one, other = (directory.stat().st_ino for directory in directories)
    window = sched.window(before, after)
    ran_ns = [window.cgroups[f"/{directory.name}"].run_ns for directory in directories]
    return Together(
        corun=coruns(after.rings, read_topology(), window.duration_ns).get(one, {}).get(other),
        at_least_ns=max(0, sum(ran_ns) - window.duration_ns),
        at_most_ns=min(ran_ns),
        slack_ns=TOLERANCE * window.duration_ns,
    )


def test_two_busy_cpus() -> None:
    layout, groups = detect_layout(), read_topology().llc
    cpus = [] if isinstance(groups, Missing) else next((sorted(g)[:2] for g in groups if len(g) > 1), [])
    if layout.v2_mount is None or len(cpus) < 2:
        pytest.skip("needs cgroup2 and two CPUs that share a cache")
    with ebpf.open_probe(layout) as probe:
        found = run_together(layout.v2_mount, (cpus[0], cpus[1]), probe)
    assert found.corun is not None
    assert found.is_about(found.corun.llc_ns)
    assert found.corun.llc_ns > 0
