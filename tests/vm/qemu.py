"""Runs a command in an emulated guest that sees the checkout at its own path, and is judged by its marker line."""

import contextlib
import math
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from tests.vm import cache, tied, verdict
from tests.vm.errors import VmError

_VIRTIOFSD = "/usr/lib/qemu/virtiofsd"  # in qemu-system-common
_MEMORY_MB = 2048
# The model that shows a guest two threads a core; `max` shows none.
_CPU_WITH_THREADS = "Skylake-Server"
# What a guest may write: its log, and to its copy of the root (pytest's directories).
_FREE_BYTES = 512 << 20
_SOCKET = "virtiofsd.sock"  # by this name, in the run's directory: a path to it may be longer than a socket's can be


# An emulated kernel that changes its own code while its other CPU runs it can die before it comes to anything of ours
# (int3 in sched_clock_cpu of 7.3, after 1.3 s): one that ends before main.sh has said its line is booted once more.
_BOOTS, _BEGUN = 2, b"\nmain: "
# So is one that falls silent: where a CPU has kept a breakpoint that another one has long replaced, it traps for ever
# (int3 in __queue_work of 6.1 after a probe was detached; both CPUs in poke_int3_handler, nothing printed any more).
_LOOK_S = 0.2
_End = Literal["ended", "late", "silent"]


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine and what it boots.

    Attributes:
        name: As printed, and of its directory of logs.
        machine: QEMU's program and the options that make the machine.
        console: The kernel's name of its serial port.
        cgroups: The only version of the hierarchies that it has.
        words: More of its kernel's command line.
        systemd: The command is a unit of a systemd that boots, beside the units that `make install` puts in place.
    """

    name: str
    machine: tuple[str, ...]
    console: str
    kernel: Path
    initrd: Path
    image: Path
    cgroups: Literal["v1", "v2"] = "v2"
    words: tuple[str, ...] = ()
    systemd: bool = False


def x86_64(cpus: int) -> tuple[str, ...]:
    """QEMU's words for an x86-64 machine. Five-level page tables cost the emulation time."""
    accel = ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,-la57", "-smp", str(cpus))
    return ("qemu-system-x86_64", "-M", "q35,memory-backend=mem", *accel, *_memory("mem", _MEMORY_MB))


