"""Which existing cgroups may be frozen, on a laid-out tree of both kinds of hierarchy."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.documents.verdict import Aggressor, CauseKind
from agent.experiment.follow_ups import bystanders
from agent.sandbox.existing import find_cgroup, find_neighbours, find_victim
from collectors.host.hierarchy import CgroupLayout
from probes.errors import HostError, JostleError, UsageError

OURS = os.getpid()
TREE = {
    "unified/system.slice": [],
    "unified/system.slice/init.scope": [1],
    "unified/system.slice/db.service": [],
    "unified/system.slice/db.service/worker": [20],
    "unified/system.slice/batch.service": [30],
    "unified/system.slice/empty.service": [],
    "unified/user.slice/session": [OURS],
    "unified/frozen": [40],
    "unified/alias": [20],
    "cpu/docker/abc": [50],
    "freezer/docker/abc": [50],
    "cpu/nowhere": [60],
    "unified/jostle-9-abc/victim": [70],
}


@pytest.fixture
def layout(tmp_path: Path) -> CgroupLayout:
    for path in TREE:
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
    for place in filter(Path.is_dir, list(tmp_path.rglob("*"))):
        pids = TREE.get(str(place.relative_to(tmp_path)), [])
        (place / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        if "unified" in place.parts:
            (place / "cgroup.freeze").write_text("0")
            (place / "cgroup.events").write_text(f"populated 1\nfrozen {int(place.name == 'frozen')}\n")
        if "freezer" in place.parts:
            (place / "freezer.state").write_text("THAWED\n")
    return CgroupLayout(
        mode="hybrid",
        v2_mount=tmp_path / "unified",
        v1_mounts={"cpu": tmp_path / "cpu", "freezer": tmp_path / "freezer"},
        cpu_on="v1",
        v1_cpu_hierarchy_id=1,
    )


def test_a_cgroup_is_all_its_directories(layout: CgroupLayout) -> None:
    found = find_cgroup("/docker/abc", layout)
    assert found.path == "/docker/abc"
    assert len(found.directories) == 2
    assert found.pids() == {50}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/", "/ is the root cgroup"),
        ("/nosuch", "there is no cgroup /nosuch"),
        ("/system.slice/empty.service", "holds no process"),
        ("/user.slice", "contains jostle itself"),
    ],
)
def test_what_cannot_be_watched_is_refused(layout: CgroupLayout, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        find_victim(text, layout)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["/"], "is the root cgroup"),
        (["/nosuch"], "there is no cgroup /nosuch"),
        (["/system.slice/init.scope"], "contains PID 1"),
        (["/system.slice"], "contains PID 1"),
        (["/user.slice"], "contains jostle itself"),
        (["/user.slice/session"], "contains jostle itself"),
        (["/system.slice/db.service"], "contains the victim"),
        (["/system.slice/db.service/worker"], "is part of the victim"),
        (["/alias"], "shares processes with the victim"),
        (["/frozen"], "is frozen already"),
        (["/system.slice/empty.service"], "holds no process"),
        (["/system.slice/batch.service", "/system.slice/batch.service"], "is given twice"),
        (["/docker", "/docker/abc"], "contains the other"),
        (["/docker/abc", "/docker"], "contains the other"),
    ],
)
def test_what_must_not_be_frozen_is_refused(layout: CgroupLayout, texts: list[str], told: str) -> None:
    victim = find_victim("/system.slice/db.service", layout)
    with pytest.raises(UsageError, match=told):
        find_neighbours(texts, victim, layout)


@pytest.mark.parametrize("name", ["sshd", "kubelet", "containerd"])
def test_what_others_depend_on_is_refused_by_its_processes_name(
    layout: CgroupLayout, tmp_path: Path, name: str
) -> None:
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "1000"]) as process:
        (layout.v1_mounts["freezer"] / "docker/abc/cgroup.procs").write_text(f"{process.pid}\n")
        try:
            with pytest.raises(UsageError, match=f"contains {name}, on which others depend"):
                find_neighbours(["/docker/abc"], None, layout)
        finally:
            process.kill()


def test_what_the_list_protects_is_refused(
    layout: CgroupLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = tmp_path / "protected"
    monkeypatch.setattr("agent.sandbox.existing.PROTECTED", protected)
    for pattern in ("/docker/abc", "/docker", "/docker/abc/inner", "abc", "/dock*"):
        protected.write_text(f"# ours\n\n{pattern}\n")
        with pytest.raises(UsageError, match="is protected by"):
            find_neighbours(["/docker/abc"], None, layout)
    protected.write_text("/other\n")
    assert find_neighbours(["/docker/abc"], None, layout)


def test_what_no_hierarchy_can_freeze_is_the_hosts_fault(layout: CgroupLayout) -> None:
    with pytest.raises(HostError, match="/nowhere cannot be frozen"):
        find_neighbours(["/nowhere"], None, layout)


def test_each_is_frozen_in_the_hierarchy_where_its_processes_are(layout: CgroupLayout) -> None:
    batch, docker = find_neighbours(["/system.slice/batch.service", "/docker/abc"], None, layout)
    assert layout.v2_mount
    assert batch.freezer.file == layout.v2_mount / "system.slice/batch.service/cgroup.freeze"
    assert docker.freezer.file == layout.v1_mounts["freezer"] / "docker/abc/freezer.state"
    assert (batch.name, docker.name) == ("batch.service", "abc")


def test_a_cgroup_that_went_is_told(layout: CgroupLayout) -> None:
    found = find_cgroup("/docker/abc", layout)
    found.require()
    for directory in found.directories:
        directory.rename(directory.parent / "elsewhere")
    with pytest.raises(JostleError, match="the cgroup /docker/abc is gone"):
        found.require()


@pytest.mark.parametrize(
    ("path", "share_pct", "frozen"),
    [
        ("/docker/abc", 30.0, True),
        ("/docker/abc", 1.0, False),  # hardly blamed
        ("/system.slice/batch.service", 30.0, False),  # a neighbour: stopped anyhow
        ("/system.slice", 30.0, False),  # contains one
        ("/system.slice/db.service/worker", 30.0, False),  # the victim's
        ("/user.slice/session", 30.0, False),  # jostle itself
        ("/system.slice/init.scope", 30.0, False),
        ("/frozen", 30.0, False),
        ("/nowhere", 30.0, False),
        ("/gone", 30.0, False),
        ("/jostle-9-abc/victim", 30.0, False),  # another jostle's
        ("/", 30.0, False),
        ("kernel", 30.0, False),
    ],
)
def test_only_bystanders_that_may_be_frozen_are(
    layout: CgroupLayout, path: str, share_pct: float, *, frozen: bool
) -> None:
    victim = find_victim("/system.slice/db.service", layout)
    aggressor = Aggressor(path, "name", share_pct, CauseKind.CPU_WAIT)
    found = bystanders([aggressor], ["/system.slice/batch.service"], victim, layout)
    assert [each.path for each in found] == ([path] if frozen else [])
