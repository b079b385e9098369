import json
import os
from pathlib import Path

import pytest

from collectors.host.names import Names, name_workload, pod_of_uid
from collectors.host.readings import Missing
from collectors.host.runtimes import MAX_STATE_BYTES, container_state
from tests.collectors.tree import BESTEFFORT, BURSTABLE, CGROUPFS, GUARANTEED, IDS, SYSTEMD, lay_out, recorded

DOCKER = f"var/lib/docker/containers/{IDS['docker']}/config.v2.json"


@pytest.mark.parametrize("paths", [SYSTEMD, CGROUPFS], ids=["systemd", "cgroupfs"])
@pytest.mark.parametrize(
    ("which", "name", "runtime"),
    [
        ("burstable", "prod/shop-7d9f/api", "containerd"),
        ("besteffort", "jobs/batch-0 (sandbox)", "containerd"),
        ("guaranteed", "data/pg-0/db", "cri-o"),
        ("docker", "web", "docker"),
    ],
)
def test_containers_of_every_runtime(
    tmp_path: Path, paths: dict[str, str], which: str, name: str, runtime: str
) -> None:
    workload = name_workload(paths[which], recorded(tmp_path, "runtimes"))
    assert (workload.kind, workload.name, workload.runtime) == ("container", name, runtime)
    assert workload.container_id == IDS[which]
    assert name_workload(f"{paths[which]}/init", tmp_path).name == f"{name}/init"


def test_all_fields_of_a_pods_container(tmp_path: Path) -> None:
    workload = name_workload(SYSTEMD["burstable"], recorded(tmp_path, "runtimes"))
    assert (workload.namespace, workload.pod_name, workload.container_name) == ("prod", "shop-7d9f", "api")
    assert (workload.pod_uid, workload.qos_class) == (BURSTABLE, "burstable")
    assert workload.systemd_unit == f"cri-containerd-{IDS['burstable']}.scope"


def test_a_pod_by_the_kubelets_log_directory(tmp_path: Path) -> None:
    pod = CGROUPFS["burstable"].rpartition("/")[0]
    assert name_workload(pod, recorded(tmp_path, "runtimes")).name == "prod/shop-7d9f"
    assert pod_of_uid(BESTEFFORT, tmp_path) == ("jobs", "batch-0")
    assert isinstance(pod_of_uid(GUARANTEED, tmp_path), Missing)


def test_a_container_without_state_is_named_after_its_pod_and_id(tmp_path: Path) -> None:
    lay_out(tmp_path, f"=== var/log/pods/prod_shop_{BURSTABLE}/\n")
    assert (
        name_workload(SYSTEMD["burstable"], tmp_path).name == f"prod/shop/containerd {IDS['burstable'][:12]}"
    )
    assert name_workload(SYSTEMD["docker"], tmp_path).name == f"docker {IDS['docker'][:12]}"


def test_k3s_keeps_its_state_elsewhere(tmp_path: Path) -> None:
    recorded(tmp_path, "runtimes")
    (tmp_path / "run/k3s").mkdir()
    (tmp_path / "run/containerd").rename(tmp_path / "run/k3s/containerd")
    assert name_workload(SYSTEMD["burstable"], tmp_path).name == "prod/shop-7d9f/api"


def test_docker_as_the_kubelets_runtime(tmp_path: Path) -> None:
    labels = {
        "io.kubernetes.pod.name": "shop",
        "io.kubernetes.pod.namespace": "prod",
        "io.kubernetes.pod.uid": BURSTABLE,
        "io.kubernetes.container.name": "POD",
    }
    docker(tmp_path, {"Name": "/k8s_POD_shop", "Config": {"Labels": labels}})
    workload = name_workload(SYSTEMD["docker"], tmp_path)
    assert (workload.name, workload.pod_uid, workload.container_name) == (
        "prod/shop (sandbox)",
        BURSTABLE,
        None,
    )


def docker(root: Path, document: object) -> Path:
    path = root / DOCKER
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"Name": None},
        {"Name": 5},
        {"Name": ""},
        {"Name": "/" + "x" * 300},
        {"Name": {"a": "b"}, "Config": []},
        {"Config": {"Labels": ["io.kubernetes.pod.name"]}},
        {"Config": {"Labels": {"io.kubernetes.pod.name": ["x"], "io.kubernetes.pod.namespace": 1}}},
        {"Config": {"Labels": {"io.kubernetes.pod.name": "without-namespace"}}},
    ],
)
def test_a_document_of_another_shape_names_nothing(tmp_path: Path, document: object) -> None:
    docker(tmp_path, document)
    assert name_workload(SYSTEMD["docker"], tmp_path).name == f"docker {IDS['docker'][:12]}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\0" * 100,
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"Name": "/x"}' + b" " * MAX_STATE_BYTES,
        b"9" * 5000,
    ],
)
def test_a_file_that_is_not_small_json_names_nothing(tmp_path: Path, content: bytes) -> None:
    docker(tmp_path, {}).write_bytes(content)
    assert name_workload(SYSTEMD["docker"], tmp_path).name == f"docker {IDS['docker'][:12]}"


