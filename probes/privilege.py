"""What the probes need of the kernel's capabilities (capabilities(7)), and how the rest is given up."""

import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

from probes import kernel
from probes.errors import HostError, JostleError

# include/uapi/linux/capability.h, include/uapi/linux/prctl.h
_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 1 << 21, 1 << 38, 1 << 39
_VERSION_3 = 0x20080522
_PR_SET_NO_NEW_PRIVS = 38


def require_privilege() -> None:
    """Refuse early, with the remedy, where BPF cannot work.

    Raises:
        HostError: Without CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), as root in most containers is; or in a PID
            namespace of its own.
    """
    effective = _held("CapEff")
    if not (effective & _CAP_SYS_ADMIN or (effective & _CAP_BPF and effective & _CAP_PERFMON)):
        remedy = "give its container these" if os.geteuid() == 0 else "run it with sudo"
        raise HostError("attaching probes needs root with CAP_BPF and CAP_PERFMON", remedy)
    kernel.require_all_tasks()


def give_up(still_works: Callable[[], object]) -> None:
    """Give up for ever, for this thread and those that it starts, every capability that reading does not need.

    That is all of them from 5.19 on (c8644cd0efe7). Before, bpf(2) was wholly refused without CAP_BPF where
    kernel.unprivileged_bpf_disabled is set, as Debian does; then that one stays.

    Args:
        still_works: Reads; called without any capability.
    """
    _add_none()
    permitted, needed = _held("CapPrm"), 0
    _set(0, permitted)
    try:
        still_works()
    except (OSError, JostleError):
        needed = permitted & _CAP_BPF
    _set(needed, needed)


def give_up_all() -> None:
    """Give up every capability for ever, for this thread and those that it starts."""
    _add_none()
    _set(0, 0)


def _add_none() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _held(name: str) -> int:
    status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(f"{name}:"))


def _set(effective: int, permitted: int) -> None:
    """Those inheritable go, and with them those ambient."""
    low, high = ((effective >> shift & 0xFFFFFFFF, permitted >> shift & 0xFFFFFFFF, 0) for shift in (0, 32))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(struct.pack("<Ii", _VERSION_3, 0), struct.pack("<6I", *low, *high)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
