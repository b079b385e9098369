"""Commands held at the gate, in cgroups of this host."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Group, Workspace
from agent.sandbox.commands import Command, start, wait_for_first
from agent.sandbox.interrupts import Interrupts
from collectors.host.hierarchy import detect_layout
from probes.errors import JostleError

pytestmark = pytest.mark.kernel
LONG_S = 60.0


@pytest.fixture
def group() -> Iterator[Group]:
    with Workspace(detect_layout()) as workspace:
        yield workspace.make("victim")


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    with Interrupts() as made:
        yield made


def ended(command: Command, interrupts: Interrupts) -> Command:
    command.release()
    assert wait_for_first([command], LONG_S, interrupts) is command
    return command


def test_nothing_of_a_command_runs_before_its_release(
    group: Group, interrupts: Interrupts, tmp_path: Path
) -> None:
    command = start(f"touch {tmp_path}/ran", group, None, None, None)
    assert command.popen.pid in group.pids()
    assert wait_for_first([command], 0.2, interrupts) is None
    assert not (tmp_path / "ran").exists()
    ended(command, interrupts).close()
    assert (tmp_path / "ran").exists()


def test_output_goes_to_files_and_input_is_empty(
    group: Group, interrupts: Interrupts, tmp_path: Path
) -> None:
    command = start("cat; echo out; echo err >&2", group, None, tmp_path / "o", tmp_path / "e")
    ended(command, interrupts).close()
    assert (tmp_path / "o").read_text() == "out\n"
    assert (tmp_path / "e").read_text() == "err\n"


def test_a_command_is_pinned_with_all_its_children(
    group: Group, interrupts: Interrupts, tmp_path: Path
) -> None:
    cpu = max(os.sched_getaffinity(0))
    command = start("grep Cpus_allowed_list /proc/self/status; :", group, [cpu], tmp_path / "o", None)
    ended(command, interrupts).close()
    assert (tmp_path / "o").read_text().split() == ["Cpus_allowed_list:", str(cpu)]


@pytest.mark.parametrize(
    ("text", "words"),
    [("exit 3", "exited with code 3"), ("kill -9 $$", "was killed by signal 9"), (":", "exited with code 0")],
)
def test_how_a_command_ended_is_told(group: Group, interrupts: Interrupts, text: str, words: str) -> None:
    command = ended(start(text, group, None, None, None), interrupts)
    command.close()
    assert command.ending() == words


def test_a_command_that_went_to_the_background_is_not_over(group: Group, interrupts: Interrupts) -> None:
    command = ended(start("sleep 1000 >&- 2>&- & exit 0", group, None, None, None), interrupts)
    assert not command.is_over()
    group.stop()
    assert command.is_over()
    command.close()


def test_a_command_that_failed_is_over_whatever_it_left(group: Group, interrupts: Interrupts) -> None:
    command = ended(start("sleep 1000 >&- 2>&- & exit 1", group, None, None, None), interrupts)
    assert command.is_over()
    group.stop()
    command.close()


def test_the_first_of_several_to_end_is_told(group: Group, interrupts: Interrupts) -> None:
    commands = [start(text, group, None, None, None) for text in ("sleep 1000", ":")]
    for command in commands:
        command.release()
    assert wait_for_first(commands, float("inf"), interrupts) is commands[1]
    group.stop()
    for command in commands:
        command.close()


def test_a_command_that_left_its_cgroup_is_killed_when_closed(group: Group) -> None:
    command = start("sleep 1000", group, None, None, None)
    for directory in group.directories:
        (directory.parent.parent / "cgroup.procs").write_text(str(command.popen.pid))
    command.release()
    group.stop()
    command.close()
    assert command.popen.returncode == -9


def test_a_cgroup_that_vanished_starts_nothing(group: Group) -> None:
    group.remove()
    with pytest.raises(JostleError, match="takes no process"):
        start("sleep 1000", group, None, None, None)


def test_an_output_file_that_cannot_be_made_starts_nothing(group: Group, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(":", group, None, tmp_path / "no/such/place", None)
    assert group.pids() == set()


def test_a_command_killed_at_the_gate_cannot_be_released(group: Group) -> None:
    command = start(":", group, None, None, None)
    group.stop()
    command.popen.wait()
    with pytest.raises(JostleError, match="killed before it could start"):
        command.release()
    command.close()
