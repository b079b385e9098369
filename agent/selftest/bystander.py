"""A bystander: a process outside every experiment that wants 40 % of each CPU, in random bursts."""

import contextlib
import subprocess
from collections.abc import Iterator

from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import start
from agent.sandbox.janitor import Janitor
from agent.selftest.scenarios import neighbour
from collectors.host.hierarchy import CgroupLayout

DUTY_PCT = 40.0


@contextlib.contextmanager
def bystander(layout: CgroupLayout) -> Iterator[None]:
    """Have it run meanwhile, in a cgroup of its own, on each CPU that this process may use.

    Raises:
        HostError: No cgroup can be made.
        JostleError: It cannot be started.
    """
    workspace = Workspace(layout)
    with Janitor(workspace.directories), workspace:
        group = workspace.make("bystander")
        command = start(
            neighbour(f"random --duty-pct {DUTY_PCT:g}"), group, None, subprocess.DEVNULL, subprocess.DEVNULL
        )
        try:
            command.release()
            yield
        finally:
            group.stop()
            command.close()
