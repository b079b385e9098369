"""Names with a real Podman, on runc and on crun: two that fight, a limit, a pause, a new name, a restart."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.containers.runtimes import BUSY, PODMAN, RUN, blamed, done, pack_busybox, take_the_line_for

pytestmark = [pytest.mark.slow, pytest.mark.kernel]

IMAGE = "localhost/bb:2"
NAMES = ("pod-one", "pod-two", "pod-three", "pod-crun")


@pytest.fixture(scope="module")
def fight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Three that want the same CPU, one of them with a tenth of it for its own limit."""
    done("podman", "import", "-q", pack_busybox(tmp_path_factory.mktemp("image")), IMAGE)
    try:
        for name, options in (("pod-one", ()), ("pod-two", ()), ("pod-three", ("--cpus", "0.1"))):
            done(*RUN, "-d", "--name", name, "--cpuset-cpus", "0", *options, IMAGE, *BUSY)
        yield
    finally:
        for words in (("rm", "-f", "-i", "-t", "0", *NAMES), ("rmi", "-f", IMAGE)):
            subprocess.run([*PODMAN, *words], check=False, capture_output=True)


def parts(found: dict[str, object]) -> set[object]:
    listed = found["parts"]
    assert isinstance(listed, list)
    return {part["name"] for part in listed}


@pytest.mark.usefixtures("fight")
def test_two_that_fight_are_told_by_their_names() -> None:
    assert {"pod-two", "pod-three"} <= parts(blamed("pod-one"))
    assert "pod-one" in parts(blamed("pod-two"))


@pytest.mark.usefixtures("fight")
def test_paused_renamed_and_made_anew() -> None:
    done(*PODMAN, "pause", "pod-two")
    assert blamed("pod-two")["wait_ms"] == 0
    done(*PODMAN, "unpause", "pod-two")
    done(*PODMAN, "rename", "pod-two", "pod-new")
    before = blamed("pod-new")
    done(*PODMAN, "rename", "pod-new", "pod-two")
    after = blamed("pod-two")
    assert (before["name"], after["name"], before["cgroup"]) == ("pod-new", "pod-two", after["cgroup"])
    done(*PODMAN, "rm", "-f", "-t", "0", "pod-two")
    done(*RUN, "-d", "--name", "pod-two", "--cpuset-cpus", "0", IMAGE, *BUSY)
    anew = blamed("pod-two")
    assert anew["name"] == "pod-two"
    assert anew["cgroup"] != after["cgroup"]


@pytest.mark.usefixtures("fight")
def test_an_experiment_by_names(tmp_path: Path) -> None:
    words = ["--victim-cgroup", "pod-one", "--neighbour-cgroup", "pod-two", "--allow-freeze"]
    ended = run("experiment", *words, "--pairs", "3", "--max-pairs", "6", "-o", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    verdict = json.loads((tmp_path / "out/verdict.json").read_text())
    assert verdict["verdict"] == "interference"
    assert "pod-two" in {each["name"] for each in verdict["aggressors"]}


@pytest.mark.parametrize("remedy", ["quota=0.25", "cpus=1", "weight=25"])
@pytest.mark.usefixtures("fight")
def test_podman_takes_the_line_that_would_keep_a_remedy(remedy: str) -> None:
    take_the_line_for("pod-two", remedy)


@pytest.mark.usefixtures("fight")
def test_crun(tmp_path: Path) -> None:
    """In a mount namespace where v2 is all there is, as crun refuses a /sys/fs/cgroup that has both kinds of cgroups.

    Privileged, so that no device filter is loaded: for that crun asks for locked memory that not every root may have.
    """
    podman = "podman --cgroup-manager=cgroupfs --runtime crun"
    options = "--privileged --pids-limit=0 --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
    script = tmp_path / "script"
    script.write_text(
        "set -e; test $(stat -fc %T /sys/fs/cgroup) = cgroup2fs || mount -t cgroup2 none /sys/fs/cgroup\n"
        f"{podman} run -d --name pod-crun {options} {IMAGE} {BUSY[0]} {BUSY[1]} '{BUSY[2]}'\n"
        f"echo up; read _; {podman} rm -f -t 0 pod-crun\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(["unshare", "-m", "bash", script], stdin=pipe, stdout=pipe, text=True) as shell:
        assert shell.stdout is not None
        try:
            container_id = shell.stdout.readline().strip()
            assert shell.stdout.readline() == "up\n"
            found = blamed("pod-crun")
            assert (found["name"], str(found["cgroup"]).endswith(container_id)) == ("pod-crun", True)
        finally:
            shell.communicate("\n")
