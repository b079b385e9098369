"""A container with a real systemd, booted from the cached root, that sees the host's kernel as a node agent does."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from collectors.host.hierarchy import detect_layout
from tests.vm import cache, debian, tied
from tests.vm.errors import VmError

_BOOT_S = 60
_PREFIX = "jostle-vm-"
# Without either of the last two, bpf(2) gets EPERM.
_NSPAWN = (
    "systemd-nspawn",
    "--volatile=overlay",
    "--boot",
    "--register=no",
    "--keep-unit",
    "--console=read-only",
    "--bind=/sys/kernel/tracing",
    "--capability=CAP_BPF,CAP_PERFMON,CAP_SYSLOG",
    "--system-call-filter=bpf perf_event_open @module",
)
_INTO_CGROUP = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


class Container:
    """A booted container, by its process 1; commands run inside."""

    def __init__(self, leader: int) -> None:
        self.leader = leader

    def run(self, *command: str, check: bool = True) -> str:
        """What it printed, without the last line's end.

        Raises:
            VmError: It failed, and `check` says that it should not.
        """
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if check and done.returncode:
            raise VmError(
                f"in the container, {' '.join(command)!r} failed: {done.stderr.strip() or done.stdout}"
            )
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Make a file inside."""
        host = Path(f"/proc/{self.leader}/root") / path.lstrip("/")
        host.parent.mkdir(parents=True, exist_ok=True)
        host.write_text(text)


@contextlib.contextmanager
def booted(name: str, binds: Sequence[tuple[Path, str]]) -> Iterator[Container]:
    """Boot one, with (host path, path inside) to be seen read-only there; it is gone afterwards.

    Raises:
        VmError: It did not boot; its console's log is named.
    """
    root, log = debian.root(), cache.CACHE / "runs" / name / "console.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    mounts = [f"--bind-ro={host}:{inside}" for host, inside in binds]
    with own_cgroup() as group, log.open("wb") as out:
        nspawn = subprocess.Popen(
            [
                "sh",
                "-c",
                _INTO_CGROUP,
                group,
                *tied.TREE,
                *_NSPAWN,
                "-D",
                root,
                f"--machine=jostle-{os.getpid()}",
                *mounts,
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_LOCK": "0"},
        )
        try:
            container = Container(_leader_of(nspawn, log))
            _await_boot(container, nspawn, log)
            yield container
            (log.parent / "journal.log").write_text(container.run("journalctl", "--no-pager", check=False))
        finally:
            nspawn.kill()
            nspawn.wait()


@contextlib.contextmanager
def own_cgroup() -> Iterator[Path]:
    """nspawn moves whoever shares its cgroup, so it gets one of its own; and makes it in v1 hierarchies as well."""
    group = cgroup_of(os.getpid())
    mounts = {group.parent, *detect_layout().v1_mounts.values()}
    for mount in mounts:
        for stale in _of_the_dead(mount):
            _remove(stale)
    group.mkdir()
    try:
        yield group
    finally:
        (group / "cgroup.kill").write_text("1")
        for mount in mounts:
            _remove(mount / group.name)


def cgroup_of(run: int) -> Path:
    """That of a run, by its process.

    Raises:
        VmError: This machine has no cgroup2 hierarchy.
    """
    mount = detect_layout().v2_mount
    if mount is None:
        raise VmError("there is no cgroup2 hierarchy here, which systemd in a container needs")
    return mount / f"{_PREFIX}{run}"


def _of_the_dead(mount: Path) -> Iterator[Path]:
    """Cgroups of runs that were killed: all in them ended as well, and nobody was left to remove them."""
    for group in mount.glob(f"{_PREFIX}*"):
        if not Path("/proc", group.name.removeprefix(_PREFIX)).exists():
            yield group


def _remove(group: Path) -> None:
    end = time.monotonic() + 10
    while group.exists():
        with contextlib.suppress(OSError):  # its processes are about to end
            for directory, _, _ in os.walk(group, topdown=False):
                Path(directory).rmdir()
        if time.monotonic() > end:
            raise VmError(f"{group} cannot be removed")
        time.sleep(0.02)


def _leader_of(nspawn: "subprocess.Popen[bytes]", log: Path) -> int:
    """The container's process 1: below unshare and nspawn, in the pid namespace below theirs."""
    end = time.monotonic() + _BOOT_S
    while time.monotonic() < end and nspawn.poll() is None:
        for child in _children(nspawn.pid):
            for leader in _children(child):
                if len(_pids(leader)) > len(_pids(child)) and _pids(leader)[-1] == 1:
                    return leader
        time.sleep(0.02)
    raise VmError("the container was not started", log)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _pids(pid: int) -> list[int]:
    """Its numbers, in each pid namespace from ours to its own."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return []
    return [
        int(number)
        for line in status.splitlines()
        if line.startswith("NSpid:")
        for number in line.split()[1:]
    ]


def _await_boot(container: Container, nspawn: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _BOOT_S
    while container.run("systemctl", "is-system-running", check=False) not in {"running", "degraded"}:
        if time.monotonic() > end or nspawn.poll() is not None:
            raise VmError(f"systemd was not up within {_BOOT_S} s", log)
        time.sleep(0.1)
