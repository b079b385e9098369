"""From a PID namespace of its own, as a container has by default: refused with the remedy, and doctor says so."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from probes import kernel
from tests.cli.running import JOSTLE, ROOT

pytestmark = pytest.mark.kernel
APART = ("unshare", "--pid", "--fork", "--mount-proc")


def jostle(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*APART, *JOSTLE, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_host_itself_sees_all_tasks() -> None:
    assert kernel.sees_all_tasks()


@pytest.mark.parametrize(
    "words",
    [
        ["record", "-d", "1", "-o", "{out}"],
        ["record", "-d", "1", "--tier", "schedstat", "-o", "{out}"],
        ["top", "--once"],
        ["blame", "/", "-d", "1"],
        ["experiment", "--victim", "true", "--neighbour", "true", "-o", "{out}"],
        ["agent"],
    ],
    ids=["record", "record by schedstat", "top", "blame", "experiment", "agent"],
)
def test_what_would_see_only_some_tasks_is_refused(words: list[str], tmp_path: Path) -> None:
    ended = jostle(*(word.format(out=tmp_path / "out") for word in words))
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "PID namespace" in ended.stderr
    assert "--pid=host" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_doctor_says_so() -> None:
    ended = jostle("doctor", "--json")
    states = {found["name"]: found for found in json.loads(ended.stdout)["capabilities"]}
    for name in ("scheduler latency", "preemption", "run-queue length", "schedstat"):
        assert states[name]["state"] == "missing"
        assert "PID namespace" in states[name]["reason"]
        assert "--pid=host" in states[name]["remedy"]


def test_pressure_is_measured_there(tmp_path: Path) -> None:
    if not (Path("/proc/pressure")).exists():
        pytest.skip("the kernel tells no pressure")
    ended = jostle("record", "-d", "1", "--tier", "psi", "-o", str(tmp_path / "out"))
    assert ended.returncode == 0, ended.stderr
