"""A node as a kubelet makes it, with either cgroup driver and three runtimes: called by pods and containers.

No kubelet can be had here. The cgroups, their processes and the runtimes' state files are real and are laid out as it
and they do (k8s.io/kubernetes/pkg/kubelet/cm, containerd's and CRI-O's annotations, cri-dockerd's labels); the daemons
are command lines.
"""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.host.live import live
from collectors.host.resolver import resolve
from tests.agent.sandbox.foreign import foreign_cgroup, host_mounts
from tests.cli.running import eventually, run
from tests.cli.test_names_everywhere import LONG_ID, PATHS

pytestmark = pytest.mark.kernel

RUNTIMES = {"containerd": "cri-containerd", "crio": "crio", "dockerd": "docker"}
DRIVERS = ("systemd", "cgroupfs")
# It runs often enough to be in every window, and leaves the CPUs to others.
SCRIPT = "while :; do sleep 0.02; done"


@dataclass(frozen=True, slots=True)
class Pod:
    """One container in one pod."""

    runtime: str
    driver: str
    container_id: str
    uid: str

    @property
    def name(self) -> str:
        return f"{self.runtime}-{self.driver}-7d9f8c6b5-x2x4z"

    @property
    def cgroup(self) -> str:
        if self.driver == "cgroupfs":
            return f"kubepods/burstable/pod{self.uid}/{self.container_id}"
        pod = f"kubepods-burstable-pod{self.uid.replace('-', '_')}.slice"
        scope = f"{RUNTIMES[self.runtime]}-{self.container_id}.scope"
        return f"kubepods.slice/kubepods-burstable.slice/{pod}/{scope}"

    def state(self, place: Path) -> tuple[Path, object]:
        """The file of its runtime, and what is in it."""
        ours = {"pod.name": self.name, "pod.namespace": "shop", "pod.uid": self.uid, "container.name": "api"}
        labels = {f"io.kubernetes.{key}": value for key, value in ours.items()}
        if self.runtime == "dockerd":
            document: object = {
                "Name": f"/k8s_api_{self.name}_shop_{self.uid}_0",
                "Config": {"Labels": labels},
            }
            return place / f"dockerd/containers/{self.container_id}/config.v2.json", document
        if self.runtime == "crio":
            return place / f"crio/overlay-containers/{self.container_id}/userdata/config.json", {
                "annotations": labels
            }
        notes = {
            "sandbox-uid": self.uid,
            "sandbox-name": self.name,
            "sandbox-namespace": "shop",
            "container-name": "api",
            "image-name": "registry.example/shop/api:1.2",
            "container-type": "container",
        }
        task = place / f"containerd/io.containerd.runtime.v2.task/k8s.io/{self.container_id}"
        return task / "config.json", {
            "annotations": {f"io.kubernetes.cri.{key}": notes[key] for key in notes}
        }

    def daemon(self, place: Path) -> tuple[str, ...]:
        """Its runtime's command line; of CRI-O there is a conmon for each container."""
        if self.runtime == "containerd":
            return ("containerd", "--state", str(place / "containerd"))
        if self.runtime == "crio":
            return ("conmon", "-b", str(place / f"crio/overlay-containers/{self.container_id}/userdata"))
        return ("dockerd", "--data-root", str(place / "dockerd"))


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pod]]:
    place = tmp_path_factory.mktemp("node")
    found = []
    with ExitStack() as stack:
        for runtime in RUNTIMES:
            for driver in DRIVERS:
                parts = (secrets.token_hex(length) for length in (4, 2, 2, 2, 6))
                pod = Pod(runtime, driver, secrets.token_hex(32), "-".join(parts))
                file, document = pod.state(place)
                file.parent.mkdir(parents=True)
                file.write_text(json.dumps(document))
                name, *options = pod.daemon(place)
                program = place / "bin" / name
                program.parent.mkdir(exist_ok=True)
                program.write_text("#!/bin/sh\nread _\n")
                program.chmod(0o755)
                words = [str(program), *options]
                daemon = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE))
                assert eventually(lambda: Path(f"/proc/{daemon.pid}/comm").read_text() == f"{name}\n")  # noqa: B023  called at once
                stack.enter_context(foreign_cgroup(host_mounts(detect_layout()), SCRIPT, inner=pod.cgroup))
                found.append(pod)
        yield found


@pytest.fixture(scope="module")
def recording(pods: list[Pod], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recording") / "a.run"
    ended = run("record", "-d", "1", "-i", "0.5", "-o", str(file), "-v")
    assert ended.code == 0, ended.err
    assert [pod.name for pod in pods if f"shop/{pod.name}/api" not in ended.out + ended.err] == []
    assert not LONG_ID.search(PATHS.sub("", ended.out + ended.err))
    return file


def test_every_driver_and_runtime_is_found_by_pod_container_and_owner(pods: list[Pod]) -> None:
    among = live(detect_layout())
    for pod in pods:
        deployment = pod.name.rpartition("-")[0].rpartition("-")[0]
        whole = pod.cgroup.rpartition("/")[0]
        for wanted, cgroup in (
            (f"shop/{pod.name}/api", pod.cgroup),
            (pod.container_id[:10], pod.cgroup),
            (f"shop/{pod.name}", whole),
            (pod.name, whole),
            (deployment, whole),
            (f"shop/{deployment}", whole),
        ):
            assert resolve(wanted, among).endswith(f"/{cgroup}"), wanted


def test_a_recording_has_them_by_name(pods: list[Pod], recording: Path) -> None:
    for pod in pods:
        ended = run("blame", f"shop/{pod.name}/api", "--run", str(recording), "--json")
        assert ended.code == 0, ended.err
        document = json.loads(ended.out)
        assert document["name"] == f"shop/{pod.name}/api"
        assert document["cgroup"].endswith(pod.cgroup)


def test_what_runs_now_is_found_by_pod(pods: list[Pod]) -> None:
    ended = run("blame", f"shop/{pods[0].name}/api", "-d", "0.2", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["cgroup"].endswith(pods[0].cgroup)
