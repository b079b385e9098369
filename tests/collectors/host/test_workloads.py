from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.workloads import Workload, identify, shortened
from tests.collectors.tree import BESTEFFORT, BURSTABLE, BURSTABLE_, CGROUPFS, GUARANTEED, IDS, SYSTEMD

ID = IDS["docker"]
STATIC_UID = "5e2f" * 8  # the kubelet's own pods have a hash without hyphens


@pytest.mark.parametrize("paths", [SYSTEMD, CGROUPFS], ids=["systemd", "cgroupfs"])
@pytest.mark.parametrize(
    ("qos", "uid"), [("burstable", BURSTABLE), ("besteffort", BESTEFFORT), ("guaranteed", GUARANTEED)]
)
def test_every_qos_class_with_either_driver(paths: dict[str, str], qos: str, uid: str) -> None:
    workload = identify(paths[qos])
    assert (workload.kind, workload.qos_class, workload.pod_uid) == ("container", qos, uid)
    assert workload.container_id == IDS[qos]
    pod = identify(paths[qos].rpartition("/")[0])
    assert (pod.kind, pod.qos_class, pod.pod_uid, pod.container_id) == ("pod", qos, uid, None)
    assert pod.name == f"pod {uid}"


@pytest.mark.parametrize(
    ("path", "runtime"),
    [
        (f"/system.slice/docker-{ID}.scope", "docker"),
        (f"/docker/{ID}", "docker"),
        (f"/kubepods.slice/kubepods-pod{BURSTABLE_}.slice/cri-containerd-{ID}.scope", "containerd"),
        (f"/kubepods.slice/kubepods-pod{BURSTABLE_}.slice/crio-{ID}.scope", "cri-o"),
        (f"/kubepods/pod{BURSTABLE}/crio-{ID}", "cri-o"),
        (f"/kubepods/pod{BURSTABLE}/{ID}", None),
        (f"/system.slice/nerdctl-{ID}.scope", "containerd"),
        (f"/machine.slice/libpod-{ID}.scope", "podman"),
        (f"/libpod_parent/libpod-{ID}", "podman"),
        (f"/ecs/task/{ID}", None),
        (f"/kubepods-burstable-pod{BURSTABLE_}.slice:cri-containerd:{ID}", "containerd"),
        (
            f"/system.slice/containerd.service/kubepods-burstable-pod{BURSTABLE_}.slice:cri-containerd:{ID}",
            "containerd",
        ),
    ],
)
def test_container_paths(path: str, runtime: str | None) -> None:
    workload = identify(path)
    assert (workload.kind, workload.container_id, workload.runtime) == ("container", ID, runtime)
    assert workload.name == f"{runtime or 'container'} {ID[:12]}"
    assert workload.pod_uid == (BURSTABLE if "kubepods" in path else None)
    inside = replace(workload, path=f"{path}/init/x", inner="init/x", name=f"{workload.name}/init/x")
    assert identify(f"{path}/init/x") == inside


def test_a_kubelet_below_a_slice_of_its_own() -> None:
    slices = "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice"
    path = f"{slices}/kubelet-kubepods-besteffort-pod{BURSTABLE_}.slice/cri-containerd-{ID}.scope"
    workload = identify(path)
    assert (workload.pod_uid, workload.qos_class, workload.container_id) == (BURSTABLE, "besteffort", ID)


def test_a_static_pod() -> None:
    workload = identify(f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC_UID}.slice")
    assert (workload.kind, workload.pod_uid) == ("pod", STATIC_UID)


@pytest.mark.parametrize(
    ("path", "unit", "name"),
    [
        ("/system.slice/cron.service", "cron.service", "cron.service"),
        ("/init.scope", "init.scope", "init.scope"),
        ("/system.slice", "system.slice", "system.slice"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "getty@tty1.service"),
        ("/system.slice/cron.service/job", "cron.service", "cron.service/job"),
        ("/system.slice/batch", "system.slice", "system.slice/batch"),
        (
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
            "machine-qemu\\x2d1\\x2dvm.scope",
            "machine-qemu-1-vm.scope",
        ),
        ("/system.slice/caf\\xc3\\xa9.service", "caf\\xc3\\xa9.service", "café.service"),
        ("/system.slice/a\\x1b\\x5b2J.service", "a\\x1b\\x5b2J.service", "a\\x1b\\x5b2J.service"),
        ("/system.slice/_cpu.service", "cpu.service", "cpu.service"),
        ("/system.slice/containerd.service", "containerd.service", "containerd.service"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/editor.service",
            "user@1000.service",
            "user@1000.service/app.slice/editor.service",
        ),
        (
            f"/machine.slice/libpod-conmon-{ID}.scope",
            f"libpod-conmon-{ID}.scope",
            f"libpod-conmon-{ID[:12]}.scope",
        ),
    ],
)
def test_systemd_units(path: str, unit: str, name: str) -> None:
    workload = identify(path)
    assert (workload.kind, workload.systemd_unit, workload.name) == ("unit", unit, name)
    assert workload.container_id is None


