"""The bystander runs on every CPU in a cgroup of its own, and nothing of it stays."""

import os
from pathlib import Path

import psutil
import pytest

from agent.selftest.bystander import bystander
from collectors.host.hierarchy import detect_layout
from tests.agent.selftest.workloads.running import becomes_true


def running() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cpu_affinity() != sorted(os.sched_getaffinity(0)) and "random" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.kernel
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU: nothing is pinned to a part of them")
def test_it_is_on_each_cpu_meanwhile_and_gone_afterwards() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with bystander(detect_layout()):
        assert becomes_true(lambda: sorted(c for each in running() for c in each.cpu_affinity()) == cpus)
        cgroups = {Path(f"/proc/{each.pid}/cgroup").read_text() for each in running()}
        assert all("bystander" in text for text in cgroups)
    assert running() == []
