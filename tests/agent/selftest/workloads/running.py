"""Running the workloads as the experiment does: as commands of their own."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from probes.isolated import python

GIVE_UP_S = 60


def command(workload: str, *arguments: str) -> list[str]:
    return python(f"agent.selftest.workloads.{workload}", *arguments)


@contextmanager
def neighbour(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A neighbour whose processes have been started; whatever is left of it is killed at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command("neighbour", *arguments), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("neighbour: ")
            yield process
        finally:
            process.kill()


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Its own, not theirs: those of the `fork` neighbour come and go."""
    return list(psutil.Process(process.pid).children())


def has_ended(process: psutil.Process) -> bool:
    """A zombie has ended as well: its new parent has merely not looked yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def becomes_true(condition: Callable[[], bool]) -> bool:
    """Whether a condition that needs some time holds in the end."""
    give_up = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True
