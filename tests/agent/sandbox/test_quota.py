"""A neighbour's quota: read and written as the kernel of either version wants it, and back again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Workspace
from agent.sandbox.commands import start
from agent.sandbox.janitor import Janitor
from agent.sandbox.quota import cpus_allowed, find_quota
from collectors.host.hierarchy import detect_layout
from probes.errors import HostError
from tests.agent.sandbox.foreign import BUSY
from tests.cli.running import eventually


@pytest.fixture
def janitor() -> Iterator[Janitor]:
    with Janitor(()) as running:
        yield running


def cgroup(directory: Path, **files: str) -> tuple[Path, ...]:
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)
    return (directory,)


@pytest.mark.parametrize(
    ("files", "cpus", "written"),
    [
        ({"cpu__max": "max 100000\n"}, 4.0, ("cpu.max", "50000 100000", "max 100000")),
        ({"cpu__max": "150000 100000\n"}, 1.5, ("cpu.max", "50000 100000", "150000 100000")),
        (
            {"cpu__cfs_quota_us": "-1\n", "cpu__cfs_period_us": "10000\n"},
            4.0,
            ("cpu.cfs_quota_us", "5000", "-1"),
        ),
        (
            {"cpu__cfs_quota_us": "20000\n", "cpu__cfs_period_us": "100000\n"},
            0.2,
            ("cpu.cfs_quota_us", "50000", "20000"),
        ),
    ],
)
def test_a_quota_is_set_for_a_trial_and_put_back(
    tmp_path: Path, janitor: Janitor, files: dict[str, str], cpus: float, written: tuple[str, str, str]
) -> None:
    quota = find_quota("/x", cgroup(tmp_path, **files), 4)
    assert quota.cpus == pytest.approx(cpus)
    name, during, after = written
    with quota.capped(0.5, janitor):
        assert (tmp_path / name).read_text() == during
    assert (tmp_path / name).read_text() == after


def test_an_ancestors_quota_bounds_what_a_cgroup_may_use(tmp_path: Path) -> None:
    cgroup(tmp_path, cpu__max="70000 100000\n")
    (tmp_path / "slice/unit").mkdir(parents=True)
    cgroup(tmp_path / "slice", cpu__max="max 100000\n")
    quota = find_quota("/x", cgroup(tmp_path / "slice/unit", cpu__max="200000 100000\n"), 4)
    assert quota.cpus == pytest.approx(0.7)


def test_no_quota_is_below_what_the_kernel_takes(tmp_path: Path, janitor: Janitor) -> None:
    quota = find_quota("/x", cgroup(tmp_path, cpu__max="max 100000"), 4)
    with quota.capped(0.0001, janitor):
        assert (tmp_path / "cpu.max").read_text() == "1000 100000"


def test_a_cgroup_without_the_cpu_controller_cannot_be_capped(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"neither cpu\.max nor cpu\.cfs_quota_us"):
        find_quota("/x", (tmp_path,), 4)


def test_processes_that_are_gone_may_run_nowhere() -> None:
    assert cpus_allowed([2**22 + 1]) == 0
    assert cpus_allowed([0]) >= 1


@pytest.mark.kernel
def test_the_kernel_holds_a_capped_cgroup_back() -> None:
    with Workspace(detect_layout()) as workspace, Janitor(()) as janitor:
        group = workspace.make("neighbour-1")
        stats = [path for path in (one / "cpu.stat" for one in group.directories) if path.exists()]
        with find_quota(group.path, group.directories, 2).capped(0.1, janitor):
            command = start(BUSY, group, None, None, None)
            command.release()
            assert eventually(lambda: any(int(_throttled(path)) > 2 for path in stats))
        group.stop()
        command.close()


def _throttled(path: Path) -> str:
    fields = dict(line.split() for line in path.read_text().splitlines())
    return fields.get("nr_throttled", "0")
