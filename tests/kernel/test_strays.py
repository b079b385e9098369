"""What a trial's commands start and do not keep: found, told and ended, whatever way it left."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.commands import start, wait_for_first
from agent.sandbox.janitor import Janitor
from agent.sandbox.strays import MARK, PAUSE_PER_COST, Strays, runs_elsewhere
from collectors.host.hierarchy import detect_layout
from tests.cli.running import LONG_S, is_running, left_behind, marked_sleep, run
from tests.kernel.situations import eventually

pytestmark = pytest.mark.kernel
ONE_PAIR = ("--pairs", "1", "--max-pairs", "1")
DAEMON = "import os, sys; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0);"
LEAVE = "[open(f, 'w').write(str(os.getpid())) for f in {files!r}];"
RUN = "os.execvp('sleep', {words!r})"


@pytest.fixture
def elsewhere() -> Iterator[Group]:
    """A cgroup that is no trial's."""
    with Workspace(detect_layout()) as workspace:
        yield workspace.make("elsewhere")


def leaving(group: Group, sleeper: str, *, env: str = "") -> str:
    """A command whose work forks twice and moves itself to another cgroup."""
    files = [str(directory / "cgroup.procs") for directory in group.directories]
    program = DAEMON + LEAVE.format(files=files) + RUN.format(words=sleeper.split())
    return f"{env} {shlex.join([sys.executable, '-c', program])}; sleep 0.4".strip()


@pytest.mark.parametrize("env", ["", "env -i"])
def test_what_left_is_told_and_ended(elsewhere: Group, env: str) -> None:
    """Without an environment it bears no mark, and is found by its ancestry."""
    sleeper = marked_sleep()
    with Workspace(detect_layout()) as workspace, Strays(workspace.name, workspace.pids) as strays:
        with strays.trial():
            command = start(leaving(elsewhere, sleeper, env=env), workspace.make("victim"), None, None, None)
            command.release()
            eventually(lambda: is_running(sleeper), "it has left")
            told = strays.found()
            wait_for_first([command], 60)
            command.close()
        assert told is not None
        assert f"left its cgroup for {elsewhere.path}" in told
        assert not is_running(sleeper)
        with strays.trial():
            assert strays.found() is None


def test_what_stays_is_none(elsewhere: Group) -> None:
    sleeper = marked_sleep()
    bystander = subprocess.Popen(marked_sleep().split())
    elsewhere.add(bystander.pid)
    with (
        Workspace(detect_layout()) as workspace,
        Strays(workspace.name, workspace.pids) as strays,
        strays.trial(),
    ):
        group = workspace.make("victim")
        command = start(f"setsid {sleeper} & exit 0", group, None, None, None)
        command.release()
        wait_for_first([command], 60)
        assert command.goes_on()
        assert strays.found() is None
        group.stop()
        command.close()
    assert not is_running(sleeper)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_the_janitor_ends_what_left_when_jostle_is_killed(elsewhere: Group) -> None:
    sleeper = marked_sleep()
    with Workspace(detect_layout()) as workspace:
        environment = {**os.environ, MARK: f"/{workspace.name}/victim"}
        with subprocess.Popen(sleeper.split(), env=environment) as stray:
            elsewhere.add(stray.pid)
            with Janitor(workspace.directories):
                pass
            assert stray.wait(LONG_S) == -signal.SIGKILL


def test_a_neighbour_that_leaves_makes_no_verdict_and_is_ended(tmp_path: Path, elsewhere: Group) -> None:
    sleeper = marked_sleep()
    neighbour = f"{leaving(elsewhere, sleeper)}; sleep 1000"
    has_left = f"grep -q . {elsewhere.directories[-1]}/cgroup.procs"
    victim = f"case $(readlink /proc/$$/fd/1) in *-with.*) until {has_left}; do sleep 0.02; done ;; esac"
    ended = run(
        *("experiment", "--victim", victim, "--neighbour", neighbour, "-o", str(tmp_path / "out")),
        *ONE_PAIR,
    )
    assert ended.code == 1
    assert f"left its cgroup for {elsewhere.path}" in ended.err
    assert left_behind(ended, sleeper) == []


