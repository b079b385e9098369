"""Runs the real `jostle` and looks for what it may have left behind."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.slowness import SLOWNESS

JOSTLE = (sys.executable, "-P", "-c", "from agent.cli import main; main()")
ROOT = Path(__file__).parent.parent.parent
LONG_S = 180 * SLOWNESS  # to give up after, never to wait for


@dataclass(frozen=True)
class Ended:
    """A jostle that has ended."""

    pid: int
    code: int
    out: str
    err: str


def start(*words: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*JOSTLE, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        start_new_session=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def end(process: "subprocess.Popen[str]") -> Ended:
    try:
        out, err = process.communicate(timeout=LONG_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return Ended(process.pid, process.returncode, out, err)


def run(*words: str, cwd: Path | None = None) -> Ended:
    return end(start(*words, cwd=cwd))


def marked_sleep() -> str:
    """A command that sleeps for long, and can be told from every other one on this machine."""
    return f"sleep {10**6 + secrets.randbelow(10**8)}.{secrets.randbelow(10**8)}"


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def is_running(text: str) -> bool:
    return any(text in line for line in command_lines())


def cgroups_of(pid: int) -> list[Path]:
    """The directories that the jostle of this pid made."""
    mounts = [
        line.split()[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if " - cgroup" in line
    ]
    return [path for mount in mounts for path in Path(mount).glob(f"jostle-{pid}-*")]


def watches(pid: int) -> bool:
    """Whether a jostle has its probes attached."""
    try:
        targets = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any("bpf_link" in target or "bpf-link" in target for target in targets)


def eventually(true: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + LONG_S
    while not true():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def left_behind(ended: Ended, *commands: str) -> list[str]:
    """What is left of a jostle: its cgroups, its janitor, these commands."""
    marks = (f"/jostle-{ended.pid}-", *commands)
    running = [line for line in command_lines() if any(mark in line for mark in marks)]
    return [*map(str, cgroups_of(ended.pid)), *running]


def is_one_line(text: str) -> bool:
    return text.startswith("jostle: ") and text.endswith("\n") and text.count("\n") == 1
