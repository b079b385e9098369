"""Names that root writes down for an agent that may not read the runtimes' files."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.host.kept_names import READINGS, Keeper, write
from collectors.host.names import name_workload
from collectors.host.runtimes import KEPT
from tests.cli.running import eventually

PATHS = [f"/docker/{number:064x}" for number in range(3 * READINGS)]


def call(root: Path, path: str, name: str) -> None:
    file = root / f"var/lib/docker/containers/{path[8:]}/config.v2.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"Name": f"/{name}", "Config": {"Image": f"{name}:1"}}))


def hide(root: Path) -> None:
    """As Docker's directory is for whoever is not root."""
    (root / "var/lib/docker").rename(root / "hidden")


@pytest.mark.root
def test_who_may_not_read_the_runtimes_files_reads_these(tmp_path: Path) -> None:
    call(tmp_path, PATHS[0], "web")
    (tmp_path / KEPT).parent.mkdir(parents=True)
    write(
        Keeper(tmp_path).look([*PATHS, f"{PATHS[0]}/init", "/system.slice/a.service"]), tmp_path / KEPT.parent
    )
    hide(tmp_path)
    found = name_workload(PATHS[0], tmp_path)
    assert (found.name, found.image, found.runtime) == ("web", "web:1", "docker")
    assert name_workload(f"{PATHS[0]}/init", tmp_path).name.startswith("docker 0000")
    # One path's name is no other's, whatever id that has.
    assert name_workload(f"/user.slice/docker-{PATHS[0][8:]}.scope", tmp_path).name.startswith("docker 0000")
    os.chown(tmp_path / KEPT, 1234, 1234)
    assert name_workload(PATHS[0], tmp_path).name.startswith("docker 0000")


@pytest.mark.parametrize(
    "content", ["[]", '{"/a": 5}', '{"/a": {"runtime": 7}}', '{"/a": {"runtime": "x" , "image": []}', "{"]
)
def test_a_file_of_another_shape_names_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / KEPT).parent.mkdir(parents=True)
    (tmp_path / KEPT).write_text(content.replace("/a", PATHS[0]))
    assert name_workload(PATHS[0], tmp_path).name.startswith("docker 0000")


def test_what_comes_goes_or_is_renamed_is_followed(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    for path in PATHS:
        call(tmp_path, path, "old")
    assert {each.name for each in keeper.look(PATHS).values()} == {"old"}
    for path in PATHS:
        call(tmp_path, path, "new")
    for _ in range(3):
        found = keeper.look(PATHS)
    assert {each.name for each in found.values()} == {"new"}
    hide(tmp_path)  # of one that ends the state is gone before the cgroup is
    assert len(keeper.look(PATHS)) == len(PATHS)
    assert keeper.look(PATHS[:2]).keys() == set(PATHS[:2])


def test_one_whose_state_comes_late_is_named_soon_among_many_that_never_have_one(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    assert keeper.look(PATHS) == {}
    call(tmp_path, PATHS[-1], "late")
    passes = [keeper.look(PATHS) for _ in range(2 * len(PATHS) // READINGS)]
    assert [each.name for each in passes[-1].values()] == ["late"]


@pytest.mark.root
def test_the_service_writes_once_and_ends_when_it_is_told(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "collectors.host.kept_names", str(tmp_path)]
    with subprocess.Popen(words) as service:
        try:
            assert eventually((tmp_path / KEPT.name).exists)
        finally:
            service.send_signal(signal.SIGTERM)
    assert service.returncode == 0
    assert isinstance(json.loads((tmp_path / KEPT.name).read_text()), dict)
    assert (tmp_path / KEPT.name).stat().st_mode & 0o777 == 0o644


def test_a_host_that_allows_no_sockets_names_what_files_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As jostle-names.service and containers of few system calls: where no file tells, Docker would be asked."""

    def refuse(*_family: int) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", refuse)
    call(tmp_path, PATHS[0], "web")
    assert [each.name for each in Keeper(tmp_path).look(PATHS[:2]).values()] == ["web"]
