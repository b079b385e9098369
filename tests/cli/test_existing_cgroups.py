"""Existing cgroups as victim and neighbours of real experiments: frozen by turns, and always let go again.

The victim is a command that tells from the name of its output which setting it runs in, and claims to be slow where
the neighbours are: so that there is interference for certain, and the moment of a signal is exact on any machine.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.documents.verdict import Verdict
from agent.sandbox.cgroups import Group
from collectors.host.hierarchy import detect_layout
from tests.agent.sandbox.foreign import (
    BUSY,
    cpu_ticks,
    foreign_cgroup,
    host_mounts,
    is_frozen,
    outweigh,
    outweighing,
)
from tests.cli.running import Ended, end, eventually, is_one_line, left_behind, marked_sleep, run, start

pytestmark = pytest.mark.kernel
METRIC = r"took=took (\d+):lower"
# What the contract allows a killed jostle to leave frozen for.
THAWED_WITHIN_S = 2.0
SLOW_BESIDE = "*-with.*) sleep 0.2; echo took 20 ;;"


@pytest.fixture
def neighbour() -> Iterator[Group]:
    """A busy cgroup, and its process in one below it, as containers have it."""
    with foreign_cgroup(host_mounts(detect_layout()), inner="container") as group:
        yield group


def victim(*cases: str) -> str:
    """A command that does something else by the setting of its trial."""
    return f"case $(readlink /proc/$$/fd/1) in {' '.join(cases)} *) echo took 10 ;; esac"


def freezing(directory: Path, victim_command: str, group: Group, *more: str) -> list[str]:
    words = ["experiment", "--victim", victim_command, "--metric", METRIC, "-o", str(directory / "out")]
    return [*words, "--neighbour-cgroup", group.path, "--allow-freeze", "--pairs", "2", *more]


def verdict_in(directory: Path) -> Verdict:
    return Verdict.from_document(json.loads((directory / "out/verdict.json").read_text()))


def runs_on(group: Group) -> bool:
    before = cpu_ticks(group)
    return not is_frozen(group) and eventually(lambda: cpu_ticks(group) > before)


def events_of(group: Group) -> str:
    """The state of the cgroup's freezer, for a shell to read."""
    return f"{group.directories[0]}/cgroup.events"


def test_a_neighbour_is_frozen_in_the_trials_without_it_alone(tmp_path: Path, neighbour: Group) -> None:
    command = f"cat {events_of(neighbour)}; {victim(SLOW_BESIDE)}"
    ended = run(*freezing(tmp_path, command, neighbour, "--json"))
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document["verdict"] == "interference"
    assert document["experiment"]["neighbours"] == [neighbour.path]
    for path in (tmp_path / "out/raw").glob("trial-*.stdout"):
        assert f"frozen {int('without' in path.name)}" in path.read_text()
    assert runs_on(neighbour)
    assert left_behind(ended) == []


def test_all_of_a_neighbour_is_blamed_together_and_by_its_own_name(tmp_path: Path, neighbour: Group) -> None:
    cpu = str(max(os.sched_getaffinity(0)))
    for pid in neighbour.pids():
        os.sched_setaffinity(pid, {int(cpu)})
    outweigh(*neighbour.directories)  # as jostle's own are to: nobody else is to be in the figures
    busy = f"{outweighing(host_mounts(detect_layout()))}; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    # What it prints decides that there is an effect, however the host's speed swings; its waits whose doing it is.
    ended = run(*freezing(tmp_path, f"{busy}; {victim(SLOW_BESIDE)}", neighbour, "--cpus", cpu, "--json"))
    assert ended.code == 0
    first = json.loads(ended.out)["aggressors"][0]
    assert (first["cgroup"], first["name"]) == (neighbour.path, neighbour.path[1:])


def test_each_suspect_is_stopped_alone(tmp_path: Path, neighbour: Group) -> None:
    # Stopped alone, only the existing cgroup gives the time back; the command neighbour is not started then.
    idle = marked_sleep()
    guilty = f"*-stopped.*) grep -q 'frozen 1' {events_of(neighbour)} && echo took 10 || echo took 20 ;;"
    words = freezing(
        tmp_path, victim(SLOW_BESIDE, guilty), neighbour, "--neighbour", idle, "--confirm", "--json"
    )
    ended = run(*words)
    assert ended.code == 0
    document = json.loads(ended.out)
    confirmed = {entry["cgroup"]: entry for entry in document["confirmed"]}
    assert confirmed[neighbour.path]["slowdown_pct"] == pytest.approx(100)
    started = next(entry for path, entry in confirmed.items() if path.endswith("/neighbour-1"))
    assert started["slowdown_pct"] == pytest.approx(0)
    assert f"stopping {neighbour.path[1:]} alone confirms it" in document["reason"]
    report = (tmp_path / "out/report.md").read_text()
    assert "Each suspect stopped alone" in report
    assert runs_on(neighbour)
    assert left_behind(ended, idle) == []


