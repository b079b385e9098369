"""The suite itself: the same however it is started, and nothing in it waits without a limit."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).name
WITHIN_S = 300


def test_a_child_has_the_default_signals() -> None:
    done = subprocess.run(
        ["grep", "SigIgn\\|SigBlk", "/proc/self/status"],
        capture_output=True,
        text=True,
        check=True,
        timeout=WITHIN_S,
    )
    ignored_or_blocked = 0
    for line in done.stdout.splitlines():
        ignored_or_blocked |= int(line.split()[1], 16)
    ours = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)
    assert [number.name for number in ours if ignored_or_blocked >> (number - 1) & 1] == []


def test_a_socket_fits_below_a_tests_directory(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "a-socket-of-20-bytes"))


@pytest.mark.timeout(2)  # it counts from before the fixtures: so long that the test has begun by then
def test_a_test_that_waits_for_ever_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="Timeout"):
        time.sleep(WITHIN_S)


def test_every_test_has_a_limit(request: pytest.FixtureRequest) -> None:
    limit = request.node.get_closest_marker("timeout")
    assert limit is not None
    assert limit.args[0] >= WITHIN_S


@pytest.mark.parametrize(
    "before",
    ["trap '' INT HUP QUIT TERM", 'exec setsid nohup "$@" </dev/null', '("$@" & wait $!) </dev/null; exit'],
    ids=["ignored", "nohup", "background"],
)
def test_however_it_is_started(tmp_path: Path, before: str) -> None:
    long = tmp_path / ("long" * 40)
    long.mkdir()
    these = [f"{ROOT}/tests/{HERE}::{test.__name__}" for test in UNDER_ANY_START]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *these]
    done = subprocess.run(
        ["sh", "-c", f'{before}; exec "$@"', "sh", *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(long), "PYTEST_DEBUG_TEMPROOT": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert f"{len(these)} passed" in done.stdout, done.stdout + done.stderr


UNDER_ANY_START = (test_a_child_has_the_default_signals, test_a_socket_fits_below_a_tests_directory)
