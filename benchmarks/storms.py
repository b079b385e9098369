"""Storms of context switches, each a fixed amount of work on one CPU: what the tools are measured under."""

import re
import resource
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.commands import start, wait_for_first
from probes.errors import HostError, JostleError

PAIRS = 200
_TIMEOUT_S = 120.0
_WALL = re.compile(r"Total time:\s+([0-9.]+) \[sec\]")
_CPU = re.compile(r"CPU time:\s+([0-9.]+) \[sec\]")


@dataclass(frozen=True, slots=True)
class Storm:
    """One kind of storm.

    Attributes:
        name: As in `--storm`.
        about: What happens in it.
        command: The shell command for so many units of work.
        trial_work: Units of work that take some tenths of a second, to calibrate with.
    """

    name: str
    about: str
    command: Callable[[int], str]
    trial_work: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of a storm: the time it took and the CPU time its tasks used."""

    wall_s: float
    cpu_s: float


def storms(workspace: Workspace) -> dict[str, Storm]:
    """All storms by name; the cgroups of `cgroups` are made by `make_pairs`."""
    crowd = [sys.executable, "-m", "benchmarks.crowd"]
    bases = [str(directory) for directory in workspace.directories]
    found = (
        Storm("pipe", "two processes pass a byte", lambda n: f"perf bench sched pipe -l {n}", 50_000),
        Storm(
            "messaging",
            "20 senders and 20 receivers over sockets",
            lambda n: f"perf bench sched messaging -g 1 -l {n}",
            200,
        ),
        Storm(
            "cgroups",
            f"{PAIRS} cgroups, in each two processes that pass a byte",
            lambda n: shlex.join([*crowd, str(n), *bases]),
            40,
        ),
    )
    return {storm.name: storm for storm in found}


def require_storms() -> None:
    """Refuse early where the storms cannot be made.

    Raises:
        HostError: perf is not installed.
    """
    if shutil.which("perf") is None:
        raise HostError("perf, which makes the storms, is not installed", "run packaging/setup.sh bench")


def make_pairs(workspace: Workspace) -> None:
    """The cgroups that the crowd runs in; they go with the workspace."""
    for number in range(PAIRS):
        workspace.make(f"pair-{number:03}")


def run_pass(storm: Storm, work: int, group: Group, cpu: int, output: Path) -> Pass:
    """Run a storm once, pinned to a CPU; its output goes to a file that is read and removed.

    Raises:
        JostleError: It does not end, or prints no time.
    """
    before_s = _children_cpu_s()
    command = start(f"exec {storm.command(work)}", group, [cpu], output, None)
    try:
        command.release()
        if wait_for_first([command], _TIMEOUT_S) is None:
            raise JostleError(
                f"the storm {storm.name} took over {_TIMEOUT_S:g} s", "is the machine overloaded?"
            )
    finally:
        group.stop()
        command.close()
    text = output.read_text(encoding="utf-8")
    output.unlink()
    return parse_pass(text, _children_cpu_s() - before_s)


def parse_pass(text: str, children_cpu_s: float) -> Pass:
    """The times that a storm printed; `children_cpu_s` stands in for a CPU time that it does not print.

    Raises:
        JostleError: There is no time in it.
    """
    wall, cpu = _WALL.search(text), _CPU.search(text)
    if wall is None:
        raise JostleError(f"a storm printed no time but {text[:200]!r}", "run its command by hand")
    return Pass(wall_s=float(wall[1]), cpu_s=float(cpu[1]) if cpu else children_cpu_s)


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