def test_nothing_is_confirmed_without_interference(tmp_path: Path, neighbour: Group) -> None:
    ended = run(*freezing(tmp_path, "echo took 10", neighbour, "--max-pairs", "2", "--confirm", "--json"))
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document["verdict"] == "inconclusive"
    assert "confirmed" not in document
    assert "--confirm: the verdict is inconclusive, so nobody was stopped alone" in ended.err
    assert len(list((tmp_path / "out/raw").glob("*.run"))) == 4


def in_the_middle_of_confirming(directory: Path, neighbour: Group, action: str) -> list[str]:
    """What jostle does; in the first trial that has the neighbour's cgroup frozen alone, `action` runs."""
    act = f"*-stopped.*) grep -q 'frozen 1' {events_of(neighbour)} && {{ {action}; }}; echo took 20 ;;"
    return freezing(directory, victim(SLOW_BESIDE, act), neighbour, "--confirm")


def test_a_jostle_killed_while_it_confirms_leaves_nothing_frozen_running_or_made(
    tmp_path: Path, neighbour: Group
) -> None:
    sleeper, idle = marked_sleep(), marked_sleep()
    words = in_the_middle_of_confirming(tmp_path, neighbour, f"kill -KILL $PPID; {sleeper}")
    ended = run(*words, "--neighbour", idle)
    deadline_s = time.monotonic() + THAWED_WITHIN_S
    assert ended.code == -signal.SIGKILL
    while is_frozen(neighbour):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert eventually(
        lambda: not left_behind(ended, sleeper, idle)
    )  # to look through all processes takes its time
    assert runs_on(neighbour)


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_while_it_confirms_keeps_the_verdict_and_thaws(
    tmp_path: Path, neighbour: Group, name: str
) -> None:
    sleeper, idle = marked_sleep(), marked_sleep()
    words = in_the_middle_of_confirming(tmp_path, neighbour, f"kill -{name} $PPID; {sleeper}")
    ended = run(*words, "--neighbour", idle, "--json")
    assert ended.code == 130
    document = json.loads(ended.out)
    assert (document["verdict"], document["partial"]) == ("interference", True)
    assert any("interrupted" in warning for warning in document["quality"]["warnings"])
    assert not is_frozen(neighbour)
    assert runs_on(neighbour)
    assert left_behind(ended, sleeper, idle) == []


def test_ctrl_c_of_the_whole_process_group_thaws_too(tmp_path: Path, neighbour: Group) -> None:
    sleeper, now = marked_sleep(), tmp_path / "now"
    process = start(*in_the_middle_of_confirming(tmp_path, neighbour, f"touch {now}; {sleeper}"))
    assert eventually(now.exists)
    assert is_frozen(neighbour)
    os.killpg(process.pid, signal.SIGINT)
    ended = end(process)
    assert ended.code == 130
    assert runs_on(neighbour)
    assert left_behind(ended, sleeper) == []


@pytest.mark.parametrize(
    ("action", "code"), [(":", 0), ("kill -TERM $PPID", 130), ("kill -KILL $PPID", -signal.SIGKILL)]
)
def test_a_bystander_that_is_frozen_runs_again_whatever_happens(
    tmp_path: Path, action: str, code: int
) -> None:
    # It works when it is asked, and the neighbour asks: so it is there in the trials with the neighbour alone.
    questions, froze, sleeper = tmp_path / "questions", tmp_path / "froze", marked_sleep()
    os.mkfifo(questions)
    mounts, cpu = host_mounts(detect_layout()), max(os.sched_getaffinity(0))
    works = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
    answering = f"while :; do read _ < {questions} && {{ {works}; }}; done"
    asking = f"trap '' PIPE; while :; do echo > {questions}; done 2>/dev/null"
    with foreign_cgroup(mounts, answering) as bystander:
        os.sched_setaffinity(min(bystander.pids()), {cpu})
        outweigh(*bystander.directories)  # as the victim is to: nobody else is to be blamed
        then = action if code == 0 else f"{action}; {sleeper}"
        when_frozen = f"grep -q 'frozen 1' {events_of(bystander)} && {{ touch {froze}; {then}; }}"
        claims = victim(SLOW_BESIDE, f"*-stopped.*) {when_frozen}; echo took 20 ;;")
        words = ["experiment", "--victim", f"{outweighing(mounts)}; {works}; {claims}"]
        words += ["--metric", METRIC, "--neighbour", asking, "--cpus", str(cpu), "--pairs", "2"]
        ended = run(*words, "--confirm", "--allow-freeze", "-o", str(tmp_path / "out"))
        assert ended.code == code, ended.err
        assert froze.exists(), ended.out
        assert eventually(lambda: not is_frozen(bystander) and not left_behind(ended, sleeper))
        if code == 0:
            assert bystander.path in {entry.cgroup for entry in verdict_in(tmp_path).confirmed or ()}
        with subprocess.Popen(["sh", "-c", asking]) as asks:
            assert runs_on(bystander)
            asks.kill()