def two_sockets(cpus: int) -> tuple[str, ...]:
    """The same of two sockets, each a NUMA node of its own, and two threads a core: siblings are neighbours."""
    smp = f"{cpus},sockets=2,cores={cpus // 4},threads=2"
    accel = ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", _CPU_WITH_THREADS, "-smp", smp)
    half = cpus // 2
    nodes = (
        *("-numa", f"node,cpus=0-{half - 1},memdev=mem0"),
        *("-numa", f"node,cpus={half}-{cpus - 1},memdev=mem1"),
    )
    memory = (*_memory("mem0", _MEMORY_MB // 2), *_memory("mem1", _MEMORY_MB // 2))
    return ("qemu-system-x86_64", "-M", "q35", *accel, *memory, *nodes)


def arm64(icount_shift: int) -> tuple[str, ...]:
    """QEMU's words for an arm64 machine whose every instruction takes 2^shift nanoseconds, and so many cycles."""
    accel = ("-accel", "tcg,thread=single", "-icount", f"shift={icount_shift}", "-cpu", "max", "-smp", "1")
    return ("qemu-system-aarch64", "-M", "virt,memory-backend=mem", *accel, *_memory("mem", _MEMORY_MB))


def _memory(name: str, size_mb: int) -> tuple[str, ...]:
    """Shared, as virtiofsd reads and writes it."""
    return ("-object", f"memory-backend-memfd,id={name},size={size_mb}M,share=on")


def directory_of(guest: Guest) -> Path:
    """Where its log is, and what its command leaves."""
    return cache.CACHE / "runs" / guest.name


def run(guest: Guest, command: str, *, limit_s: float, silent_s: float = math.inf) -> Path:
    """Run a shell command, as root in the checkout, in a fresh copy of the guest. Returns the run's directory.

    The console's log is `console.log` in there; the command may leave files beside it. A guest that prints nothing for
    `silent_s` is booted once more.

    Raises:
        VmError: It did not end well within the time.
    """
    directory, nonce = directory_of(guest), secrets.token_hex(8)
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    cache.require_room(directory, _FREE_BYTES)
    (directory / "command").write_text(command)
    words = {
        "console": guest.console,
        "panic": "-1",
        "oops": "panic",
        "jostle.cgroups": guest.cgroups,
        "jostle.systemd": int(guest.systemd),
        "jostle.checkout": cache.CHECKOUT,
        "jostle.run": directory,
        "jostle.nonce": nonce,
    }
    if guest.cgroups == "v2":
        words["cgroup_no_v1"] = "all"
    # Its own watchdogs would break the silence that tells a guest that traps for ever.
    still = ("quiet", "nowatchdog", "rcupdate.rcu_cpu_stall_suppress=1")
    append = " ".join((*still, *guest.words, *(f"{name}={value}" for name, value in words.items())))
    log = directory / "console.log"
    for boot in range(1, _BOOTS + 1):
        with _shared_checkout(directory), log.open("wb") as out:
            words_of_it = [*guest.machine, *_devices(guest), "-append", append]
            end = _to_its_end(words_of_it, directory, out, limit_s, silent_s)
        if end == "late" or (end == "ended" and _BEGUN in log.read_bytes()):
            break
        (directory / _SOCKET).unlink(missing_ok=True)
        if boot < _BOOTS:
            why = "fell silent" if end == "silent" else "ended before it began"
            print(f"{guest.name}: {why}, booted once more", file=sys.stderr, flush=True)
    waited_s = {"ended": None, "late": limit_s, "silent": silent_s}[end]
    verdict.judge(guest.name, log, nonce, timed_out_after_s=waited_s)
    return directory


def _devices(guest: Guest) -> Sequence[str]:
    return (
        *("-m", str(_MEMORY_MB)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-net", "none"),
        *("-kernel", str(guest.kernel), "-initrd", str(guest.initrd)),
        *(
            "-drive",
            f"file={guest.image},format=raw,if=none,id=d0,snapshot=on,werror=report",
            "-device",
            "virtio-blk-pci,drive=d0",
        ),
        *("-chardev", f"socket,id=v,path={_SOCKET}", "-device", "vhost-user-fs-pci,chardev=v,tag=checkout"),
    )


@contextlib.contextmanager
def _shared_checkout(directory: Path) -> Iterator[None]:
    """A virtiofsd for the guest of that run; it is gone afterwards."""
    log = directory / "virtiofsd.log"
    with log.open("wb") as out:
        options = ("-o", f"source={cache.CHECKOUT}", "-o", "cache=auto", "-o", "sandbox=chroot")
        server = subprocess.Popen(
            [*tied.PROGRAM, _VIRTIOFSD, f"--socket-path={_SOCKET}", *options, "--rlimit-nofile=0"],
            stdout=out,
            stderr=out,
            cwd=directory,
        )
        try:
            _await(directory / _SOCKET, server, log)
            yield
        finally:
            server.kill()
            server.wait()


def _await(sock: Path, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 30
    while not sock.exists():
        if server.poll() is not None or time.monotonic() > end:
            raise VmError("the checkout could not be shared with the guest", log)
        time.sleep(0.02)


def _to_its_end(
    command: Sequence[str], directory: Path, out: IO[bytes], limit_s: float, silent_s: float = math.inf
) -> _End:
    """How it ended, in that directory; it has ended in any case. `out` is what it prints to."""
    if shutil.which(command[0]) is None:
        raise VmError(f"{command[0]} is not installed: run packaging/setup.sh vm")
    process = subprocess.Popen(
        [*tied.PROGRAM, *command],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        cwd=directory,
        env=os.environ | {"TMPDIR": str(directory)},
    )
    began_s = heard_s = time.monotonic()
    size = 0
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
                return "ended"
            now_s, printed = time.monotonic(), os.fstat(out.fileno()).st_size
            if printed != size:
                heard_s, size = now_s, printed
            if now_s - began_s > limit_s:
                return "late"
            if now_s - heard_s > silent_s:
                return "silent"
    finally:
        process.kill()
        process.wait()
