"""Two cgroups that each keep a CPU busy ran at the same time for as long as the CPUs they had leave no other way."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.host.readings import Missing
from collectors.host.topology import read_topology
from collectors.sources import ebpf
from collectors.windows import sched
from collectors.windows.corun import coruns

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


@pytest.fixture
def spinners() -> Iterator[list[Path]]:
    mount = detect_layout().v2_mount
    groups = read_topology().llc
    cpus = [] if isinstance(groups, Missing) else next((sorted(g)[:2] for g in groups if len(g) > 1), [])
    if mount is None or len(cpus) < 2:
        pytest.skip("needs cgroup2 and two CPUs that share a cache")
    directories = [mount / f"jostle-test-corun-{os.getpid()}-{cpu}" for cpu in cpus]
    processes = []
    for cpu, directory in zip(cpus, directories, strict=True):
        directory.mkdir()
        words = [sys.executable, "-c", SPIN, str(cpu), str(directory / "cgroup.procs")]
        processes.append(subprocess.Popen(words))
    yield directories
    for process in processes:
        process.kill()
        process.wait()
    for directory in directories:
        directory.rmdir()


def test_two_busy_cpus(spinners: list[Path]) -> None:
    with ebpf.open_probe(detect_layout()) as probe:
        while not all(directory.joinpath("cgroup.procs").read_text() for directory in spinners):
            time.sleep(0.01)
        before = probe.read()
        time.sleep(SECONDS)
        after = probe.read()
    window = sched.window(before, after)
    one, other = (directory.stat().st_ino for directory in spinners)
    ran = [window.cgroups[f"/{directory.name}"].run_ns for directory in spinners]
    found = coruns(after.rings, read_topology(), window.duration_ns)[one][other].llc_ns
    at_least, at_most = max(0, sum(ran) - window.duration_ns), min(ran)
    slack = TOLERANCE * window.duration_ns
    assert at_least - slack <= found <= at_most + slack
    assert found > 0
