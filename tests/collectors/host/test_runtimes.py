"""Where runtimes keep what they know, and whose word is believed: each layout as its runtime makes it."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from collectors.host import runtimes
from collectors.host.names import name_workload
from collectors.host.readings import Missing
from collectors.host.runtimes import container_state, runtimes_found
from tests.collectors.tree import lay_out

ID = "d4e5f607" * 8
DOCKER, CONTAINERD = f"/docker/{ID}", f"/kubepods/pod1b2c3d4e-5f60-4718-92a3-b4c5d6e7f801/{ID}"
LIBPOD = f"/machine.slice/libpod-{ID}.scope/container"
STATE = '{"Name": "/web"}'
NOTES = """{"annotations": {"io.kubernetes.cri.sandbox-name": "shop-0", "io.kubernetes.cri.container-name": "api",
 "io.kubernetes.cri.sandbox-namespace": "prod", "io.kubernetes.cri.image-name": "docker.io/shop/api:1.2"}}"""
TASK = f"io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"
NERDCTL = '{"annotations": {"nerdctl/name": "web"}}'
STORAGE = '[storage]\ngraphroot = "/big"'
PODMAN = json.dumps(
    [{"id": ID, "names": ["db"], "metadata": json.dumps({"image-name": "quay.io/pg:16", "name": "db"})}]
)


def daemon(words: str, cgroup: str = "/system.slice/docker.service", environment: str = "") -> str:
    """A process of a fake /proc."""
    name = words.split(maxsplit=1)[0].rpartition("/")[2]
    return (
        f"=== proc/77/comm\n{name}\n=== proc/77/cmdline\n{words.replace(' ', chr(0))}{chr(0)}\n"
        f"=== proc/77/cgroup\n0::{cgroup}\n=== proc/77/environ\n{environment}{chr(0)}\n"
    )


def docker_in(folder: str, state: str = STATE) -> str:
    return f"=== {folder}/containers/{ID}/config.v2.json\n{state}\n"


@pytest.mark.parametrize(
    ("path", "tree", "name"),
    [
        (DOCKER, docker_in("var/lib/docker"), "web"),
        (DOCKER, docker_in("var/snap/docker/common/var-lib-docker"), "web"),
        (
            DOCKER,
            '=== etc/docker/daemon.json\n{"data-root": "/data/docker/"}\n' + docker_in("data/docker"),
            "web",
        ),
        (DOCKER, '=== etc/docker/daemon.json\n{"graph": "/old"}\n' + docker_in("old"), "web"),
        (DOCKER, daemon("/usr/bin/dockerd --data-root /srv/d -H fd://") + docker_in("srv/d"), "web"),
        (DOCKER, daemon("dockerd --data-root=/srv/d") + docker_in("srv/d"), "web"),
        (
            DOCKER,
            daemon("dockerd --config-file /opt/d.json")
            + '=== opt/d.json\n{"data-root": "/x"}\n'
            + docker_in("x"),
            "web",
        ),
        (DOCKER, docker_in("home/eve/.local/share/docker"), "web"),
        (
            DOCKER,
            daemon("dockerd", environment="HOME=/export/eve") + docker_in("export/eve/.local/share/docker"),
            "web",
        ),
        (CONTAINERD, f"=== run/containerd/{TASK}\n{NOTES}\n", "prod/shop-0/api"),
        (CONTAINERD, f"=== run/k3s/containerd/{TASK}\n{NOTES}\n", "prod/shop-0/api"),
        (CONTAINERD, f"=== run/k0s/containerd/{TASK}\n{NOTES}\n", "prod/shop-0/api"),
        (CONTAINERD, f"=== var/snap/microk8s/common/run/containerd/{TASK}\n{NOTES}\n", "prod/shop-0/api"),
        (
            CONTAINERD,
            f'=== etc/containerd/config.toml\nversion = 2\nstate = "/mnt/c"\n=== mnt/c/{TASK}\n{NOTES}\n',
            "prod/shop-0/api",
        ),
        (CONTAINERD, daemon("containerd --state /mnt/c") + f"=== mnt/c/{TASK}\n{NOTES}\n", "prod/shop-0/api"),
        (
            f"/default/{ID}",
            f"=== run/containerd/{TASK.replace('k8s.io', 'default')}\n{NERDCTL}\n",
            "web",
        ),
        (
            LIBPOD,
            f"=== var/lib/containers/storage/overlay-containers/containers.json\n{PODMAN}\n",
            "db/container",
        ),
        (
            LIBPOD,
            f"=== run/containers/storage/overlay-containers/volatile-containers.json\n{PODMAN}\n",
            "db/container",
        ),
        (
            LIBPOD,
            f"=== etc/containers/storage.conf\n{STORAGE}\n=== big/overlay-containers/containers.json\n{PODMAN}\n",
            "db/container",
        ),
        (
            LIBPOD,
            daemon(f"/usr/bin/conmon -c {ID} -b /pool/overlay-containers/{ID}/userdata", "/machine.slice")
            + f"=== pool/overlay-containers/containers.json\n{PODMAN}\n",
            "db/container",
        ),
    ],
)
def test_every_place(tmp_path: Path, path: str, tree: str, name: str) -> None:
    assert name_workload(path, lay_out(tmp_path, tree)).name == name


def test_images_of_podman_and_containerd(tmp_path: Path) -> None:
    lay_out(tmp_path, f"=== run/containerd/{TASK}\n{NOTES}\n")
    lay_out(tmp_path, f"=== var/lib/containers/storage/overlay-containers/containers.json\n{PODMAN}\n")
    assert name_workload(CONTAINERD, tmp_path).image == "docker.io/shop/api:1.2"
    podman = name_workload(LIBPOD, tmp_path)
    assert (podman.image, podman.runtime) == ("quay.io/pg:16", "podman")
    assert runtimes_found(tmp_path) == ["containerd", "podman or cri-o"]


def test_a_daemon_in_a_container_does_not_name_the_hosts(tmp_path: Path) -> None:
    forged = daemon("dockerd --data-root /tmp/forged", f"/docker/{'a' * 64}")
    lay_out(tmp_path, forged + docker_in("tmp/forged", '{"Name": "/sshd"}'))
    assert isinstance(container_state(ID, "docker", tmp_path), Missing)


@pytest.mark.root
def test_the_files_of_a_user_name_that_users_containers_alone(tmp_path: Path) -> None:
    lay_out(tmp_path, docker_in("home/eve/.local/share/docker"))
    os.chown(tmp_path / "home/eve/.local/share/docker", 1234, 1234)
    for slice_, name in ((1234, "web"), (1000, f"docker {ID[:12]}")):
        user = f"/user.slice/user-{slice_}.slice/user@{slice_}.service/docker-{ID}.scope"
        known = container_state(ID, "docker", tmp_path, user)
        assert (f"docker {ID[:12]}" if isinstance(known, Missing) else known.name) == name
    assert name_workload(DOCKER, tmp_path).name == f"docker {ID[:12]}"


@pytest.mark.root
@pytest.mark.parametrize(("mode", "name"), [(0o1777, f"docker {ID[:12]}"), (0o755, "web")])
def test_a_place_where_everybody_may_write_is_not_believed(tmp_path: Path, mode: int, name: str) -> None:
    lay_out(tmp_path, f"=== tmp/containers/{ID}/config.v2.json\n{STATE}\n")
    lay_out(tmp_path, '=== home/eve/.config/docker/daemon.json\n{"data-root": "/tmp"}\n')
    (tmp_path / "tmp").chmod(mode)
    assert name_workload(DOCKER, tmp_path).name == name


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("etc/docker/daemon.json", '{"data-root": 5}'),
        ("etc/docker/daemon.json", '{"data-root": "/../../etc\\u0000"}'),
        ("etc/docker/daemon.json", "{"),
        ("etc/containerd/config.toml", "state = ["),
        ("etc/containers/storage.conf", "storage = 5"),
        (
            "var/lib/containers/storage/overlay-containers/containers.json",
            '[5, {"id": 7}, {"names": 3}, null]',
        ),
        ("var/lib/containers/storage/overlay-containers/containers.json", '{"a": "b"}'),
        (f"var/lib/docker/containers/{ID}/config.v2.json", "[" * 9999),
        (
            "var/lib/containers/storage/overlay-containers/containers.json",
            json.dumps([{"id": ID, "names": ["web"]}, *[[]] * 400_000]),
        ),
        ("proc/77/comm", "dockerd"),
    ],
)
def test_what_is_no_such_file_names_nothing(tmp_path: Path, file: str, content: str) -> None:
    lay_out(tmp_path, f"=== {file}\n{content}\n")
    assert isinstance(container_state(ID, None, tmp_path), Missing)


def test_the_socket_is_asked_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, "=== run/\n" + docker_in("far/away"))
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("run/docker.sock")
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                assert connection.recv(1000).startswith(b"GET /info ")
                body = b'{"DockerRootDir": "/far/away"}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        server = threading.Thread(target=answer)
        server.start()
        assert runtimes._by_socket(Path(), 0) == (runtimes.RuntimeFolder("docker", "far/away"),)
        server.join()
