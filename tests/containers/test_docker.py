"""Names with a real Docker and Podman, their data where nobody expects it. Asked for with `make test-containers`."""

import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from tests.cli.running import eventually, run
from tests.cli.test_names_everywhere import LONG_ID, PATHS
from tests.containers.runtimes import BUSY, blamed, done, pack_busybox, take_the_line_for

pytestmark = [pytest.mark.slow, pytest.mark.kernel]

LONG_NAME = "x" * 200
INNER_CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "MKNOD", "DAC_READ_SEARCH")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_busybox(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def docker(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Docker"]:
    place = tmp_path_factory.mktemp("docker")
    (place / "daemon.json").write_text(json.dumps({"data-root": str(place / "data")}))
    words: list[str | Path] = [
        "dockerd",
        "--config-file",
        place / "daemon.json",
        "--exec-root",
        place / "exec",
        "-p",
        place / "pid",
    ]
    words += ["-H", f"unix://{place}/s", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    with (place / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as daemon:
        found = Docker(place)
        try:
            assert eventually(lambda: found.try_("info").returncode == 0), (place / "log").read_text()
            found("import", str(image), "bb:1")
            yield found
        finally:
            for each in found.try_("ps", "-aq").stdout.split():
                found.try_("rm", "-f", each)
            daemon.terminate()


class Docker:
    """A daemon of our own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{place}/s"}

    def try_(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["docker", *words], env=self.environment, capture_output=True, text=True, check=False
        )

    def __call__(self, *words: str) -> str:
        ended = self.try_(*words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    @property
    def containerd(self) -> Path:
        """The socket of the containerd that the daemon has started."""
        return self.place / "exec/containerd/containerd.sock"

    def start(self, name: str, *options: str) -> str:
        """The id of a container that wants a whole CPU, the same as the others."""
        quiet = ("-d", "--network", "none", "--cpuset-cpus", "0")
        return self("run", *quiet, "--name", name, *options, "bb:1", *BUSY)


@pytest.fixture
def fight(docker: Docker) -> Iterator[dict[str, str]]:
    service = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=api")
    yield {
        "victim-api": docker.start("victim-api", *service),
        "noisy-batch": docker.start("noisy-batch"),
        LONG_NAME: docker.start(LONG_NAME, "--cpus", "0.1"),
    }
    for each in docker("ps", "-aq").split():
        docker("rm", "-f", each)


def test_two_that_fight_are_told_by_their_names(fight: dict[str, str]) -> None:
    for wanted in ("victim-api", "shop/api", "api", fight["victim-api"][:12]):
        found = blamed(wanted)
        assert found["name"] == "victim-api"
    parts = found["parts"]
    assert isinstance(parts, list)
    assert {"noisy-batch", LONG_NAME} <= {part["name"] for part in parts}
    ended = run("top", "--once", "-i", "1", "--cgroup", "noisy-batch")
    assert "noisy-batch" in ended.out
    assert not LONG_ID.search(PATHS.sub("", ended.out))
    ended = run("blame", "bb:1")  # all three are made of it
    assert (ended.code, ended.out) == (2, "")
    assert "3 cgroups are called bb:1" in ended.err


def test_a_container_that_is_renamed_paused_or_made_anew_is_found(
    docker: Docker, fight: dict[str, str]
) -> None:
    docker("rename", "noisy-batch", "quiet-batch")
    assert str(blamed("quiet-batch")["cgroup"]).endswith(fight["noisy-batch"])
    docker("pause", "quiet-batch")
    assert blamed("quiet-batch")["wait_ms"] == 0
    docker("restart", "-t", "0", "victim-api")
    assert str(blamed("victim-api")["cgroup"]).endswith(fight["victim-api"])
    docker("rm", "-f", "victim-api")
    anew = docker.start("victim-api")
    assert str(blamed("victim-api")["cgroup"]).endswith(anew)


def test_an_experiment_on_running_containers(tmp_path: Path, fight: dict[str, str]) -> None:
    words = ["--victim-cgroup", "victim-api", "--neighbour-cgroup", "noisy-batch", "--allow-freeze"]
    ended = run("experiment", *words, "--pairs", "3", "--max-pairs", "6", "-o", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    verdict = json.loads((tmp_path / "out/verdict.json").read_text())
    assert verdict["verdict"] == "interference"
    assert verdict["aggressors"][0]["name"] == "noisy-batch"
    assert verdict["aggressors"][0]["cgroup"].endswith(fight["noisy-batch"])
    assert not LONG_ID.search(PATHS.sub("", ended.out))


def test_a_container_keeps_its_history_over_a_restart(
    docker: Docker, fight: dict[str, str], tmp_path: Path
) -> None:
    """What it was and what it is now is one workload, whatever its cgroup is."""
    for number in range(2):
        ended = run("record", "-d", "1", "-i", "0.5", "-o", str(tmp_path / f"{number}.run"))
        assert ended.code == 0, ended.err
        docker("rm", "-f", "victim-api")
        docker.start("victim-api")
    for number in range(2):
        ended = run("blame", "victim-api", "--run", str(tmp_path / f"{number}.run"), "--json")
        assert (ended.code, json.loads(ended.out)["name"]) == (0, "victim-api")
    cgroups = {
        json.loads(run("blame", "victim-api", "--run", str(tmp_path / f"{number}.run"), "--json").out)[
            "cgroup"
        ]
        for number in range(2)
    }
    assert len(cgroups) == 2
    assert fight["victim-api"] in "".join(cgroups)
    # Before and after are compared by its name alone.
    ended = run(
        "compare", str(tmp_path / "0.run"), str(tmp_path / "1.run"), "--cgroup", "victim-api", "--json"
    )
    assert ended.code == 0, ended.err


def test_one_with_a_limit_waits_for_its_own_quota(fight: dict[str, str]) -> None:
    assert LONG_NAME in fight
    ended = run("top", "--once", "-i", "1", "--cgroup", LONG_NAME, "--json")
    assert ended.code == 0, ended.err
    assert LONG_NAME in ended.out


@pytest.mark.parametrize(
    ("remedy", "asked", "found"),
    [("quota=0.25", "NanoCpus", 250_000_000), ("cpus=1", "CpusetCpus", "1"), ("weight=25", "CpuShares", 256)],
)
def test_docker_takes_the_line_that_would_keep_a_remedy(
    docker: Docker, fight: dict[str, str], remedy: str, asked: str, found: object
) -> None:
    assert str(blamed("noisy-batch")["cgroup"]).endswith(fight["noisy-batch"])
    line = take_the_line_for("noisy-batch", remedy, docker.environment)
    (container,) = json.loads(docker("inspect", "noisy-batch"))
    # Docker has shares alone, and what becomes of them on v2 is its version's affair: there it is the kernel's file.
    assert container["HostConfig"][asked] == (0 if line.startswith("echo") else found)
    assert line.startswith("echo") == (remedy.startswith("weight") and "cpu" not in detect_layout().v1_mounts)


def test_containerd_by_name_and_by_pod(docker: Docker, tmp_path: Path) -> None:
    """Ids of 64 digits with the annotations of nerdctl and of the kubelet's CRI, by a real containerd and its shim."""
    ctr = ("ctr", "-a", str(docker.containerd), "-n", "jostle")
    docker("save", "-o", str(tmp_path / "bb.tar"), "bb:1")
    done(*ctr, "images", "import", str(tmp_path / "bb.tar"))
    cri = {
        "sandbox-uid": f"{'ab' * 4}-1111-2222-3333-{'cd' * 6}",
        "sandbox-name": "api-0",
        "sandbox-namespace": "shop",
    }
    notes = {f"io.kubernetes.cri.{key}": value for key, value in {**cri, "container-name": "api"}.items()}
    started = {
        "nerd-web": ("/nerdctl", {"nerdctl/name": "nerd-web"}),
        "shop/api-0/api": (f"/kubepods/burstable/pod{cri['sandbox-uid']}", notes),
    }
    with ExitStack() as stack:
        for name, (parent, annotations) in started.items():
            container_id = secrets.token_hex(32)
            words = [
                word for key, value in annotations.items() for word in ("--annotation", f"{key}={value}")
            ]
            cgroup = ("--cgroup", f"{parent}/{container_id}")
            done(*ctr, "run", "-d", *cgroup, *words, "docker.io/library/bb:1", container_id, *BUSY)
            for gone in (("tasks", "rm", "-f", container_id), ("containers", "rm", container_id)):
                stack.callback(subprocess.run, [*ctr, *gone], check=False, capture_output=True)
            assert str(blamed(name)["cgroup"]).endswith(container_id)
        assert str(blamed("api-0")["cgroup"]).endswith(f"pod{cri['sandbox-uid']}")
        ended = run("top", "--once", "-i", "1")
        assert [name for name in started if name not in ended.out] == []
        assert not LONG_ID.search(PATHS.sub("", ended.out))


def test_docker_in_docker_is_the_outer_container_s(docker: Docker, image: Path, tmp_path: Path) -> None:
    """A tenant's daemon names nobody: his containers have the beginnings of their ids, within his where they are so."""
    root = tmp_path / "root"
    for name in ("bin", "sbin", "lib", "lib64"):
        root.mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("usr", "etc", "tmp", "run", "var", "data", "given", "proc", "sys", "dev"):
        (root / name).mkdir()
    done("tar", "-C", root, "-cf", tmp_path / "host.tar", ".")
    docker("import", str(tmp_path / "host.tar"), "host:1")
    (tmp_path / "data").mkdir()
    mounts = ("/usr:/usr:ro", "/etc:/etc:ro", f"{tmp_path}/data:/data", f"{image.parent}:/given:ro")
    volumes = [word for mount in mounts for word in ("-v", mount)]
    inner = (
        "dockerd",
        "--data-root",
        "/data",
        "--exec-root",
        "/run/d",
        "-p",
        "/run/d.pid",
        "-H",
        "unix:///run/d.sock",
    )
    quiet = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs")
    scratch = [word for folder in ("/run", "/tmp") for word in ("--tmpfs", folder)]  # noqa: S108  the container's own
    # What --privileged gives, less what not every root has (SYS_RESOURCE).
    allowed = [word for name in INNER_CAPABILITIES for word in ("--cap-add", name)]
    for unconfined in ("seccomp", "apparmor", "systempaths"):
        allowed += ["--security-opt", f"{unconfined}=unconfined"]
    # In the host's cgroup namespace, as on v1 in any case: the inner daemon finds the tree where its paths say.
    alone = (
        *(*allowed, "-v", "/sys/fs/cgroup:/sys/fs/cgroup", "--cgroupns", "host"),
        *("--network", "none", "--name", "dind"),
    )
    outer = docker("run", "-d", *alone, *scratch, *volumes, "host:1", *inner, *quiet)
    try:
        ours = ("exec", "dind", "docker", "-H", "unix:///run/d.sock")
        assert eventually(lambda: docker.try_(*ours, "info").returncode == 0), docker("logs", "dind")[-2000:]
        docker(*ours, "import", f"/given/{image.name}", "bb:1")
        nested = docker(*ours, "run", "-d", "--network", "none", "--name", "inner", "bb:1", *BUSY)
        found = blamed("dind")
        assert (found["name"], str(found["cgroup"]).endswith(outer)) == ("dind", True)
        ended = run("top", "--once", "-i", "1")
        assert re.search(rf"(dind/\S*|docker ){nested[:12]}", ended.out.replace("\n", "")), ended.out
        assert not LONG_ID.search(PATHS.sub("", ended.out))
    finally:
        docker.try_("rm", "-f", "-v", "dind")
