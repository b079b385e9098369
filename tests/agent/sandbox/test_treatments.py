"""What each remedy writes, on v2 and on v1, in trees laid out for it."""

import os
import subprocess
from pathlib import Path

import pytest

from agent.sandbox.existing import ExistingCgroup, Freezable
from agent.sandbox.freezer import v2_freezer
from agent.sandbox.treatments import changes_of, how_to_apply, parse_remedy
from collectors.host.hierarchy import CgroupLayout, CgroupMode
from probes.errors import HostError, UsageError


def cgroup(top: Path, mode: CgroupMode, **files: str) -> tuple[Freezable, CgroupLayout]:
    directory = top / "system.slice/batch.service"
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)
    is_v1 = mode == "v1"
    layout = CgroupLayout(mode, None if is_v1 else top, {"cpu": top} if is_v1 else {}, "v1", None)
    path = "/system.slice/batch.service"
    return Freezable(ExistingCgroup(path, (directory,)), v2_freezer(directory)), layout


V2 = {
    "cpu__weight": "100\n",
    "cpu__max": "max 100000\n",
    "cpu__idle": "0\n",
    "cpuset__cpus": "\n",
    "io__weight": "default 100\n8:0 50\n",
    "memory__high": "max\n",
}


@pytest.mark.parametrize(
    ("text", "file", "during", "after"),
    [
        ("stop", "cgroup.freeze", "1", "0"),
        ("weight=25", "cpu.weight", "25", "100"),
        ("quota=0.5", "cpu.max", "50000 100000", "max 100000"),
        ("cpus=0-1", "cpuset.cpus", "0-1", "\n"),
        ("idle", "cpu.idle", "1", "0"),
        ("io.weight=10", "io.weight", "default 10", "default 100"),
        ("memory.high=64M", "memory.high", str(64 << 20), "max"),
    ],
)
def test_v2(tmp_path: Path, text: str, file: str, during: str, after: str) -> None:
    neighbour, layout = cgroup(tmp_path, "v2", **V2)
    change = changes_of(parse_remedy(text), neighbour, layout)[-1]
    assert (change.file.name, change.during, change.after) == (file, during, after)


def test_v1_has_shares_and_quotas_of_its_own(tmp_path: Path) -> None:
    files = {"cpu__shares": "1024\n", "cpu__cfs_quota_us": "-1\n", "cpu__cfs_period_us": "100000\n"}
    neighbour, layout = cgroup(tmp_path, "v1", **files)
    weight, quota = (
        changes_of(parse_remedy(text), neighbour, layout)[0] for text in ("weight=25", "quota=0.5")
    )
    assert (weight.file.name, weight.during, weight.after) == ("cpu.shares", "256", "1024")
    assert (quota.file.name, quota.during, quota.after) == ("cpu.cfs_quota_us", "50000", "-1")


def test_the_weight_is_written_again_when_the_idle_class_is_left(tmp_path: Path) -> None:
    neighbour, layout = cgroup(tmp_path, "v2", **{**V2, "cpu__weight": "250\n"})
    weight, idle = changes_of(parse_remedy("idle"), neighbour, layout)
    # Undone in the opposite order: the class first.
    assert (weight.file.name, weight.during, weight.after) == ("cpu.weight", "250", "250")
    assert idle.file.name == "cpu.idle"


def test_what_the_cgroup_has_no_file_for_is_told_by_name(tmp_path: Path) -> None:
    neighbour, layout = cgroup(tmp_path, "v2")
    for text in ("weight=25", "cpus=0", "idle", "io.weight=1", "memory.high=1G"):
        with pytest.raises(HostError, match=parse_remedy(text).text):
            changes_of(parse_remedy(text), neighbour, layout)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "halt",
            "stop=1",
            "idle=1",
            "weight",
            "weight=0",
            "weight=10001",
            "weight=1.5",
            "quota=0",
            "quota=nan",
        ),
        *(
            "quota=inf",
            "quota=-1",
            "cpus=",
            "cpus=a",
            "cpus=0;1",
            "memory.high=0",
            "memory.high=1X",
            "io.weight=x",
        ),
    ],
)
def test_what_is_no_remedy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a remedy"):
        parse_remedy(text)


def test_how_a_unit_and_a_pod_would_keep_it(tmp_path: Path) -> None:
    neighbour, layout = cgroup(tmp_path, "v2", **V2)
    quota = parse_remedy("quota=0.5")
    changes = changes_of(quota, neighbour, layout)
    assert how_to_apply(quota, neighbour.cgroup, changes) == (
        "systemctl set-property batch.service CPUQuota=50%",
    )
    pod = ExistingCgroup("/kubepods.slice/kubepods-pod1.slice/cri-containerd-ab.scope", ())
    assert how_to_apply(quota, pod, changes) == ("resources.limits.cpu: '0.5'",)
    assert how_to_apply(parse_remedy("weight=10"), pod, changes) == ("resources.requests.cpu: 100m",)


@pytest.mark.parametrize(
    "path", ["/batch", "/user.slice/user-1000.slice/user@1000.service/app.slice/batch.service"]
)
def test_what_no_manager_of_the_host_knows_is_kept_by_a_write(tmp_path: Path, path: str) -> None:
    """Within a unit is what a user's manager made, whose units the host's does not know."""
    neighbour, layout = cgroup(tmp_path, "v2", **V2)
    quota = parse_remedy("quota=0.5")
    (line,) = how_to_apply(quota, ExistingCgroup(path, ()), changes_of(quota, neighbour, layout))
    assert line == f"echo '50000 100000' > {tmp_path}/system.slice/batch.service/cpu.max"


@pytest.mark.parametrize("name", ["a b", "$(touch evil).service", "'; touch evil; '.service", "`touch evil`"])
def test_a_line_to_paste_runs_nothing_that_a_tenant_named(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    (directory / "cpu.weight").write_text("100")
    layout = CgroupLayout("v2", tmp_path, {}, "v1", None)
    neighbour = Freezable(ExistingCgroup(f"/{name}", (directory,)), v2_freezer(directory))
    weight = parse_remedy("weight=25")
    lines = how_to_apply(weight, neighbour.cgroup, changes_of(weight, neighbour, layout))
    script = "\n".join(('systemctl() { test "$2" = "$NAME"; }', *lines))
    subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, env={**os.environ, "NAME": name}, check=True)
    assert name.endswith(".service") or (directory / "cpu.weight").read_text() == "25\n"
    assert [path.name for path in tmp_path.iterdir()] == [name]
