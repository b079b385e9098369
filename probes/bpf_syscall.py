"""bpf(2) by ctypes: the handful of commands that bcc has no call for, or that the parent needs without bcc.

Sources: include/uapi/linux/bpf.h (union bpf_attr) and bpf(2).
"""

import contextlib
import ctypes
import mmap
import os
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from probes.errors import SHORTAGES, HostError, JostleError, locked_down, refusal

PROG_TYPE_RAW_TRACEPOINT, PROG_TYPE_TRACING = 17, 26
ATTACH_TRACE_RAW_TP, ATTACH_TRACE_ITER = 23, 28

_PROG_LOAD, _PROG_TEST_RUN, _OBJ_GET_INFO_BY_FD, _RAW_TRACEPOINT_OPEN = 5, 10, 15, 17
_LINK_CREATE, _ENABLE_STATS, _ITER_CREATE = 28, 32, 33

_SYSCALL_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
_LOG_BYTES = 16 << 20
_ATTR_BYTES = 144

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attr: bytes) -> int:
    """One bpf(2) call; raises OSError."""
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        raise HostError(f"bpf(2) has no known number on {platform.machine()}", "run on x86-64 or arm64")
    buffer = ctypes.create_string_buffer(attr.ljust(_ATTR_BYTES, b"\0"), _ATTR_BYTES)
    result: int = _libc.syscall(number, command, buffer, _ATTR_BYTES)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program, as bcc hands it out, and what it is to be loaded as."""

    name: str
    code: bytes
    prog_type: int
    attach_type: int = 0
    attach_btf_id: int = 0


class VerifierError(JostleError):
    """The kernel refused a program; the message ends with the verifier's last lines."""

    exit_code = 3


def load(program: Program) -> int:
    """Load a program and return its descriptor.

    Raises:
        VerifierError: With the verifier's last lines. A kernel that is locked down refuses helpers this way.
        HostError: Forbidden.
        JostleError: Out of memory or descriptors.
    """
    try:
        return _load(program, None)
    except OSError as error:
        first = error
    what = f"loading the program {program.name}"
    if first.errno in SHORTAGES:
        raise refusal(what, first) from first
    log = ctypes.create_string_buffer(_LOG_BYTES)
    try:
        return _load(program, log)
    except OSError:
        lines = log.value.decode(errors="replace").strip().splitlines()[-6:]
    if not lines:  # it did not come as far as the verifier
        raise refusal(what, first) from first
    raise VerifierError(
        f"the kernel refused the program {program.name} ({first.strerror}): {' | '.join(lines)}",
        locked_down(),
    ) from first


def _load(program: Program, log: ctypes.Array[ctypes.c_char] | None) -> int:
    code = ctypes.create_string_buffer(program.code, len(program.code))
    license_text = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack(
        "<IIQQIIQII16sIIIIQIIQIII",
        program.prog_type,
        len(program.code) // 8,
        ctypes.addressof(code),
        ctypes.addressof(license_text),
        1 if log else 0,
        len(log) if log else 0,
        ctypes.addressof(log) if log else 0,
        0,
        0,
        program.name.encode()[:15],
        0,
        program.attach_type,
        *(0, 0, 0, 0, 0, 0, 0),
        program.attach_btf_id,
        0,
    )
    return _bpf(_PROG_LOAD, attr)


def attach_tracepoint(prog_fd: int, name: str | None) -> int:
    """Attach to a raw tracepoint; typed programs know their own, so `name` is None. Closing the result detaches."""
    text = ctypes.create_string_buffer(name.encode()) if name else None
    return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("<QI4x", ctypes.addressof(text) if text else 0, prog_fd))


def attach_iterator(prog_fd: int, map_fd: int | None = None) -> int:
    """A link for an iterator program over tasks, or over a map's elements, from which `run_iterator` makes runs."""
    info = ctypes.create_string_buffer(struct.pack("<I", map_fd or 0), 4)  # union bpf_iter_link_info
    over_map = () if map_fd is None else (ctypes.addressof(info), len(info))
    attr = struct.pack("<IIII", prog_fd, 0, ATTACH_TRACE_ITER, 0)
    return _bpf(_LINK_CREATE, attr + (struct.pack("<QI", *over_map) if over_map else b""))


def run_iterator(link_fd: int) -> None:
    """Run an iterator once over all that it is for; the programs here print nothing."""
    descriptor = _bpf(_ITER_CREATE, struct.pack("<II", link_fd, 0))
    try:
        while os.read(descriptor, 4096):
            pass
    finally:
        os.close(descriptor)


def test_run(prog_fd: int) -> None:
    """Run a raw tracepoint program that reads no arguments once, here and now (1b4d60ec162f, 5.10)."""
    _bpf(_PROG_TEST_RUN, struct.pack("<I", prog_fd))


def enable_stats() -> int:
    """Turn on the kernel's run-time accounting of BPF programs for as long as the result is open (5.8)."""
    return _bpf(_ENABLE_STATS, struct.pack("<I", 0))


@dataclass(frozen=True, slots=True)
class RunStats:
    """How long a program ran and how often, while accounting was on."""

    run_time_ns: int
    run_count: int


def run_stats(prog_fd: int) -> RunStats:
    """The kernel's accounting of one program (struct bpf_prog_info)."""
    info = ctypes.create_string_buffer(256)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", prog_fd, len(info), ctypes.addressof(info)))
    run_time_ns, run_count = struct.unpack_from("<QQ", info, 192)
    return RunStats(run_time_ns, run_count)


def map_memory(map_fd: int, entries: int, value_bytes: int, first_byte: int = 0) -> mmap.mmap:
    """An array map made with BPF_F_MMAPABLE as memory, from a page's boundary on: reading it costs no system call.

    All of its pages are resident at once (remap_vmalloc_range()).
    """
    page = mmap.PAGESIZE
    length = (entries * ((value_bytes + 7) & ~7) + page - 1) // page * page
    access = mmap.PROT_READ | mmap.PROT_WRITE
    return mmap.mmap(map_fd, length, mmap.MAP_SHARED, access, offset=first_byte)


@dataclass(frozen=True, slots=True)
class ArrayMap:
    """An array map whose memory is mapped only while it is used: one of 6 MB costs 0.1 ms each time, and no memory."""

    descriptor: int
    entries: int
    value_bytes: int

    @contextlib.contextmanager
    def mapped(self, first: int = 0, entries: int | None = None) -> Iterator[mmap.mmap]:
        """So many entries from the first on, which must begin a page; all of them by default."""
        count = self.entries if entries is None else entries
        with map_memory(self.descriptor, count, self.value_bytes, first * self.value_bytes) as memory:
            yield memory
