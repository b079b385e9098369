"""What a process sleeps on, known because it was told to; and a verdict on two that share a lock file."""

import json
import os
import shlex
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

pytestmark = pytest.mark.kernel
WATCHED_S = 0.5
READY = "import sys, time; print('.', flush=True);"
FUTEX = READY + (
    "import threading; lock = threading.Lock(); lock.acquire(); threading.Thread(target=lock.acquire, daemon=True)"
    ".start(); lock.acquire()"
)
SOCKET = "import socket; a, b = socket.socketpair();" + READY + "a.recv(1)"
PIPE = "import os; a, b = os.pipe();" + READY + "os.read(a, 1)"
SPIN = READY + "\nwhile True: pass"


def watched(program: str) -> dict[Asleep, float]:
    """What a Python program slept on, in seconds of WATCHED_S."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            time.sleep(0.05)
            watch = SleepWatch(lambda: [process.pid], detect_layout())
            end_s = time.monotonic() + WATCHED_S
            while time.monotonic() < end_s:
                time.sleep(watch.pause_s())
                watch.look()
            return dict(watch.seconds(WATCHED_S))
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("program", "on"),
    [(FUTEX, "futex"), (PIPE, "pipe"), (SOCKET, "socket"), (READY + "time.sleep(100)", "sleep")],
)
def test_what_it_sleeps_on_is_told(program: str, on: str) -> None:
    assert watched(program) == {Asleep(on): pytest.approx(WATCHED_S)}


def test_who_runs_does_not_sleep() -> None:
    assert watched(SPIN) == {}


def test_a_shell_sleeps_on_what_its_command_sleeps_on() -> None:
    program = f"import subprocess; {READY} subprocess.run(['sleep', '100'])"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.2)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        pids = [process.pid, *map(int, children)]
        watch = SleepWatch(lambda: pids, detect_layout())
        watch.look()
        process.kill()
        os.kill(pids[1], 9)
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
            waiter = f"import fcntl; f = open({str(file)!r}, 'w');{READY} fcntl.{kind}(f, fcntl.LOCK_EX)"
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
