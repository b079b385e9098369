"""Cgroups of our own, in this host's real hierarchies; and what can be shown on plain files."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Group, Workspace, enable
from collectors.host.hierarchy import CgroupLayout, detect_layout
from probes.errors import HostError, JostleError


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(detect_layout()) as made:
        yield made


def sleeper(group: Group) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(["sleep", "1000"])
    group.add(process.pid)
    return process


@pytest.mark.kernel
def test_a_workspace_leaves_no_directory_behind_even_nested_ones() -> None:
    with Workspace(detect_layout()) as workspace:
        group = workspace.make("victim")
        for directory in group.directories:
            (directory / "a/b").mkdir(parents=True)
        assert all(directory.is_dir() for directory in workspace.directories)
    assert not any(directory.exists() for directory in workspace.directories)


@pytest.mark.kernel
def test_leaving_a_workspace_kills_what_runs_in_its_nested_cgroups() -> None:
    with Workspace(detect_layout()) as workspace:
        nested = Group("", tuple(d / "a" for d in workspace.make("victim").directories))
        for directory in nested.directories:
            directory.mkdir()
        process = sleeper(nested)
    assert process.wait() == -9
    assert not any(directory.exists() for directory in workspace.directories)


@pytest.mark.kernel
def test_stopping_a_group_ends_a_process_that_ignores_sigterm(workspace: Workspace) -> None:
    group = workspace.make("neighbour-1")
    process = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo; while :; do sleep 1000; done"], stdout=subprocess.PIPE
    )
    with process:
        group.add(process.pid)
        assert process.stdout is not None
        process.stdout.readline()
        assert group.pids() >= {process.pid}
        group.stop(grace_s=0.1)
        assert group.pids() == set()


@pytest.mark.kernel
def test_a_group_that_vanished_takes_no_process(workspace: Workspace) -> None:
    group = workspace.make("victim")
    group.remove()
    with pytest.raises(JostleError, match="takes no process"):
        group.add(os.getpid())
    assert group.pids() == set()
    group.stop()
    group.remove()


@pytest.mark.kernel
def test_two_workspaces_of_one_process_do_not_meet(workspace: Workspace) -> None:
    with Workspace(detect_layout()) as other:
        assert other.name != workspace.name


def test_a_host_without_hierarchies_is_told_so() -> None:
    with pytest.raises(HostError, match="no cgroup hierarchy"):
        Workspace(CgroupLayout("v2", None, {}, None, None))


def test_a_hierarchy_that_cannot_be_written_is_the_hosts_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    layout = CgroupLayout("v2", tmp_path / "file", {}, None, None)
    with pytest.raises(HostError, match=r"cannot make cgroups \(Not a directory"), Workspace(layout):
        pass


@pytest.mark.parametrize(("before", "changes"), [("", True), ("memory pids", True), ("cpuset cpu\n", False)])
def test_the_cpu_controller_is_enabled_only_where_it_is_not(
    tmp_path: Path, before: str, *, changes: bool
) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text(before)
    assert enable(tmp_path, "cpu") is changes
    assert control.read_text() == ("+cpu" if changes else before)


def test_a_process_of_another_pid_namespace_is_never_signalled(tmp_path: Path) -> None:
    # The kernel shows it as 0, and kill(0, …) would end this very test run.
    (tmp_path / "cgroup.procs").write_text("0\n17\n0\n")
    assert Group("/x", (tmp_path,)).pids() == {17}
