from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Workspace
from agent.store.run_file import RunWriter
from benchmarks.overhead import remove_leftovers
from benchmarks.peers import RUN_FILE, Tool, has_window, loaded
from collectors.host.hierarchy import detect_layout
from collectors.windows.sched import SchedWindow
from probes.errors import JostleError


def tool(command: str) -> Tool:
    return Tool(
        "a tool", "sh", lambda _: command, lambda directory: (directory / "out").exists(), uses_bpf=False
    )


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(detect_layout()) as made:
        yield made


@pytest.mark.kernel
def test_a_tool_is_stopped_and_its_files_are_gone(workspace: Workspace, tmp_path: Path) -> None:
    with loaded(tool("sleep 60"), workspace, tmp_path / "tool") as running:
        (pid,) = running.pids()
        assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
        assert running.attached_s is None
    assert not Path(f"/proc/{pid}").exists()
    assert list(tmp_path.iterdir()) == []
    assert not any((directory / "tool").exists() for directory in workspace.directories)


@pytest.mark.kernel
def test_a_tool_that_ends_early_is_an_error_with_its_words(workspace: Workspace, tmp_path: Path) -> None:
    broken = Tool("a tool", "sh", lambda _: "sh -c 'echo no BTF >&2'", lambda _: False, uses_bpf=False)
    with (
        pytest.raises(JostleError, match="a tool did not begin: no BTF"),
        loaded(broken, workspace, tmp_path / "t"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_our_recording_is_seen_once_a_window_is_committed(tmp_path: Path) -> None:
    assert not has_window(tmp_path)
    with RunWriter(tmp_path / RUN_FILE, {}) as writer:
        assert not has_window(tmp_path)
        writer.append(SchedWindow(end_ns=2, duration_ns=1, cgroups={}, cpus=(), untracked=0))
        assert has_window(tmp_path)


def test_only_what_dead_benchmarks_left_is_removed(tmp_path: Path) -> None:
    alive, dead, foreign = (
        tmp_path / name for name in ("jostle-bench-1-x", "jostle-bench-4194305-x", "other")
    )
    for directory in (alive, dead, foreign):
        directory.mkdir()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, foreign.name}
