"""Cgroups that jostle has not made, with something running in them."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from agent.sandbox.cgroups import Group
from collectors.host.hierarchy import CgroupLayout

BUSY = "while :; do :; done"
# The most that a cgroup can weigh: beside it, whoever else is on the CPU gets 1 % of it.
HEAVIEST = {"cpu.shares": "262144", "cpu.weight": "10000"}


@contextlib.contextmanager
def foreign_cgroup(mounts: list[Path], script: str = BUSY, inner: str = "") -> Iterator[Group]:
    """A cgroup of one name below each mount, whose process runs `script` in the cgroup `inner` of it."""
    name = f"jtest-{os.getpid()}-{secrets.token_hex(3)}"
    whole = Group(f"/{name}", tuple(mount / name for mount in mounts))
    part = Group(f"/{name}/{inner}", tuple(directory / inner for directory in whole.directories))
    try:
        for directory in part.directories:
            directory.mkdir(parents=True)
        with subprocess.Popen(["sh", "-c", f"read _; {script}"], stdin=subprocess.PIPE) as process:
            part.add(process.pid)
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            try:
                yield whole
            finally:
                thaw(whole)
                whole.stop()
    finally:
        whole.remove()


def host_mounts(layout: CgroupLayout) -> list[Path]:
    """Where a service's cgroups are on this host: the v2 hierarchy, and the v1 one that schedules."""
    return [mount for mount in (layout.v2_mount, layout.v1_mounts.get("cpu")) if mount is not None]


def thaw(group: Group) -> None:
    for directory in group.directories:
        for name, text in (("cgroup.freeze", "0"), ("freezer.state", "THAWED")):
            if (directory / name).exists():
                (directory / name).write_text(text)


def is_frozen(group: Group) -> bool:
    """By the kernel's word, in whichever hierarchy."""
    texts = [
        (directory / name).read_text()
        for directory in group.directories
        for name in ("cgroup.events", "freezer.state")
        if (directory / name).exists()
    ]
    return any("frozen 1" in text or "FR" in text for text in texts)


def cpu_ticks(group: Group) -> int:
    """User and system time of all its processes, in clock ticks: fields 14 and 15 of /proc/PID/stat."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in group.pids()]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats)


def outweigh(*directories: Path) -> None:
    """Let a cgroup have nearly all of the CPU, but for others that outweigh too; where none is weighed, nothing."""
    for directory in directories:
        for name, text in HEAVIEST.items():
            if (directory / name).exists():
                (directory / name).write_text(text)


def outweighing(mounts: list[Path]) -> str:
    """The same for all that a jostle runs, as a shell's command in a victim or neighbour that it starts."""
    written = "; ".join(f"[ ! -e $d/{name} ] || echo {text} > $d/{name}" for name, text in HEAVIEST.items())
    return f"for d in {' '.join(f'{mount}/jostle-$PPID-*' for mount in mounts)}; do {written}; done"
