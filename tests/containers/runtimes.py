"""Podman, containerd and images on a machine like CI's: hybrid cgroups, no systemd, no registry, no network."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.cli.running import ROOT, run
from tests.vm import cache

BUSY = ("sh", "-c", "while :; do :; done")
# crun refuses hosts with both kinds of cgroups; the limits are those of a machine without systemd.
PODMAN = ("podman", "--cgroup-manager=cgroupfs", "--runtime", "runc")
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
