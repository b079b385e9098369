"""A jostle in a container: the host's files and cgroups below the directory where its root is mounted."""

from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.host.live import live
from collectors.host.names import name_workload
from collectors.host.readings import Missing
from collectors.host.resolver import resolve
from collectors.host.roots import HOST_ROOT, inside, of_host, set_host_root
from probes.errors import HostError, UsageError
from tests.collectors.tree import lay_out

ID = "ab" * 32
HOST = f"""=== proc/1/mountinfo
1 1 0:1 / / rw - ext4 /dev/vda rw
2 1 0:2 / /sys/fs/cgroup rw - cgroup2 none rw
3 1 0:3 / /gone rw - cgroup none rw,cpu
=== sys/fs/cgroup/docker/{ID}/cgroup.procs
=== var/lib/docker/containers/{ID}/config.v2.json
{{"Name": "/web"}}
=== var/log/pods/shop_api-0_0a5f9c3e-1111-2222-3333-444455556666/
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOST_ROOT, str(tmp_path))
    return lay_out(tmp_path, HOST)


def test_cgroups_and_names_are_the_hosts(host: Path) -> None:
    layout = detect_layout()
    assert (layout.mode, layout.v2_mount) == (
        "v2",
        host / "sys/fs/cgroup",
    )  # what is not mounted here is left out
    assert name_workload(f"/docker/{ID}").name == "web"
    assert name_workload("/kubepods/pod0a5f9c3e-1111-2222-3333-444455556666").name == "shop/api-0"
    among = live(layout)
    # As it is called on the host, and as in the container.
    for directory in ("web", f"/sys/fs/cgroup/docker/{ID}", f"{host}/sys/fs/cgroup/docker/{ID}"):
        assert resolve(directory, among) == f"/docker/{ID}"


def test_a_root_that_is_asked_for_stays(host: Path, tmp_path: Path) -> None:
    assert of_host() == host
    assert of_host(tmp_path / "other") == tmp_path / "other"


@pytest.mark.usefixtures("host")
def test_a_directory_without_a_host_is_refused(tmp_path: Path) -> None:
    set_host_root(str(tmp_path))
    with pytest.raises(UsageError, match=r"no host's root at .*empty"):
        set_host_root(str(tmp_path / "empty"))


def test_links_mean_what_they_mean_on_the_host(tmp_path: Path) -> None:
    """Docker's data elsewhere by an absolute link, /var/run, and ways that lead out of what is mounted."""
    root = lay_out(tmp_path / "root", "=== mnt/big/docker/file\n=== run/docker.sock\n")
    (tmp_path / "file").touch()
    (root / "var/lib").mkdir(parents=True)
    for name, target in (
        ("var/lib/docker", "/mnt/big/docker"),
        ("var/run", "../run"),
        ("var/out", "../../../../file"),
        ("var/loop", "loop"),
        ("var/abroad", str(tmp_path / "file")),
    ):
        (root / name).symlink_to(target)
    assert inside(root, root / "var/lib/docker/file") == root / "mnt/big/docker/file"
    assert inside(root, root / "var/run/docker.sock") == root / "run/docker.sock"
    for name in ("var/out", "var/loop", "var/abroad", "var/nothing"):
        assert isinstance(inside(root, root / name), Missing)


@pytest.mark.parametrize(
    ("top", "first", "seen"),
    [
        ("/", "/../../init.scope", False),  # its own cgroup, as if that were all
        ("/", "/init.scope", True),
        ("/../..", "/../../init.scope", True),  # a mount made outside shows all
    ],
)
def test_a_cgroup_namespace_that_hides_the_host_is_refused(
    tmp_path: Path, top: str, first: str, *, seen: bool
) -> None:
    mounts = f"=== proc/self/mountinfo\n1 1 0:1 {top} /cg rw - cgroup2 none rw\n"
    root = lay_out(tmp_path, f"{mounts}=== proc/1/cgroup\n0::{first}\n=== cg/cgroup.procs\n")
    if seen:
        assert detect_layout(root).v2_mount == root / "cg"
    else:
        with pytest.raises(HostError, match="hides the host's cgroups") as told:
            detect_layout(root)
        assert "--cgroupns=host" in str(told.value.remedy)
