import subprocess
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import start
from agent.selftest.workloads.limited import Limits, memory_settings, settings
from collectors.host.hierarchy import detect_layout
from tests.agent.selftest.workloads.running import command


def limits(**changes: object) -> Limits:
    values = {
        "quota_pct": None,
        "period_ms": 100.0,
        "weight_pct": None,
        "idle": False,
        "parent": False,
        "memory_mib": None,
    }
    return Limits(**{**values, "command": ("true",), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "v1", "v2"),
    [
        ({}, [], []),
        (
            {"quota_pct": 150.0, "period_ms": 20.0},
            [("cpu.cfs_period_us", "20000"), ("cpu.cfs_quota_us", "30000")],
            [("cpu.max", "30000 20000")],
        ),
        ({"weight_pct": 1.0}, [("cpu.shares", "10")], [("cpu.weight", "1")]),
        ({"weight_pct": 0.2}, [("cpu.shares", "2")], [("cpu.weight", "1")]),
        ({"idle": True}, [("cpu.idle", "1")], [("cpu.idle", "1")]),
    ],
)
def test_what_is_written(
    asked: dict[str, object], v1: list[tuple[str, str]], v2: list[tuple[str, str]]
) -> None:
    assert list(settings(limits(**asked), "v1")) == v1
    assert list(settings(limits(**asked), "v2")) == v2


def test_a_limit_of_memory_is_its_controllers() -> None:
    asked = limits(memory_mib=1.5)
    assert list(memory_settings(asked, "v1")) == [("memory.limit_in_bytes", "1572864")]
    assert list(memory_settings(asked, "v2")) == [("memory.max", "1572864")]
    assert list(settings(asked, "v2")) == list(memory_settings(limits(), "v2")) == []


def test_a_cgroup_that_is_not_jostles_is_left_alone() -> None:
    ended = subprocess.run(
        command("limited", "--idle", "--", "true"), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "none of jostle's" in ended.stderr


@pytest.mark.kernel
@pytest.mark.parametrize("parent", [False, True])
def test_the_command_runs_under_the_limit(tmp_path: Path, *, parent: bool) -> None:
    layout = detect_layout()
    assert layout.cpu_mount is not None
    with Workspace(layout) as workspace:
        group = workspace.make("victim")
        words = ["--quota-pct", "50", *(["--parent"] if parent else []), "--", "sh", "-c", "'echo $0 done'"]
        running = start(" ".join(command("limited", *words)), group, None, tmp_path / "out", tmp_path / "err")
        running.release()
        assert running.popen.wait() == 0
        running.close()
        directory = layout.cpu_mount / (group.path if not parent else str(Path(group.path).parent))[1:]
        name = "cpu.cfs_quota_us" if layout.cpu_on == "v1" else "cpu.max"
        assert (directory / name).read_text().split()[0] == "50000"
    assert (tmp_path / "out").read_text() == "sh done\n"