def test_a_victim_that_leaves_for_a_while_makes_no_verdict(tmp_path: Path, elsewhere: Group) -> None:
    """It has come to its end when the trial has: it was seen meanwhile."""
    files = [str(directory / "cgroup.procs") for directory in elsewhere.directories]
    began_s = time.thread_time()
    Strays("nobody's", set).found()
    away_s = max(1.5, 2 * PAUSE_PER_COST * (time.thread_time() - began_s))  # twice what is between two looks
    program = f"import os, time; {LEAVE.format(files=files)} time.sleep({away_s})"
    victim = shlex.join([sys.executable, "-c", program])
    ended = run(
        *("experiment", "--victim", victim, "--neighbour", "sleep 1000", "-o", str(tmp_path / "out")),
        *ONE_PAIR,
    )
    assert ended.code == 1
    assert f"left its cgroup for {elsewhere.path}" in ended.err


def test_a_victim_that_returns_before_its_work_is_done_is_measured_to_its_end(tmp_path: Path) -> None:
    ended = run(
        *("experiment", "--victim", "setsid sleep 0.5 & exit 0", "--neighbour", "sleep 1000"),
        *("-o", str(tmp_path / "out"), "--json"),
        *ONE_PAIR,
    )
    document = json.loads(ended.out)
    assert all(0.5 <= trial["duration_s"] < 5 for trial in document["trials"])
    assert "returned before its work was done" in document["reason"]


@pytest.mark.parametrize("family", ["socket.AF_INET, '127.0.0.1', 0", "socket.AF_UNIX, 'listens', None"])
def test_a_server_that_a_victim_leaves_behind_is_not_waited_for(tmp_path: Path, family: str) -> None:
    """It listens: over TCP or a socket of UNIX."""
    kind, address, port = family.split(", ")
    place = f"({address}, {port})" if port != "None" else repr(str(tmp_path / "socket"))
    mark = marked_sleep().split()[1]
    program = (
        f"import socket, time; s = socket.socket({kind}); s.bind({place}); s.listen(); time.sleep({mark})"
    )
    server = shlex.join([sys.executable, "-c", program])
    again = f"rm -f {shlex.quote(str(tmp_path / 'socket'))}"
    ended = run(
        *("experiment", "--victim", f"{again}; {server} & sleep 1", "--neighbour", "sleep 1000"),
        *("--timeout", "60", "-o", str(tmp_path / "out"), "--json"),
        *ONE_PAIR,
    )
    document = json.loads(ended.out)
    assert all(1 <= trial["duration_s"] < 30 for trial in document["trials"])
    assert "returned before its work was done" not in document["reason"]
    assert left_behind(ended, mark) == []


def test_a_server_that_is_up_only_after_its_command_returned_is_waited_for_until_then(tmp_path: Path) -> None:
    mark = marked_sleep().split()[1]
    program = (
        "import socket, time; time.sleep(0.5); s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
        f"time.sleep({mark})"
    )
    ended = run(
        *("experiment", "--victim", f"{shlex.join([sys.executable, '-c', program])} & exit 0"),
        *("--neighbour", "sleep 1000", "--timeout", "60", "-o", str(tmp_path / "out"), "--json"),
        *ONE_PAIR,
    )
    document = json.loads(ended.out)
    assert all(0.5 <= trial["duration_s"] < 30 for trial in document["trials"])
    assert "returned before its work was done" in document["reason"]
    assert left_behind(ended, mark) == []


def test_what_does_not_end_after_its_command_is_named(tmp_path: Path) -> None:
    """However long the command took that left it."""
    left = marked_sleep()
    ended = run(
        *("experiment", "--victim", f"{left} & sleep 0.5", "--neighbour", "sleep 1000", "--timeout", "2"),
        *("-o", str(tmp_path / "out")),
        *ONE_PAIR,
    )
    assert ended.code == 1
    assert re.search(r"did not end within 2 s: sleep \(PID \d+\) went on", ended.err)
    assert left_behind(ended, left) == []


@pytest.mark.parametrize(
    ("command", "is_so"),
    [
        ("docker run --rm alpine true", True),
        ("sudo docker exec web sh -c 'stress-ng --cpu 1'", True),
        ("FOO=1 /usr/bin/podman run x", True),
        ("systemd-run --scope stress-ng --cpu 1", True),
        ("docker version", False),
        ("stress-ng --cpu 1 docker run", False),
        ("echo 'open quote", False),
    ],
)
def test_who_has_the_work_done_by_a_daemon_is_known(command: str, is_so: bool) -> None:  # noqa: FBT001  a fact
    assert runs_elsewhere(command) is is_so


def test_such_a_command_is_refused_with_what_to_do(tmp_path: Path) -> None:
    ended = run(
        "experiment", "--victim", "true", "--neighbour", "systemd-run sleep 1", "-o", str(tmp_path / "out")
    )
    assert ended.code == 2
    assert "--neighbour-cgroup" in ended.err
