"""What a process sleeps on, known because it was told to; and a verdict on two that share a lock file."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.analysis.advice import Advice
from agent.sandbox.cgroups import Workspace
from collectors.host.hierarchy import detect_layout
from collectors.sources.asleep import Asleep, SleepWatch
from tests.cli.running import run
from tests.kernel.situations import eventually

pytestmark = pytest.mark.kernel
WATCHED_S = 0.5
# What it needs is imported by then: a program that has said so falls asleep once, on what it is to sleep on.
READY = "import fcntl, sys, threading, time; print('.', flush=True);"
FUTEX = READY + (
    "lock = threading.Lock(); lock.acquire(); threading.Thread(target=lock.acquire, daemon=True).start();"
    "lock.acquire()"
)
SOCKET = "import socket; a, b = socket.socketpair();" + READY + "a.recv(1)"
PIPE = "import os; a, b = os.pipe();" + READY + "os.read(a, 1)"
SPIN = READY + "\nwhile True: pass"
# Who calls vfork(2) sleeps uninterruptibly (but for what kills it) until its child, which waits for a signal, is gone.
VFORK = (
    "import ctypes; libc = ctypes.CDLL(None); stack = ctypes.create_string_buffer(1 << 16);"
    "top = ctypes.c_void_p(ctypes.addressof(stack) + (1 << 16) - 64);"
    + READY
    + "libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), top, 0x4000 | 17, None)"
)


def states(pid: int) -> list[str]:
    """Of its tasks: R, S, D, …"""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]


def watched(program: str, tasks: str = "S") -> dict[Asleep, float]:
    """What a Python program slept on, in seconds of WATCHED_S, from when its tasks are in these states."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            eventually(lambda: states(process.pid) == list(tasks), f"its tasks are {tasks}")
            watch = SleepWatch(lambda: [process.pid], detect_layout())
            end_s = time.monotonic() + WATCHED_S
            while time.monotonic() < end_s:
                time.sleep(watch.pause_s())
                watch.look()
            return dict(watch.seconds(WATCHED_S))
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("program", "on", "tasks"),
    [
        (FUTEX, "futex", "SS"),
        (PIPE, "pipe", "S"),
        (SOCKET, "socket", "S"),
        (READY + "time.sleep(100)", "sleep", "S"),
    ],
)
def test_what_it_sleeps_on_is_told(program: str, on: str, tasks: str) -> None:
    assert watched(program, tasks) == {Asleep(on): pytest.approx(WATCHED_S)}


def test_who_runs_does_not_sleep() -> None:
    assert watched(SPIN, "R") == {}


@pytest.mark.parametrize("beside", [SPIN, READY + "time.sleep(100)"])
def test_who_is_in_a_sleep_that_no_signal_ends_is_stalled_whatever_others_do(beside: str) -> None:
    programs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, process_group=0)
        for program in (VFORK, beside)
    ]
    try:
        for each in programs:
            assert each.stdout
            each.stdout.readline()
        time.sleep(0.1)
        watch = SleepWatch(lambda: [each.pid for each in programs], detect_layout())
        watch.look()
        assert watch.stalled_tasks(WATCHED_S) == 1.0
    finally:
        for each in programs:
            os.killpg(each.pid, signal.SIGKILL)
            each.communicate()


def test_a_shell_sleeps_on_what_its_command_sleeps_on() -> None:
    program = f"import subprocess; {READY} subprocess.run(['sleep', '100'])"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        eventually(lambda: len(file.read_text().split()) == 1, "its command is there")
        child = int(file.read_text())
        sleeps = Path(f"/proc/{child}/comm")
        eventually(lambda: sleeps.read_text() == "sleep\n" and states(child) == ["S"], "the command sleeps")
        eventually(lambda: states(process.pid) == ["S"], "it waits for its command")
        watch = SleepWatch(lambda: [process.pid, child], detect_layout())
        watch.look()
        process.kill()
        os.kill(child, 9)
        assert set(watch.seconds(1.0)) == {Asleep("sleep")}


@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_who_holds_a_file_lock_is_told(tmp_path: Path, kind: str) -> None:
    """Of flock also where who took it has ended, and its child goes on to hold it."""
    file = tmp_path / "lock"
    leaves = "os.fork() and os._exit(0);" if kind == "flock" else ""
    take = f"import fcntl, os; f = open({str(file)!r}, 'w'); fcntl.{kind}(f, fcntl.LOCK_EX);"
    program = f"input();{take}{leaves}{READY} time.sleep(100)"
    with Workspace(detect_layout()) as workspace:
        group = workspace.make("holder")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", program], **pipes) as holder:  # type: ignore[call-overload]
            group.add(holder.pid)
            holder.stdin.write(b"go\n")
            holder.stdin.close()
            holder.stdout.readline()
            waiter = f"f = open({str(file)!r}, 'w');{READY} fcntl.{kind}(f, fcntl.LOCK_EX)"
            found = watched(waiter)
            group.stop()
    assert found == {Asleep("file lock", str(file), group.path): pytest.approx(WATCHED_S)}


def test_two_that_share_a_lock_file_are_no_good_verdict_and_the_holder_is_told(tmp_path: Path) -> None:
    file = tmp_path / "shared.lock"
    work = shlex.quote(f"flock {file} sleep 0.2; sleep 0.05")
    ended = run(
        *("experiment", "--victim", f"for i in 1 2; do flock {file} sleep 0.1; done"),
        *("--neighbour", f"while :; do sh -c {work}; done", "--pairs", "6", "--max-pairs", "24"),
        *("-o", str(tmp_path / "out"), "--json"),
    )
    document = json.loads(ended.out)
    assert document["verdict"] == "interference", document["reason"]
    lock = document["blocked"][0]
    assert (lock["on"], lock["what"], lock["holder"]) == ("file lock", str(file), "neighbour-1 while")
    effect = document["effect"]
    extra_s = effect["with"] - effect["without"]
    assert lock["with_s"] - lock["without_s"] == pytest.approx(extra_s, rel=0.35)
    assert f"on: file lock ({file}), held by neighbour-1 while" in document["reason"]
    assert document["quality"]["ok"] is False
    assert document["advice"][0] == Advice.OTHER_LOCK
    assert Advice.LONGER_TRIALS not in document["advice"]
