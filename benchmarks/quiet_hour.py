"""An hour's worth of windows of a host on which nobody is any trouble, for the detector to stay silent on.

    python -m benchmarks.quiet_hour FILE.run

Records 360 windows of 0.8 s, of some ordinary services in cgroups of their own, and waits among them. Shorter windows
scatter more than the daemon's of 10 s, so that they are the harder test. tests/agent/detection/quiet.run.xz is one
such recording, of a host with 2 CPUs that did nothing else.
"""

import contextlib
import shlex
import subprocess
import sys
from pathlib import Path

from agent.experiment.janitor import Janitor
from agent.experiment.process import start
from agent.experiment.trial_cgroups import Workspace
from collectors.hierarchy import detect_layout

WINDOWS, WINDOW_S = 360, 0.8
_VICTIM, _NEIGHBOUR = "agent.workloads.victim", "agent.workloads.neighbour"
SERVICES = {
    "web": f"{_VICTIM} --operations 100000000 --think-ms 4",
    "queue": f"{_VICTIM} --operations 100000000 --think-ms 40 --processes 3",
    "worker": f"{_NEIGHBOUR} bursty --processes 1 --period-ms 700 --duty-pct 30",
    "minutely": f"{_NEIGHBOUR} bursty --processes 2 --period-ms 20000 --duty-pct 5",
}


def main() -> None:
    """Start the services, record them, end them."""
    workspace = Workspace(detect_layout())
    with contextlib.ExitStack() as stack:
        stack.enter_context(Janitor(workspace.directories))
        stack.enter_context(workspace)
        for name, words in SERVICES.items():
            text = f"exec {shlex.quote(sys.executable)} -m {words}"
            command = start(text, workspace.make(name), None, subprocess.DEVNULL, None)
            stack.callback(command.close)
            stack.callback(command.group.stop, 1.0)
            command.release()
        record = [str(Path(sys.executable).with_name("jostle")), "record", "--cgroup", f"/{workspace.name}*"]
        record += ["-i", str(WINDOW_S), "-d", str(WINDOWS * WINDOW_S), "-o", sys.argv[1]]
        subprocess.run(record, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