def test_a_neighbour_thawed_by_somebody_else_makes_the_trial_void(tmp_path: Path, neighbour: Group) -> None:
    thawed = tmp_path / "thawed"
    meddle = f"*-without.*) [ -e {thawed} ] || {{ touch {thawed}; echo 0 > {neighbour.directories[0]}/cgroup.freeze; }}"
    # The warm-up is the first trial without neighbours, and counts for nothing.
    warm_up = "*-000-*) echo took 10 ;;"
    command = victim(warm_up, SLOW_BESIDE, f"{meddle}; sleep 0.2; echo took 10 ;;")
    ended = run(*freezing(tmp_path, command, neighbour))
    assert ended.code == 0
    assert "was thawed by somebody else" in ended.err
    assert verdict_in(tmp_path).quality.discarded == 1
    assert runs_on(neighbour)


def test_a_neighbour_that_goes_away_midway_ends_it_in_one_line(tmp_path: Path) -> None:
    with foreign_cgroup(host_mounts(detect_layout()), "exec sleep 1000") as group:
        kill = f"*-000-*) kill -KILL {min(group.pids())}; sleep 0.2; rmdir {' '.join(map(str, group.directories))} ;;"
        ended = run(*freezing(tmp_path, f"{victim(kill)}; echo took 10", group))
    assert (ended.code, ended.out) == (1, "")
    assert is_one_line(ended.err)
    assert f"{group.path} is gone" in ended.err
    assert left_behind(ended) == []


def watching(directory: Path, group: Group, *more: str) -> Ended:
    words = ["experiment", "--victim-cgroup", group.path, "--trial-seconds", "0.4"]
    return run(*words, "-o", str(directory / "out"), *more)


