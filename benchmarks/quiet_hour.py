"""An hour's worth of windows of a host on which nobody is any trouble, for the detector to stay silent on.

    python -m benchmarks.quiet_hour FILE.run

Records 360 windows of 0.8 s, of some ordinary services in cgroups of their own that share one CPU and wait for each
other all the time. Shorter windows scatter more than the daemon's of 10 s, so that they are the harder test. The
services run under SCHED_FIFO: whatever else happens on the host is nothing to them.
tests/agent/detection/quiet.run.xz is one such recording; its `sampled_ns` is 0, as it was not counted then.
"""

import contextlib
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.commands import start
from agent.sandbox.janitor import Janitor
from collectors.host.hierarchy import detect_layout

WINDOWS, WINDOW_S = 360, 0.8
_VICTIM, _NEIGHBOUR = "agent.selftest.workloads.victim", "agent.selftest.workloads.neighbour"
SERVICES = {
    "web": f"{_VICTIM} --operations 100000000 --think-ms 4",
    "queue": f"{_VICTIM} --operations 100000000 --think-ms 40 --processes 2",
    "worker": f"{_NEIGHBOUR} bursty --processes 1 --period-ms 50 --duty-pct 25",
    "logger": f"{_NEIGHBOUR} bursty --processes 1 --period-ms 5 --duty-pct 5",
}


def main() -> None:
    """Start the services, record them, end them."""
    cpu = max(os.sched_getaffinity(0))
    workspace = Workspace(detect_layout())
    with contextlib.ExitStack() as stack:
        stack.enter_context(Janitor(workspace.directories))
        stack.enter_context(workspace)
        for name, words in SERVICES.items():
            text = f"exec chrt -f 1 {shlex.quote(sys.executable)} -m {words}"
            command = start(text, _allowing_fifo(workspace.make(name)), [cpu], subprocess.DEVNULL, None)
            stack.callback(command.close)
            stack.callback(command.group.stop, 1.0)
            command.release()
        record = [str(Path(sys.executable).with_name("jostle")), "record", "--cgroup", f"/{workspace.name}*"]
        record += ["-i", str(WINDOW_S), "-d", str(WINDOWS * WINDOW_S), "-o", sys.argv[1]]
        subprocess.run(record, check=True, stdout=subprocess.DEVNULL)


def _allowing_fifo(group: Group) -> Group:
    """The cgroup without its directory in v1's cpu tree, which may have no real-time share (RT_GROUP_SCHED)."""
    allowing = [each for each in group.directories if not (each / "cpu.rt_runtime_us").exists()]
    return replace(group, directories=tuple(allowing))


if __name__ == "__main__":
    main()
