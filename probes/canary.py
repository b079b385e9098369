"""The offset canary: before anything is attached, is what the programs would read what the kernel says?"""

import mmap
import os
import struct
import threading
from pathlib import Path

from probes import bpf_syscall
from probes.errors import HostError

CANARY = struct.Struct("<4Q")


def check(prog_fd: int, memory: mmap.mmap, identity_is_v2: bool) -> None:  # noqa: FBT001  a fact about the host
    """Run the canary program on this thread and compare.

    Raises:
        HostError: A member read at its BTF offset disagrees with a helper or with /proc, so nothing measured
            with these offsets could be trusted.
    """
    bpf_syscall.test_run(prog_fd)
    pid_tgid, pid, key, run_delay_ns = CANARY.unpack_from(memory)
    tid = threading.get_native_id()
    # The helper counts in the initial pid namespace, as the offset does; /proc's figure only in ours.
    _compare("task_struct.pid", pid, pid_tgid & 0xFFFFFFFF)
    before_ns = _run_delay_ns(tid)
    if before_ns is not None and run_delay_ns > before_ns:
        raise _disagreement("task_struct.sched_info.run_delay", run_delay_ns, before_ns)
    if identity_is_v2:
        inode = _own_v2_inode()
        if inode is not None:
            _compare("the cgroup's id", key, inode)


def _compare(what: str, by_offset: int, by_kernel: int) -> None:
    if by_offset != by_kernel:
        raise _disagreement(what, by_offset, by_kernel)


def _disagreement(what: str, by_offset: int, by_kernel: int) -> HostError:
    return HostError(
        f"{what} read at its BTF offset is {by_offset}, the kernel says {by_kernel}",
        "the kernel's BTF does not describe the running kernel; nothing was attached",
    )


def _run_delay_ns(tid: int) -> int | None:
    """Field 2 of schedstat, read after the canary: at least what the canary saw."""
    try:
        return int(Path(f"/proc/self/task/{tid}/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _own_v2_inode() -> int | None:
    """Inode of this process's v2 cgroup, or None where it cannot be seen from here."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        path = next(line[3:] for line in lines if line.startswith("0::"))
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        mount = next(fields[1] for fields in map(str.split, mounts) if fields[2] == "cgroup2")
        return os.stat(mount + path).st_ino  # noqa: PTH116  a joined string, not a Path
    except (OSError, StopIteration, IndexError):
        return None
