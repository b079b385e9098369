"""Podman, containerd and images on a machine without systemd, a registry or a network, with cgroups of either kind."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from agent.sandbox.existing import ExistingCgroup, Freezable
from agent.sandbox.freezer import v2_freezer
from agent.sandbox.treatments import changes_of, directories, how_to_apply, parse_remedy
from collectors.host.hierarchy import detect_layout
from tests.cli.running import ROOT, run
from tests.vm import cache

BUSY = ("sh", "-c", "while :; do :; done")
# Podman's own choice but where both kinds of cgroups are, which crun refuses.
_RUNTIME = "runc" if detect_layout().v1_mounts else "crun"
# The limits are those of a machine without systemd.
PODMAN = ("podman", "--cgroup-manager=cgroupfs", "--runtime", _RUNTIME)
RUN = (
    *(*PODMAN, "run", "--rm", "--network", "none"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
)
# A jostle in a container is one of many: beside busy ones of the same weight it would wait for a minute.
FIRST = ("--cpu-shares", "262144")
BASE = "localhost/bookworm-base"
LOG = cache.CACHE / "images.log"


def done(*words: str | Path, environment: dict[str, str] | None = None) -> str:
    """What a command printed; the test fails with what it said."""
    ended = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    assert ended.returncode == 0, f"{words}: {ended.stderr[-2000:]}"
    return ended.stdout.strip()


def pack_busybox(place: Path) -> Path:
    """A root with busybox, packed."""
    (place / "root/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", place / "root/bin/busybox")
    for name in ("sh", "sleep"):
        (place / "root/bin" / name).symlink_to("busybox")
    done("tar", "-C", place / "root", "-cf", place / "bb.tar", ".")
    return place / "bb.tar"


def version() -> str:
    """jostle's, as its images are tagged."""
    text = (ROOT / "pyproject.toml").read_text()
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("version = "))


def make_images() -> None:
    """`make images` on a base that mmdebstrap makes, as no registry is asked; buildah keeps what has not changed."""
    if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode:
        packed = cache.CACHE / "base.tar"
        words = ("mmdebstrap", "--variant=minbase", "bookworm", packed, "http://deb.debian.org/debian")
        cache.run(words, LOG, limit_s=900)
        done("podman", "import", "-q", packed, BASE)
        packed.unlink()
    mounts = " ".join(f"-v /etc/{name}:/etc/{name}:ro" for name in ("resolv.conf", "hosts"))
    os.environ["BUILDAH_ISOLATION"] = "chroot"
    cache.run(
        ["make", "images", f"BASE={BASE}", f"BUILDAH=--network host {mounts}"], LOG, cwd=ROOT, limit_s=1800
    )


def blamed(name: str) -> dict[str, object]:
    """What `jostle blame` tells of it now."""
    ended = run("blame", name, "-d", "0.5", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert isinstance(document, dict)
    return document


def take_the_line_for(name: str, remedy: str, environment: dict[str, str] | None = None) -> str:
    """The line that would keep a remedy, run as it is told; the kernel's files then hold what was wanted."""
    layout, wanted = detect_layout(), parse_remedy(remedy)
    cgroup = ExistingCgroup(str(blamed(name)["cgroup"]), ())
    neighbour = Freezable(replace(cgroup, directories=directories(cgroup, layout)), v2_freezer(Path("/")))
    changes = changes_of(wanted, neighbour, layout)
    (line,) = how_to_apply(wanted, neighbour.cgroup, changes)
    done("sh", "-c", line, environment=environment)
    assert {each.file: each.file.read_text().strip() for each in changes} == {
        each.file: each.during for each in changes
    }
    return line
