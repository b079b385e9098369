"""Experiments on what runs already: neighbours treated in short slots, within bounds, and everything back."""

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Group
from agent.sandbox.leases import LEASE_S
from collectors.host.hierarchy import detect_layout
from tests.agent.sandbox.foreign import BUSY, foreign_cgroup, host_mounts, is_frozen, outweigh
from tests.cli.running import end, eventually, is_one_line, left_behind, run, start
from tests.slowness import SLOWNESS

pytestmark = pytest.mark.kernel
SERVER = Path(__file__).with_name("small_server.py")
CHANGED = ("cpu.weight", "cpu.shares", "cpu.max", "cpu.cfs_quota_us", "cpu.idle", "cgroup.freeze")
SHORT = ("--max-stop-ms", "110", "--pairs", "4", "--max-pairs", "8")


@contextlib.contextmanager
def on_one_cpu(*scripts: str) -> Iterator[list[Group]]:
    """A cgroup for each script, all on one CPU, which they have to themselves."""
    cpu, mounts = max(os.sched_getaffinity(0)), host_mounts(detect_layout())
    with contextlib.ExitStack() as stack:
        groups = [stack.enter_context(foreign_cgroup(mounts, script)) for script in scripts]
        for group in groups:
            outweigh(*group.directories)
            for pid in group.pids():
                os.sched_setaffinity(pid, {cpu})
        yield groups


def watching(victim: Group, neighbour: Group, directory: Path, *more: str) -> list[str]:
    words = ["experiment", "--victim-cgroup", victim.path, "--neighbour-cgroup", neighbour.path]
    return [*words, "--allow-freeze", "-o", str(directory / "out"), *more]


def test_a_spinner_beside_a_running_victim_is_the_culprit_and_hardly_notices(tmp_path: Path) -> None:
    port = tmp_path / "port"
    serve = f"{sys.executable} {SERVER} {port} {tmp_path / 'log'} & while :; do :; done"
    with on_one_cpu(serve, BUSY) as (victim, neighbour):
        assert eventually(lambda: port.exists() and port.read_text() != "")
        url = f"http://127.0.0.1:{port.read_text()}"
        figures = ["stretch", f"probe-http:{url}/", f"pages=prom:{url}/metrics#pages_total"]
        words = [word for each in figures for word in ("--metric", each)]
        ended = run(*watching(victim, neighbour, tmp_path, *SHORT, *words, "--json"))
        assert not is_frozen(neighbour)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["verdict"] == "interference", found["reason"]
    assert found["causes"][0]["cause"] == "cpu-wait"
    assert found["aggressors"][0]["cgroup"] == neighbour.path
    assert [each["name"] for each in found["metrics"]] == ["probe", "pages", "cpu_ms_per_pages"]
    done = found["treatment"]
    assert (done["kind"], done["restored"]) == ("stop", True)
    assert done["stopped_pct"] <= 20
    rows = (tmp_path / "out/raw/slots.csv").read_text().splitlines()[1:]
    held_ms = [float(row.split(",")[6]) for row in rows]
    assert sum(map(bool, held_ms)) >= 4 * found["effect"]["pairs"]
    assert max(held_ms) <= done["longest_stop_ms"] + 0.1
    assert "What was done to the neighbours" in (tmp_path / "out/report.md").read_text()
    assert left_behind(ended) == []


def test_a_neighbour_that_goes_away_in_the_middle_ends_it_in_one_line(tmp_path: Path) -> None:
    with on_one_cpu(BUSY, "exec sleep 1000") as (victim, neighbour):
        process = start(*watching(victim, neighbour, tmp_path, *SHORT, "--threshold", "0.001"))
        assert eventually((tmp_path / "out/raw/trial-001-without.run").exists)
        os.kill(min(neighbour.pids()), signal.SIGKILL)
        neighbour.remove()
        ended = end(process)
    assert (ended.code, ended.out) == (1, "")
    assert is_one_line(ended.err)
    assert neighbour.path in ended.err
    assert left_behind(ended) == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--max-stop-ms", "5"], "--max-stop-ms 5"),
        (["--max-stopped-pct", "80"], "--max-stopped-pct 80"),
        (["--remedy", "quota=none"], "is not a remedy"),
        (["--remedy", "idle", "--trial-seconds", "1"], "--remedy is for short slots"),
        (["--abort-if", "probe"], "is not a limit"),
    ],
)
def test_bounds_that_are_none_are_refused_in_one_line(tmp_path: Path, more: list[str], told: str) -> None:
    with on_one_cpu("exec sleep 1000", "exec sleep 1000") as (victim, neighbour):
        ended = run(*watching(victim, neighbour, tmp_path, *more))
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert told in ended.err


@pytest.mark.slow
def test_remedies_are_ranked_and_put_back(tmp_path: Path) -> None:
    with on_one_cpu(BUSY, BUSY) as (victim, neighbour):
        files = changed_files(neighbour)
        before = [file.read_text() for file in files]
        remedies = ["--remedy", "stop", "--remedy", "weight=25", "--remedy", "quota=0.1", "--remedy", "idle"]
        words = watching(victim, neighbour, tmp_path, "--json", "--pairs", "4", "--max-pairs", "4")
        ended = run(*words, *remedies)
        assert [file.read_text() for file in files] == before
    assert ended.code == 0, ended.err
    found = {row["remedy"]: row for row in json.loads(ended.out)["remedies"]}
    assert set(found) == {"stop", "weight=25", "quota=0.1", "idle"}
    # A victim that a spinner of its weight halves: with a tenth of the CPU it has nine tenths, 1.8 times as much.
    assert found["quota=0.1"]["slowdown_pct"] == pytest.approx(80, abs=15)
    assert found["quota=0.1"]["neighbour_cpus_with"] == pytest.approx(0.1, abs=0.05)
    assert found["idle"]["slowdown_pct"] > found["quota=0.1"]["slowdown_pct"]
    assert found["stop"]["neighbour_cpus_with"] == 0
    assert "Remedies" in (tmp_path / "out/report.md").read_text()


