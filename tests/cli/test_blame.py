"""`jostle blame`: from a recording, and of real cgroups, beside the kernel's own books."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from agent.documents.blame import BlameSummary, Charge
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM
from tests.cli.running import end, eventually, is_one_line, run, start, watches
from tests.cli.test_report import HINDERED, recorded
from tests.collectors.sources.test_tasks import named_spin
from tests.kernel.situations import Situation, a_cpu, spin


def test_a_recording_is_asked(tmp_path: Path) -> None:
    path = str(recorded(tmp_path / "a.run", HINDERED))
    ended = run("blame", VICTIM, "--run", path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"BLAME: {VICTIM} waited 1,620 ms for a CPU in 4 s")
    assert " 98.8 %" in ended.out.splitlines()[1]
    assert NEIGHBOUR in ended.out


def test_json_is_the_document(tmp_path: Path) -> None:
    path = str(recorded(tmp_path / "a.run", HINDERED))
    ended = run("blame", "victim", "--run", path, "--json")
    found = BlameSummary.from_document(json.loads(ended.out))
    assert [part.cgroup for part in found.parts][:1] == [NEIGHBOUR]
    assert sum(part.share_pct for part in found.parts) == pytest.approx(100)


def test_a_cgroup_that_is_not_in_the_recording_is_bad_input_with_those_near_it(tmp_path: Path) -> None:
    ended = run("blame", "victm", "--run", str(recorded(tmp_path / "a.run")))
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert VICTIM in ended.err


@pytest.mark.kernel
def test_shares_of_real_cgroups_are_those_of_the_kernels_books(tmp_path: Path) -> None:
    with Situation() as situation:
        ours, theirs = situation.group("ours"), situation.group("theirs")
        inner = situation.group("inner", parent=ours)
        mine = [situation.process(spin, group, {a_cpu()}) for group in (ours, inner)]
        other = situation.process(spin, theirs, {a_cpu()})
        for process in situation.processes:
            process.go()
        began_s = time.monotonic()
        ended = run("blame", ours.path, "-d", "3", "--json", cwd=tmp_path)
        took_s = time.monotonic() - began_s
        ours_ns = sum(process.schedstat.run_ns for process in mine)
        theirs_ns = other.schedstat.run_ns
    found = BlameSummary.from_document(json.loads(ended.out))
    waits_ms = {part.cgroup or part.charge: part.wait_ms for part in found.parts}
    # Both wait while the other cgroup runs, and each while the other of its own does.
    assert waits_ms[theirs.path] / waits_ms[Charge.SELF] == pytest.approx(2 * theirs_ns / ours_ns, rel=0.1)
    assert 2.99 <= found.duration_s <= took_s


@pytest.mark.kernel
def test_a_busy_process_of_the_root_cgroup_is_named_also_in_a_recording(tmp_path: Path) -> None:
    with Situation() as situation:
        ours = situation.group("ours")
        situation.process(spin, ours, {a_cpu()})
        other = situation.process(named_spin, cpus={a_cpu()})
        for mount in {situation.layout.v2_mount, situation.layout.v1_mounts.get("cpu")} - {None}:
            (Path(str(mount)) / "cgroup.procs").write_text(str(other.pid))
        for process in situation.processes:
            process.go()
        begun_ns = other.schedstat.run_ns
        watched = run("blame", ours.path, "-d", "2", "--json", cwd=tmp_path)
        ran_ms = (other.schedstat.run_ns - begun_ns) / 1e6
        assert run("record", "-d", "2", "-o", "a.run", "--json", cwd=tmp_path).code == 0
        asked = run("blame", ours.path, "--run", "a.run", "--json", cwd=tmp_path)
        name = Path(f"/proc/{other.pid}/comm").read_text().strip()
    run_ms = []
    for ended in (watched, asked):
        found = BlameSummary.from_document(json.loads(ended.out))
        root = next(part for part in found.parts if part.cgroup == "/")
        tasks = {task.name: task for task in root.within or ()}
        assert tasks[name].pid == other.pid
        run_ms.append(tasks[name].run_ms)
        # While it waited for them they ran.
        assert root.wait_ms * 0.9 <= sum(task.run_ms for task in tasks.values())
        assert sum(task.share_pct for task in tasks.values()) <= 100.1
    assert run_ms[0] <= ran_ms
    assert min(run_ms) > 0


@pytest.mark.kernel
def test_an_interrupt_shows_what_was_seen_so_far(tmp_path: Path) -> None:
    process = start("blame", "/", "-d", "1000", "--json", cwd=tmp_path)
    assert eventually(lambda: watches(process.pid))
    os.kill(process.pid, signal.SIGINT)
    ended = end(process)
    assert ended.code == 130
    assert json.loads(ended.out)["partial"] is True