@pytest.mark.parametrize("qos", ["burstable", "besteffort"])
def test_directories_of_a_qos_class(qos: str) -> None:
    assert identify(f"/kubepods.slice/kubepods-{qos}.slice").qos_class == qos
    workload = identify(f"/kubepods/{qos}")
    assert (workload.kind, workload.name, workload.qos_class) == ("cgroup", f"/kubepods/{qos}", qos)


def test_lxc() -> None:
    workload = identify("/lxc.payload.web/system.slice/cron.service")
    assert (workload.kind, workload.runtime, workload.name) == (
        "container",
        "lxc",
        "web/system.slice/cron.service",
    )


@pytest.mark.parametrize(
    ("path", "runtime", "name"),
    [
        ("/lxc/101", "lxc", "101"),
        ("/lxc/101/ns/system.slice", "lxc", "101/ns/system.slice"),
        ("/machine.slice/systemd-nspawn@build\\x2d1.service/payload", "nspawn", "build-1/payload"),
        ("/machine.slice/machine-web.scope", "nspawn", "web"),
    ],
)
def test_containers_whose_path_has_their_name(path: str, runtime: str, name: str) -> None:
    workload = identify(path)
    assert (workload.kind, workload.runtime, workload.name) == ("container", runtime, name)
    assert workload.owner == name.partition("/")[0]


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        ("api-7d9f8c6b5d-x2x4z", "api"),
        ("shop-api-66b6c48dd5-ltfkj", "shop-api"),
        ("pg-0", "pg"),
        ("node-exporter-zx7kq", "node-exporter"),
        ("nightly-29412345-b5xkd", "nightly"),
        ("kube-apiserver-master", "kube-apiserver-master"),
        ("plain", "plain"),
    ],
)
def test_what_made_a_pod_is_told_by_its_name(pod: str, owner: str) -> None:
    assert Workload("pod", "/a", "prod/x", namespace="prod", pod_name=pod).owner == owner


def test_the_owner_of_others_is_the_service_of_compose_or_the_name() -> None:
    made = Workload("container", "/a", "shop-api-1", container_name="shop-api-1")
    assert (made.owner, replace(made, service="api").owner) == ("shop-api-1", "api")
    assert identify("/system.slice/cron.service").owner == "cron.service"
    assert identify(f"/system.slice/docker-{'ab' * 32}.scope").owner == "docker abababababab"
    assert identify("/batch").owner is None


@pytest.mark.parametrize(
    "path", ["/batch", "/a/b c", "/docker", "/docker/buildkit/x", f"/{ID[:-1]}", "/podx", "/x.service.d/y"]
)
def test_the_unknown_stays_the_path(path: str) -> None:
    assert identify(path) == Workload("cgroup", path, path)


def test_the_root() -> None:
    assert identify("/") == Workload("root", "/", "/")


@pytest.mark.parametrize(
    "outer",
    [
        f"/system.slice/docker-{IDS['burstable']}.scope",
        f"/docker/{IDS['burstable']}",
        "/user.slice/user-1000.slice/user@1000.service/user.slice",
        "/system.slice/tenant.service",
        "/lxc.payload.tenant",
    ],
)
def test_a_tenant_cannot_pose_as_another_by_the_name_of_a_cgroup_inside_its_own(outer: str) -> None:
    for forged in (
        SYSTEMD["docker"],
        SYSTEMD["burstable"],
        CGROUPFS["burstable"],
        "/system.slice/sshd.service",
    ):
        workload = identify(outer + forged)
        assert workload.container_id in (None, IDS["burstable"] if IDS["burstable"] in outer else None)
        assert workload.pod_uid is None
        assert workload.name.endswith(shortened(forged))


@given(st.lists(st.text(st.characters(blacklist_characters="/\0\n"), min_size=1), max_size=6))
def test_every_path_has_a_name(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    workload = identify(path)
    assert workload.path == path
    assert workload.name