def test_hostile_names_are_passed_on_as_they_are(tmp_path: Path) -> None:
    docker(tmp_path, {"Name": "/<script>\x1b[2J\n"})
    assert name_workload(SYSTEMD["docker"], tmp_path).name == "<script>\x1b[2J\n"


def test_a_symbolic_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    docker(outside, {"Name": "/secret"})
    (root / "var/lib").mkdir(parents=True)
    (root / "var/lib/docker").symlink_to(outside / "var/lib/docker")
    assert isinstance(container_state(IDS["docker"], None, root), Missing)
    (root / "var/lib/docker").unlink()
    path = docker(root, {})
    path.unlink()
    path.symlink_to(outside / DOCKER)
    assert isinstance(container_state(IDS["docker"], "docker", root), Missing)


def test_a_symbolic_link_within_the_root_is_followed(tmp_path: Path) -> None:
    docker(tmp_path, {"Name": "/web"})
    (tmp_path / "data").mkdir()
    (tmp_path / "var/lib/docker").rename(tmp_path / "data/docker")
    (tmp_path / "var/lib/docker").symlink_to("../../data/docker")
    assert name_workload(SYSTEMD["docker"], tmp_path).name == "web"


def test_pipes_loops_and_directories_are_no_state_and_do_not_block(tmp_path: Path) -> None:
    path = docker(tmp_path, {})
    path.unlink()
    os.mkfifo(path)
    assert isinstance(container_state(IDS["docker"], "docker", tmp_path), Missing)
    path.unlink()
    path.symlink_to(path)
    assert isinstance(container_state(IDS["docker"], "docker", tmp_path), Missing)
    path.unlink()
    path.mkdir()
    assert isinstance(container_state(IDS["docker"], "docker", tmp_path), Missing)


def test_a_container_that_is_in_no_list_of_podman_has_no_name(tmp_path: Path) -> None:
    assert isinstance(container_state(IDS["docker"], "podman", recorded(tmp_path, "runtimes")), Missing)


def test_image_and_service_of_compose(tmp_path: Path) -> None:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}
    docker(tmp_path, {"Name": "/shop-api-1", "Config": {"Image": "nginx:1.27", "Labels": labels}})
    found = name_workload(SYSTEMD["docker"], tmp_path)
    assert (found.name, found.container_name, found.image) == ("shop-api-1", "shop-api-1", "nginx:1.27")
    assert (found.project, found.service, found.owner) == ("shop", "api", "api")


def test_a_name_is_kept_and_follows_a_container_that_is_renamed(tmp_path: Path) -> None:
    names, path = Names(tmp_path), SYSTEMD["docker"]
    file = docker(tmp_path, {"Name": "/web"})
    assert names.of(path).name == "web"
    docker(tmp_path, {"Name": "/shop"})
    assert names.of(path).name == "web"  # not read in each window
    names.keep({path})
    assert names.of(path).name == "shop"
    file.unlink()  # as of one that has ended and is not gone yet
    names.keep({path})
    assert names.of(path).name == "shop"
    names.keep(set())
    assert len(names) == 0


def test_few_of_many_are_read_again_at_a_time_and_all_in_turn(tmp_path: Path) -> None:
    paths = [f"/docker/{number:064x}" for number in range(20)]
    names = Names(tmp_path)

    def rename(to: str) -> None:
        for path in paths:
            file = tmp_path / f"var/lib/docker/containers/{path[8:]}/config.v2.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"Name": f"/{to}"}))

    rename("old")
    assert {names.of(path).name for path in paths} == {"old"}
    rename("new")
    names.keep(set(paths))
    assert 0 < sum(names.of(path).name == "new" for path in paths) < 10
    for _ in range(3):
        names.keep(set(paths))
    assert {names.of(path).name for path in paths} == {"new"}


def test_one_whose_state_comes_late_has_its_name_soon(tmp_path: Path) -> None:
    paths = [f"/docker/{number:064x}" for number in range(20)]
    names = Names(tmp_path)
    for path in paths:
        assert names.of(path).name.startswith("docker 000")
    file = tmp_path / f"var/lib/docker/containers/{paths[-1][8:]}/config.v2.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"Name": "/late"}))
    for _ in range(7):
        names.keep(set(paths))
    assert names.of(paths[-1]).name == "late"


def test_a_state_that_names_another_pod_does_not_overrule_the_path(tmp_path: Path) -> None:
    labels = {"io.kubernetes.pod.uid": GUARANTEED}
    docker(tmp_path, {"Config": {"Labels": labels}})
    pod = SYSTEMD["burstable"].rpartition("/")[0]
    assert name_workload(f"{pod}/docker-{IDS['docker']}.scope", tmp_path).pod_uid == BURSTABLE
