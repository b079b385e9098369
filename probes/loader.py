"""Spawns the compiling child, takes over what it loaded, and checks it before anything is attached.

The descriptors that arrive here are all that keeps the programs and maps alive: when this process ends, however
it ends, the kernel detaches and frees everything.
"""

import errno
import json
import mmap
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

from probes import bpf_syscall, kernel
from probes.compiler import COUNTER_MAPS, MAPS, PROGRAMS, CompileRequest
from probes.errors import HostError, JostleError, refusal, refusal_in
from probes.isolated import python

CANARY = struct.Struct("<4Q")
"""struct canary of bpf/canary.c."""

_TIMEOUT_S = 120  # 0.7 s on real hardware; an emulated guest takes 7
_EXIT_CODE_HOST = HostError.exit_code


def require_privilege() -> None:
    """Refuse early, with the remedy, where BPF cannot work.

    Raises:
        HostError: Without CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), as root in most containers is; or in a PID
            namespace of its own.
    """
    if not _has_capabilities():
        remedy = "give its container these" if os.geteuid() == 0 else "run it with sudo"
        raise HostError("attaching probes needs root with CAP_BPF and CAP_PERFMON", remedy)
    kernel.require_all_tasks()


def _has_capabilities() -> bool:
    cap_sys_admin, cap_perfmon, cap_bpf = 21, 38, 39  # include/uapi/linux/capability.h
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(effective >> cap_sys_admin & 1 or (effective >> cap_bpf & effective >> cap_perfmon & 1))


def load(request: CompileRequest) -> dict[str, int]:
    """Descriptors of maps and programs, by name.

    Raises:
        HostError: The kernel refused (the verifier's last lines are in the message), or bcc is missing.
        JostleError: Compiling failed, or the child died.
    """
    require_privilege()
    try:
        return _load(request)
    except OSError as error:
        raise refusal("starting the process that loads the probes", error) from error


def _load(request: CompileRequest) -> dict[str, int]:
    ours, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, childs:
        child = subprocess.Popen(
            python("probes.compiler", str(childs.fileno())),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[childs.fileno()],
            text=True,
            errors="replace",
            cwd="/",
        )
        childs.close()
        try:
            _, messages = child.communicate(request.to_json(), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise JostleError(
                f"compiling the probes took over {_TIMEOUT_S} s", "is the machine overloaded?"
            ) from None
        finally:
            child.kill()
            child.wait()
        return _receive(ours, messages)


def _receive(ours: socket.socket, messages: str) -> dict[str, int]:
    header, descriptors, _, _ = socket.recv_fds(ours, 1 << 16, len(MAPS) + len(COUNTER_MAPS) + len(PROGRAMS))
    if not header:
        last = " | ".join(messages.strip().splitlines()[-4:]) or "it said nothing"
        raise JostleError(
            f"the process that loads the probes died: {last}", "is there memory for the compiler?"
        )
    answer = json.loads(header)
    if "error" in answer:
        if refused := refusal_in(
            "making the maps of the probes", messages
        ):  # bcc says the number's words there alone
            raise refused
        kind = HostError if answer["exit_code"] == _EXIT_CODE_HOST else JostleError
        detail = "".join(f"\n  {line}" for line in messages.strip().splitlines()[-6:])
        raise kind(answer["error"] + detail, answer["remedy"])
    if len(descriptors) < len(answer["names"]):  # the kernel cuts off what does not fit
        for descriptor in descriptors:
            os.close(descriptor)
        raise refusal("taking over the probes", OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    return dict(zip(answer["names"], descriptors, strict=True))


def check(prog_fd: int, memory: mmap.mmap, identity_is_v2: bool) -> None:  # noqa: FBT001  a fact about the host
    """Run the canary program on this thread: is what the programs would read at their offsets what the kernel says?

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
    """Inode of this process's v2 cgroup, or None where it cannot be seen from here.

    A mount shows something else at that path when its top is not this cgroup namespace's: `/..` in mountinfo.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        path = next(line[3:] for line in lines if line.startswith("0::"))
        mounts = (
            Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        )
        unified = (line.split() for line in mounts if " - cgroup2 " in line)
        mount = next(fields[4] for fields in unified if fields[3] == "/")
        return os.stat(mount + path).st_ino  # noqa: PTH116  a joined string, not a Path
    except (OSError, StopIteration, IndexError):
        return None