@pytest.mark.slow
def test_an_idle_neighbour_is_never_interference(tmp_path: Path) -> None:
    with on_one_cpu(BUSY, "while :; do sleep 0.5; done") as (victim, neighbour):
        ended = run(*watching(victim, neighbour, tmp_path, "--json"))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["verdict"] in ("no-interference", "inconclusive")


def test_a_figure_at_its_limit_ends_it_at_once(tmp_path: Path) -> None:
    with on_one_cpu(BUSY, "exec sleep 1000") as (victim, neighbour):
        limit = ["--abort-if", "stretch > 0.5"]
        ended = run(*watching(victim, neighbour, tmp_path, *SHORT, *limit))
        assert not is_frozen(neighbour)
    assert (ended.code, ended.out) == (1, "")
    assert is_one_line(ended.err)
    said = re.search(r"ended by --abort-if: stretch was (\d+(\.\d+)?),", ended.err)
    assert said
    assert float(said[1]) >= 1  # it wanted more than it got, or just that
    assert left_behind(ended) == []


def test_nothing_is_touched_before_somebody_was_asked(tmp_path: Path) -> None:
    with on_one_cpu(BUSY, BUSY) as (victim, neighbour):
        ended = run("advise", victim.path, "-o", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (2, "")
    told, refused = ended.err.splitlines()
    assert neighbour.path in told
    assert "say --yes" in refused
    assert not (tmp_path / "out").exists()


def test_who_waits_for_nobody_is_told_so_and_nobody_is_touched(tmp_path: Path) -> None:
    with on_one_cpu("exec sleep 1000", BUSY) as (victim, _):
        ended = run("advise", victim.path, "-o", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert ended.err.count("\n") == 1
    assert "nothing was touched" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_would_help_is_said_in_two_minutes(tmp_path: Path) -> None:
    with on_one_cpu(BUSY, BUSY) as (victim, neighbour):
        before = [file.read_text() for file in changed_files(neighbour)]
        ended = run("advise", victim.path, "--yes", "--json", "-o", str(tmp_path / "out"))
        assert [file.read_text() for file in changed_files(neighbour)] == before
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["experiment"]["neighbours"] == [neighbour.path]
    assert found["remedies"][0]["ci95_pct"][0] > 0
    assert found["experiment"]["duration_s"] < 120 * SLOWNESS


WAYS = {
    "SIGSTOP of jostle": [("jostle", signal.SIGSTOP)],
    "SIGKILL of jostle": [("jostle", signal.SIGKILL)],
    "SIGKILL of the janitor": [("janitor", signal.SIGKILL)],
    "SIGSTOP of the janitor": [("janitor", signal.SIGSTOP)],
    "SIGKILL of both": [("jostle", signal.SIGKILL), ("janitor", signal.SIGKILL)],
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("remedy", ["stop", "quota=0.1"])
def test_whoever_dies_all_is_as_before_when_the_lease_is_over(tmp_path: Path, way: str, remedy: str) -> None:
    with on_one_cpu(BUSY, BUSY) as (victim, neighbour):
        files = changed_files(neighbour)
        before = [file.read_text() for file in files]
        process = start(*watching(victim, neighbour, tmp_path, "--remedy", remedy, "--threshold", "0.001"))
        try:
            assert eventually(lambda: [file.read_text() for file in files] != before)
            pids = {"jostle": process.pid, "janitor": janitor_of(process.pid)}
            for who, number in WAYS[way]:
                os.kill(pids[who], number)
            deadline_s = time.monotonic() + (LEASE_S + 1) * SLOWNESS
            while [file.read_text() for file in files] != before or is_frozen(neighbour):
                assert time.monotonic() < deadline_s
                time.sleep(0.005)
            if way == "SIGSTOP of jostle":
                time.sleep(0.5)
                assert [file.read_text() for file in files] == before
        finally:
            for pid in pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            process.kill()
            ended = end(process)
        assert eventually(lambda: not left_behind(ended))
        assert [file.read_text() for file in files] == before


def changed_files(neighbour: Group) -> list[Path]:
    return [d / name for d in neighbour.directories for name in CHANGED if (d / name).exists()]


def janitor_of(pid: int) -> int:
    """Its child that is the janitor."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(
        int(each)
        for each in children
        if b"agent.sandbox.janitor" in Path(f"/proc/{each}/cmdline").read_bytes()
    )


def test_what_slots_could_show_is_told_from_two_cycles_and_nothing_stays(tmp_path: Path) -> None:
    with on_one_cpu(BUSY, BUSY) as (victim, neighbour):
        ended = run(*watching(victim, neighbour, tmp_path, "--max-stop-ms", "110", "--plan", "--json"))
        assert not is_frozen(neighbour)
    assert ended.code == 0, ended.err
    power = json.loads(ended.out)["power"]
    # Twenty-four cycles of four blocks, each of which is treated for 0.05 s and more, at most a fifth of the time.
    assert power["duration_s"] > 24 * 4 * 0.05 * 5
    assert not (tmp_path / "out").exists()
    assert left_behind(ended) == []
