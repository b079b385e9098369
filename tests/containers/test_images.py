"""The images that `make images` builds: how large they are, and that they show a host's containers by name."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.agent.fleet.histories import BEGIN_NS, each_minute, history, sums
from tests.cli.running import ROOT, run
from tests.cli.test_names_everywhere import LONG_ID, PATHS
from tests.containers.runtimes import BUSY, FIRST, PODMAN, RUN, done, make_images, pack_busybox, version

pytestmark = [pytest.mark.slow, pytest.mark.kernel]

# What an image's list says, which is what it takes unpacked.
LARGEST_BYTES = {"": 120e6, "-full": 500e6, "-ship": 280e6}
HOST = (*FIRST, "--pid=host", "-v", "/:/host:ro,rslave")
NAMED_CAPABILITIES = (
    *("--cap-drop=all", "--cap-add=BPF,PERFMON", "--read-only"),
    *("--security-opt", f"seccomp={ROOT / 'packaging/seccomp.json'}"),
)
NAMES = ("host-victim", "host-batch")


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    make_images()


def image(suffix: str = "") -> str:
    return f"localhost/jostle:{version()}{suffix}"


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with prepared probes of this host, for as many cgroups as it may have."""
    folder = tmp_path_factory.mktemp("probes")
    for cgroups in ("1", "3000", "6000", "12000"):
        ended = run("prepare", "--cgroups", cgroups, "-o", str(folder / f"{cgroups}.probes"))
        assert ended.code == 0, ended.err
    return folder


@pytest.fixture(scope="module")
def fighting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two containers of this host that want the same CPU."""
    packed = pack_busybox(tmp_path_factory.mktemp("image"))
    with ExitStack() as stack:
        done("podman", "import", "-q", packed, "localhost/bb:3")
        stack.callback(
            subprocess.run, ["podman", "rmi", "-f", "localhost/bb:3"], check=False, capture_output=True
        )
        for name in NAMES:
            done(*RUN, "-d", "--name", name, "--cpuset-cpus", "0", "localhost/bb:3", *BUSY)
            remove = [*PODMAN, "rm", "-f", "-t", "0", name]
            stack.callback(subprocess.run, remove, check=False, capture_output=True)
        yield


@pytest.mark.parametrize("suffix", LARGEST_BYTES, ids=lambda suffix: suffix or "node")
def test_an_image_is_small(suffix: str) -> None:
    (found,) = json.loads(done("podman", "image", "inspect", image(suffix)))
    assert found["Size"] <= LARGEST_BYTES[suffix]


@pytest.mark.parametrize(
    "allowed",
    [("--privileged",), NAMED_CAPABILITIES, (*NAMED_CAPABILITIES, "--cgroupns=private")],
    ids=["privileged", "capabilities", "own cgroup namespace"],
)
@pytest.mark.usefixtures("fighting")
def test_the_hosts_containers_are_shown_by_name(allowed: tuple[str, ...], probes: Path) -> None:
    prepared = ("-v", f"{probes}:/usr/share/jostle/probes:ro")
    shown = done(
        *RUN, *HOST, *allowed, *prepared, image(), "--host-root", "/host", "top", "--once", "-i", "1"
    )
    assert [name for name in NAMES if name not in shown] == []
    assert not LONG_ID.search(PATHS.sub("", shown))
    told = done(
        *(*RUN, *HOST, *allowed, *prepared, "-e", "JOSTLE_HOST_ROOT=/host"),
        *(image(), "blame", NAMES[0], "-d", "1", "--json"),
    )
    document = json.loads(told)
    assert NAMES[1] in {part["name"] for part in document["parts"]}
    sockets = (
        "--entrypoint",
        "/usr/bin/python3",
        image(),
        "-c",
        "import socket; socket.create_server(('', 9756))",
    )
    done(*RUN, *HOST, *allowed, *sockets)  # as for the agent's metrics


@pytest.mark.usefixtures("fighting")
def test_a_container_that_sees_its_own_cgroups_alone_is_refused(probes: Path) -> None:
    prepared = ("-v", f"{probes}:/usr/share/jostle/probes:ro")
    words = (
        *RUN,
        "--pid=host",
        "--cgroupns=private",
        *NAMED_CAPABILITIES,
        *prepared,
        image(),
        "top",
        "--once",
    )
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "--host-root" in ended.stderr


@pytest.mark.usefixtures("fighting")
def test_the_full_image_compiles_and_makes_pages(tmp_path: Path) -> None:
    """Every library that it brings is used once: what was left out of them is not missed."""
    full = (*RUN, *HOST, "--privileged", "-v", f"{tmp_path}:/out", image("-full"), "--host-root", "/host")
    for name in ("without", "with"):
        done(*full, "record", "-d", "3", "-i", "0.2", "-o", f"/out/{name}.run")
    done(*full, "report", "/out/with.run", "-f", "html", "-o", "/out/a.html")
    assert "<svg" in (tmp_path / "a.html").read_text()
    told = done(*full, "compare", "/out/without.run", "/out/with.run", "--cgroup", NAMES[0], "--json")
    assert json.loads(told)["schema"] == "jostle.verdict/1"
    assert "cannot measure waits" not in done(*full, "doctor")
    for command in ("experiment", "selftest", "advise", "prepare", "events"):
        assert "Usage" in done(*full, command, "--help")


def test_the_image_that_ships_does_without_a_right(tmp_path: Path) -> None:
    history(tmp_path / "history.db", each_minute(BEGIN_NS, 61))
    alone = (*RUN, "--read-only", "--tmpfs", "/tmp", "--cap-drop=all")  # noqa: S108  the container's
    mounted = ("-v", f"{tmp_path}:/var/lib/jostle", image("-ship"))
    done(*alone, *mounted, "ship", "/var/lib/jostle/dataset", "--host", "node-1")
    files = [*(tmp_path / "dataset").glob("v*/cgroups/*/*/*.parquet")]
    shipped = pq.ParquetDataset(files, partitioning=None).read()
    assert set(shipped.column("host").to_pylist()) == {"node-1"}
    assert sum(shipped.column("run_ns").to_pylist()) == sums(tmp_path / "history.db")["run_ns"]
    store = ("--entrypoint", "/usr/lib/jostle/bin/python", image("-ship"), "-c", "import obstore.store")
    done(*alone, *store)