def test_a_watched_cgroup_is_slowed_by_its_stretch(tmp_path: Path, neighbour: Group) -> None:
    cpu = max(os.sched_getaffinity(0))
    for pid in neighbour.pids():
        os.sched_setaffinity(pid, {cpu})
    outweigh(*neighbour.directories)  # as jostle's own are to: nobody else is to be in the figures
    beside = f"{outweighing(host_mounts(detect_layout()))}; {BUSY}"
    ended = watching(tmp_path, neighbour, "--neighbour", beside, "--cpus", str(cpu), "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document["verdict"] == "interference", document["reason"]
    assert document["victim_cgroup"] == neighbour.path
    assert (document["effect"]["metric"], document["effect"]["better"]) == ("stretch", "lower")
    assert document["causes"][0]["cause"] == "cpu-wait"
    assert document["aggressors"][0]["name"] == "neighbour-1 for"
    assert any("caches, memory or disks" in warning for warning in document["quality"]["warnings"])
    assert runs_on(neighbour)
    assert left_behind(ended) == []


def test_a_watched_cgroup_that_does_nothing_says_nothing(tmp_path: Path) -> None:
    with foreign_cgroup(host_mounts(detect_layout()), "sleep 1000") as group:
        ended = watching(tmp_path, group, "--neighbour", "sleep 1000")
    assert ended.code == 1
    last = ended.err.splitlines(keepends=True)[-1]
    assert is_one_line(last)
    assert "give it load" in last


def test_a_watched_cgroup_that_vanishes_ends_it_in_one_line(tmp_path: Path) -> None:
    with foreign_cgroup(host_mounts(detect_layout())) as group:
        directories = " ".join(map(str, group.directories))
        assassin = f"kill -KILL {min(group.pids())}; sleep 0.1; rmdir {directories}; sleep 1000"
        ended = watching(tmp_path, group, "--neighbour", assassin)
    assert ended.code == 1
    assert is_one_line(ended.err.splitlines(keepends=True)[-1])
    assert f"{group.path} is gone" in ended.err
    assert left_behind(ended) == []


def quota_of(group: Group) -> tuple[Path, str]:
    """The file that caps the cgroup on this host, and what it says."""
    names = ("cpu.max", "cpu.cfs_quota_us")
    file = next(d / name for d in group.directories for name in names if (d / name).exists())
    return file, file.read_text()


def sweeping(directory: Path, neighbour: Group, action: str) -> list[str]:
    """A sweep; in the first trial at half of the CPUs the victim writes down the quota and does `action`."""
    file, _ = quota_of(neighbour)
    at_half = f"*-level-50.*) cat {file}; {action}; echo took 15 ;;"
    return freezing(directory, victim(SLOW_BESIDE, at_half), neighbour, "--sweep", "0,50,100")


def test_a_sweep_runs_the_neighbours_under_a_quota_and_lifts_it(tmp_path: Path, neighbour: Group) -> None:
    file, before = quota_of(neighbour)
    ended = run(*sweeping(tmp_path, neighbour, ":"), "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert [point["level_pct"] for point in document["sweep"]] == [0, 50, 100]
    assert [point["slowdown_pct"] for point in document["sweep"]] == pytest.approx([0, 50, 100])
    cpus = len(os.sched_getaffinity(0))
    assert f"the lowest level of 50 % of {cpus} CPUs" in document["reason"]
    seen = {path.read_text().split()[0] for path in (tmp_path / "out/raw").glob("*-level-50.stdout")}
    assert seen == {str(50_000 * cpus)}
    assert file.read_text() == before
    assert "Slowdown by intensity of the neighbours" in (tmp_path / "out/report.md").read_text()
    assert runs_on(neighbour)
    assert left_behind(ended) == []


def test_a_jostle_killed_in_a_sweep_lifts_the_quota(tmp_path: Path, neighbour: Group) -> None:
    file, before = quota_of(neighbour)
    sleeper = marked_sleep()
    ended = run(*sweeping(tmp_path, neighbour, f"kill -KILL $PPID; {sleeper}"))
    assert ended.code == -signal.SIGKILL
    assert eventually(lambda: file.read_text() == before and not left_behind(ended, sleeper))
    assert runs_on(neighbour)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--victim", "true", "--neighbour-cgroup", "X"], "say --allow-freeze"),
        (["--victim", "true", "--neighbour-cgroup", "X", "--neighbour-cgroup", "X/"], "is given twice"),
        (
            ["--victim", "true", "--neighbour-cgroup", "X", "--neighbour-cgroup", "X/container"],
            "contains the other",
        ),
        (["--victim", "true", "--neighbour-cgroup", "/"], "/ is the root cgroup"),
        (["--victim", "true", "--neighbour-cgroup", "/nosuch"], "there is no cgroup /nosuch"),
        (["--victim-cgroup", "X", "--neighbour-cgroup", "X"], "contains the victim"),
        (["--victim-cgroup", "X/container", "--neighbour-cgroup", "X"], "contains the victim"),
        (["--victim-cgroup", "X", "--neighbour-cgroup", "X/container"], "is part of the victim"),
        (["--victim-cgroup", "/nosuch", "--neighbour", "true"], "there is no cgroup /nosuch"),
        (["--victim-cgroup", "X", "--victim", "true", "--neighbour", "true"], "one victim"),
        (
            ["--victim-cgroup", "X", "--neighbour", "true", "--metric", "duration"],
            "cannot be read of a cgroup",
        ),
        (
            ["--victim-cgroup", "X", "--neighbour", "true", "--metric", r"a=(\d):lower"],
            "cannot be read of a cgroup",
        ),
        (["--victim-cgroup", "X", "--neighbour", "true", "--trial-seconds", "0"], "--trial-seconds 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    tmp_path: Path, neighbour: Group, words: list[str], told: str
) -> None:
    named = [word.replace("X", neighbour.path) if word.startswith("X") else word for word in words]
    allow = [] if "allow-freeze" in told else ["--allow-freeze"]
    ended = run("experiment", *named, *allow, "-o", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert told in ended.err
    assert not (tmp_path / "out").exists()
    assert not is_frozen(neighbour)


def test_a_cgroup_with_jostle_in_it_is_refused(tmp_path: Path, neighbour: Group) -> None:
    join = " && ".join(f"echo $$ > {directory}/cgroup.procs" for directory in neighbour.directories)
    process = start_in_shell(join, freezing(tmp_path, "true", neighbour))
    assert process.code == 2
    assert is_one_line(process.err)
    assert "contains jostle itself" in process.err


def test_a_neighbour_that_is_frozen_is_refused_and_left_so(tmp_path: Path, neighbour: Group) -> None:
    (neighbour.directories[0] / "cgroup.freeze").write_text("1")
    assert eventually(lambda: is_frozen(neighbour))
    ended = run(*freezing(tmp_path, "true", neighbour))
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert "is frozen already" in ended.err
    assert is_frozen(neighbour)


def start_in_shell(before: str, words: list[str]) -> Ended:
    """A jostle whose shell did something before it became jostle."""
    import shlex
    import subprocess

    from tests.cli.running import JOSTLE, ROOT

    script = f"{before} && exec {shlex.join([*JOSTLE, *words])}"
    done = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return Ended(0, done.returncode, done.stdout, done.stderr)
