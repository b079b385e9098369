"""`jostle record`: planned ends, other ends, and what is left of each."""

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from agent.documents.summary import RunSummary
from agent.store.run_file import Run, read_run
from probes.errors import UsageError
from tests.cli.running import (
    Ended,
    end,
    eventually,
    is_one_line,
    is_running,
    left_behind,
    marked_sleep,
    run,
    start,
)

pytestmark = pytest.mark.kernel


def record(directory: Path, *words: str) -> Ended:
    return run("record", "-o", str(directory / "a.run"), *words)


def recorded(directory: Path) -> Run:
    return read_run(directory / "a.run")


def seconds(recording: Run) -> float:
    return sum(window.duration_ns for window in recording.windows) / 1e9


def test_a_recording_holds_its_duration_in_windows(tmp_path: Path) -> None:
    ended = record(tmp_path, "-d", "500ms", "-i", "0.2s", "--json")
    assert ended.code == 0
    summary = RunSummary.from_document(json.loads(ended.out))
    assert not summary.partial
    assert summary.duration_s >= 0.5
    assert len(recorded(tmp_path).windows) <= 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.run"]


def test_a_pattern_that_nothing_matched_until_the_end_is_no_success(tmp_path: Path) -> None:
    ended = record(tmp_path, "-d", "0.2", "--cgroup", "/no/such/*", "--cgroup", "/", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert is_one_line(ended.err)
    assert f"no cgroup that matches /no/such/*, and {tmp_path}/a.run holds none" in ended.err
    assert recorded(tmp_path).windows  # kept: what was measured took its time


def test_a_name_that_matches_nothing_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    ended = record(tmp_path, "-d", "1000", "--cgroup", "hlt-web")
    assert (ended.code, ended.out) == (2, "")
    assert "no cgroup hlt-web" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_commands_words_reach_it_as_they_were_given(tmp_path: Path) -> None:
    word = "--debug é\n'\" " + "x" * 100_000
    out = str(tmp_path / "out")
    ended = record(tmp_path, "--", "sh", "-c", 'printf %s "$2$1" > "$0"', out, word, "-o")
    assert ended.code == 0
    assert Path(out).read_bytes() == b"-o" + word.encode()


def test_only_matching_cgroups_are_in_the_file(tmp_path: Path) -> None:
    ended = record(tmp_path, "--cgroup", "/jostle-*/command", "--", "sh", "-c", "exit 0")
    assert ended.code == 0
    recording = recorded(tmp_path)
    assert {path for window in recording.windows for path in window.cgroups} == {
        recording.meta["command_cgroup"]
    }


def test_a_command_is_recorded_from_its_start_to_its_end(tmp_path: Path) -> None:
    ended = record(tmp_path, "--", "sh", "-c", "echo 'from  the command'; sleep 0.3")
    assert ended.code == 0
    assert ended.out.startswith("from  the command\n")
    recording = recorded(tmp_path)
    assert not recording.partial
    assert seconds(recording) >= 0.3
    assert recording.windows[0].cgroups[recording.meta["command_cgroup"]].run_ns > 0
    assert left_behind(ended) == []


def test_a_command_prints_beside_the_document_not_into_it(tmp_path: Path) -> None:
    ended = record(tmp_path, "--json", "--", "echo", "hello")
    assert json.loads(ended.out)["schema"] == "jostle.summary/1"
    assert "hello\n" in ended.err


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("exit 3", 3, "exited with code 3"),
        ("exit 255", 255, "exited with code 255"),
        ("kill -9 $$", 137, "killed by signal 9"),
    ],
)
def test_a_command_that_fails_does_not_spoil_the_recording_and_its_code_is_passed_on(
    tmp_path: Path, command: str, code: int, told: str
) -> None:
    ended = record(tmp_path, "--", "sh", "-c", command)
    # The shell is who else passes on how a command ended.
    shell = subprocess.run(["sh", "-c", f"sh -c {shlex.quote(command)}; exit $?"], check=False)
    assert ended.code == code == shell.returncode
    assert told in ended.err
    assert not recorded(tmp_path).partial


def test_what_outlives_its_command_is_ended_and_told(tmp_path: Path) -> None:
    sleeper = marked_sleep()
    ended = record(tmp_path, "--", "sh", "-c", f"{sleeper} & (setsid {sleeper} &)")
    assert ended.code == 0
    assert "left 2 processes behind" in ended.err
    assert left_behind(ended, sleeper) == []


def test_a_duration_ends_a_command_before_its_time(tmp_path: Path) -> None:
    sleeper = marked_sleep()
    ended = record(tmp_path, "-d", "0.3", "--", *sleeper.split())
    assert ended.code == 0
    assert "before its time" in ended.err
    assert not recorded(tmp_path).partial
    assert left_behind(ended, sleeper) == []


def interrupted(directory: Path, number: signal.Signals, *words: str) -> Ended:
    process = start("record", "-o", str(directory / "a.run"), "-i", "0.1", *words)
    assert eventually(lambda: has_windows(directory / "a.run.partial"))
    os.kill(process.pid, number)
    return end(process)


def has_windows(path: Path) -> bool:
    try:
        return bool(read_run(path).windows)
    except UsageError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_duration_a_signal_is_the_planned_end(tmp_path: Path, number: signal.Signals) -> None:
    ended = interrupted(tmp_path, number)
    assert ended.code == 0
    assert "Ctrl-C ends it" in ended.err
    assert not recorded(tmp_path).partial
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.run"]


def test_with_a_duration_a_signal_leaves_a_partial_recording(tmp_path: Path) -> None:
    ended = interrupted(tmp_path, signal.SIGINT, "-d", "1000", "--json")
    assert ended.code == 130
    assert json.loads(ended.out)["partial"] is True
    assert recorded(tmp_path).partial


def test_with_a_command_a_signal_ends_it_and_leaves_a_partial_recording(tmp_path: Path) -> None:
    sleeper = marked_sleep()
    ended = interrupted(tmp_path, signal.SIGTERM, "--", *sleeper.split())
    assert ended.code == 130
    assert recorded(tmp_path).partial
    assert left_behind(ended, sleeper) == []


def test_a_killed_recording_can_still_be_reported_and_leaves_no_command(tmp_path: Path) -> None:
    sleeper = marked_sleep()
    ended = interrupted(tmp_path, signal.SIGKILL, "--", *sleeper.split())
    assert ended.code == -signal.SIGKILL
    assert eventually(lambda: not left_behind(ended, sleeper))
    assert not (tmp_path / "a.run").exists()
    again = run("report", str(tmp_path / "a.run.partial"), "-f", "json")
    assert again.code == 0
    assert json.loads(again.out)["partial"] is True


def test_two_recordings_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    commands = [marked_sleep(), marked_sleep()]
    both = [
        start("record", "-d", "0.5", "-o", str(tmp_path / f"{number}.run"), "--", *command.split())
        for number, command in enumerate(commands)
    ]
    assert [end(process).code for process in both] == [0, 0]
    paths = {read_run(tmp_path / f"{number}.run").meta["command_cgroup"] for number in range(2)}
    assert len(paths) == 2
    assert not any(map(is_running, commands))


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.run").write_text("precious")
    ended = record(tmp_path, "-d", "0.2")
    assert ended.code == 2
    assert is_one_line(ended.err)
    assert (tmp_path / "a.run").read_text() == "precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.run"]


def test_a_place_that_cannot_be_written_is_bad_usage() -> None:
    ended = run("record", "-d", "0.2", "-o", "/proc/none/a.run")
    assert ended.code == 2
    assert is_one_line(ended.err)
