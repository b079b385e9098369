"""From namespaces of its own: of processes, as a container has by default, it is refused; of time it measures right."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from probes import kernel
from tests.cli.running import JOSTLE, ROOT
from tests.kernel.situations import Situation, a_cpu, spin

pytestmark = pytest.mark.kernel
TICKS_MS = 30  # a run queue's clock may be that of the last tick, at both ends
APART = ("unshare", "--pid", "--fork", "--mount-proc")
WITH_THE_HOSTS_PROC = ("unshare", "--pid", "--fork")
# As a container has that was moved here from another host (time_namespaces(7)).
LATER = ("unshare", "--time", "--monotonic", "864000", "--boottime", "864000")


def jostle(*words: str, within: tuple[str, ...] = APART) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*within, *JOSTLE, *words],
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


def test_the_hosts_proc_in_it_changes_nothing() -> None:
    ended = jostle("blame", "/", "-d", "1", within=WITH_THE_HOSTS_PROC)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "--pid=host" in ended.stderr


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


def test_in_a_time_namespace_of_its_own_two_that_share_a_cpu_have_all_of_it(situation: Situation) -> None:
    if not Path("/proc/self/ns/time").exists():
        pytest.skip("the kernel has no time namespaces (769071ac9f20, 5.6)")
    group = situation.group("pair")
    processes = [situation.process(spin, group, {a_cpu()}) for _ in range(2)]
    before = [process.schedstat for process in processes]
    for process in processes:
        process.go()
    ended = jostle("blame", group.path, "-d", "1", "--json", within=LATER)
    books = [process.schedstat for process in processes]
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["duration_s"] < 60  # and not ten days
    # Neither sleeps: each runs or waits at any moment.
    assert found["run_ms"] + found["wait_ms"] == pytest.approx(2_000 * found["duration_s"], abs=2 * TICKS_MS)
    run_ms = sum(after.run_ns - base.run_ns for base, after in zip(before, books, strict=True)) / 1e6
    assert 0 < found["run_ms"] <= run_ms + TICKS_MS
