"""Cgroups of this host, frozen and thawed; whether they stand still is asked of their processes' CPU time."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Group
from agent.sandbox.freezer import DidNotFreezeError, Freezer, find_freezer, v2_freezer
from agent.sandbox.janitor import Janitor
from collectors.host.hierarchy import CgroupLayout, detect_layout
from probes.errors import JostleError
from tests.agent.sandbox.foreign import cpu_ticks, foreign_cgroup, is_frozen
from tests.cli.running import eventually

pytestmark = pytest.mark.kernel


@pytest.fixture
def janitor() -> Iterator[Janitor]:
    with Janitor(()) as running:
        yield running


@pytest.fixture
def freezer_mount(tmp_path: Path) -> Iterator[Path]:
    """The v1 freezer's hierarchy, which any kernel that has it can mount once more."""
    mounted = subprocess.run(
        ["mount", "-t", "cgroup", "-o", "freezer", "none", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this kernel has no v1 freezer")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def stands_still(group: Group) -> bool:
    before = cpu_ticks(group)
    time.sleep(0.1)
    return cpu_ticks(group) == before


def found(group: Group, layout: CgroupLayout) -> Freezer:
    freezer = find_freezer(group.path, layout)
    assert freezer is not None
    return freezer


def stops_and_goes_on(group: Group, freezer: Freezer, janitor: Janitor) -> bool:
    with freezer.hold(janitor):
        held = freezer.is_frozen() and stands_still(group)
    before = cpu_ticks(group)
    return held and not freezer.is_frozen() and eventually(lambda: cpu_ticks(group) > before)


@pytest.mark.parametrize("inner", ["", "pod/container"])
def test_a_v2_cgroup_stops_with_all_below_it_and_goes_on(janitor: Janitor, inner: str) -> None:
    layout = detect_layout()
    assert layout.v2_mount
    with foreign_cgroup([layout.v2_mount], inner=inner) as group:
        freezer = found(group, layout)
        assert freezer.file.name == "cgroup.freeze"
        assert stops_and_goes_on(group, freezer, janitor)


@pytest.mark.parametrize("inner", ["", "pod/container"])
def test_a_cgroup_that_is_in_v1_alone_is_frozen_by_the_v1_freezer(
    janitor: Janitor, freezer_mount: Path, inner: str
) -> None:
    layout = replace(detect_layout(), v1_mounts={"freezer": freezer_mount})
    with foreign_cgroup([freezer_mount], inner=inner) as group:
        freezer = found(group, layout)
        assert freezer.file.name == "freezer.state"
        assert stops_and_goes_on(group, freezer, janitor)


def test_an_empty_v2_twin_is_not_mistaken_for_the_cgroup(freezer_mount: Path) -> None:
    layout = replace(detect_layout(), v1_mounts={"freezer": freezer_mount})
    assert layout.v2_mount
    with foreign_cgroup([freezer_mount], "sleep 1000") as group:
        twin = layout.v2_mount / group.path[1:]
        twin.mkdir()
        try:
            assert found(group, layout).file.name == "freezer.state"
        finally:
            twin.rmdir()


def test_a_part_that_was_frozen_before_stays_so(janitor: Janitor) -> None:
    layout = detect_layout()
    assert layout.v2_mount
    with foreign_cgroup([layout.v2_mount], inner="part") as group:
        part = Group(f"{group.path}/part", (group.directories[0] / "part",))
        (part.directories[0] / "cgroup.freeze").write_text("1")
        with found(group, layout).hold(janitor):
            pass
        assert is_frozen(part)
        assert stands_still(part)


def test_a_cgroup_in_no_hierarchy_that_freezes_has_no_freezer(tmp_path: Path) -> None:
    layout = replace(detect_layout(), v2_mount=tmp_path, v1_mounts={})
    assert find_freezer("/nosuch", layout) is None


def test_what_does_not_freeze_is_told_and_thawed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, janitor: Janitor
) -> None:
    monkeypatch.setattr("agent.sandbox.freezer.FREEZE_TIMEOUT_S", 0.05)
    (tmp_path / "cgroup.freeze").write_text("0")
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    with pytest.raises(DidNotFreezeError, match="did not freeze"), v2_freezer(tmp_path).hold(janitor):
        pass
    assert (tmp_path / "cgroup.freeze").read_text() == "0"


def test_nothing_is_frozen_when_nobody_could_thaw_it(tmp_path: Path, janitor: Janitor) -> None:
    (tmp_path / "cgroup.freeze").write_text("0")
    janitor._process.kill()
    janitor._process.wait()
    killed = pytest.raises(JostleError, match="cleans up after jostle was killed")
    with killed, v2_freezer(tmp_path).hold(janitor):
        pass
    assert (tmp_path / "cgroup.freeze").read_text() == "0"


def test_a_cgroup_that_goes_while_it_is_frozen_needs_no_thawing(janitor: Janitor, tmp_path: Path) -> None:
    (tmp_path / "cgroup.freeze").write_text("0")
    (tmp_path / "cgroup.events").write_text("frozen 1\n")
    with v2_freezer(tmp_path).hold(janitor):
        (tmp_path / "cgroup.freeze").unlink()
    assert not (tmp_path / "cgroup.freeze").exists()
