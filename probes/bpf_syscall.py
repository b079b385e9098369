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
from pathlib import Path
from typing import NamedTuple

from probes.errors import SHORTAGES, HostError, JostleError, locked_down, refusal

PROG_TYPE_SOCKET_FILTER, PROG_TYPE_RAW_TRACEPOINT, PROG_TYPE_TRACING = 1, 17, 26
ATTACH_TRACE_RAW_TP, ATTACH_TRACE_ITER = 23, 28

_MAP_CREATE, _PROG_LOAD, _PROG_TEST_RUN, _OBJ_GET_INFO_BY_FD, _RAW_TRACEPOINT_OPEN = 0, 5, 10, 15, 17
_MAP_DELETE, _MAP_LOOKUP_BATCH = 3, 24
_LINK_CREATE, _ENABLE_STATS, _ITER_CREATE = 28, 32, 33

_SYSCALL_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
_LOG_BYTES = 16 << 20
_ATTR_BYTES = 144
_PACKET_BYTES = 64  # an Ethernet header's 14 at least
_BATCH = 512

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attr: bytes) -> int:
    """One bpf(2) call; raises OSError."""
    return _call(command, ctypes.create_string_buffer(attr.ljust(_ATTR_BYTES, b"\0"), _ATTR_BYTES))


def _call(command: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    """The same with what the kernel writes back into it."""
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        raise HostError(f"bpf(2) has no known number on {platform.machine()}", "run on x86-64 or arm64")
    result: int = _libc.syscall(number, command, buffer, _ATTR_BYTES)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


class MapShape(NamedTuple):
    """How a map is made; the kernel's names: type, key_size, value_size, max_entries, map_flags."""

    map_type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


def map_shape(map_fd: int) -> MapShape:
    """Of a map that there is (struct bpf_map_info)."""
    info = ctypes.create_string_buffer(88)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", map_fd, len(info), ctypes.addressof(info)))
    map_type, _id, *sizes = struct.unpack_from("<6I", info)
    return MapShape(map_type, *sizes)


def held_bytes(descriptor: int) -> int | None:
    """Kernel memory that a map or a program holds (bpf_map_show_fdinfo()); None where the kernel does not say."""
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "memlock":
            return int(value)
    return None


def create_map(name: str, shape: MapShape) -> int:
    """The descriptor of a new, empty map.

    Raises:
        HostError: Forbidden.
        JostleError: Out of memory or descriptors.
    """
    head = (shape.map_type, shape.key_bytes, shape.value_bytes, shape.entries, shape.flags)
    try:
        return _bpf(_MAP_CREATE, struct.pack("<7I16s", *head, 0, 0, name.encode()[:15]))
    except OSError as error:
        raise refusal("making the maps of the probes", error) from error


class Program(NamedTuple):
    """A compiled program, and what it is to be loaded as."""

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


def attach_iterator(prog_fd: int) -> int:
    """A link for an iterator program, from which `run_iterator` makes runs."""
    return _bpf(_LINK_CREATE, struct.pack("<IIII", prog_fd, 0, ATTACH_TRACE_ITER, 0))


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


def run_over(prog_fd: int, entries: int, place: mmap.mmap) -> None:
    """Run a socket filter program, here and now, once for each entry of an array (1cf1cae963c2, 4.12).

    It gets an empty packet, and finds in the u32 at the start of `place` which entry is next, and counts it up there. A
    signal ends the kernel's loop; what is left is run after its handler.
    """
    packet = ctypes.create_string_buffer(_PACKET_BYTES)
    while (done := int.from_bytes(place[:4], "little")) < entries:
        attr = struct.pack("<4I2QI", prog_fd, 0, len(packet), 0, ctypes.addressof(packet), 0, entries - done)
        with contextlib.suppress(InterruptedError):
            _bpf(_PROG_TEST_RUN, attr)


def enable_stats() -> int:
    """Turn on the kernel's run-time accounting of BPF programs for as long as the result is open (5.8)."""
    return _bpf(_ENABLE_STATS, struct.pack("<I", 0))


def lookup_all(map_fd: int, key_bytes: int, value_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of every element of a hash, _BATCH at a time (057996380a42, 5.6)."""
    keys = ctypes.create_string_buffer(_BATCH * key_bytes)
    values = ctypes.create_string_buffer(_BATCH * value_bytes)
    place, begun, more = ctypes.create_string_buffer(8), False, True
    while more:
        at = ctypes.addressof(place)
        where = at if begun else 0, at, ctypes.addressof(keys), ctypes.addressof(values)
        attr = ctypes.create_string_buffer(struct.pack("<4QIIQQ", *where, _BATCH, map_fd, 0, 0), _ATTR_BYTES)
        try:
            _call(_MAP_LOOKUP_BATCH, attr)
        except FileNotFoundError:  # the last batch
            more = False
        (count,) = struct.unpack_from("<I", attr, 32)
        raw, held = keys.raw, values.raw
        for i in range(count):
            yield raw[i * key_bytes : (i + 1) * key_bytes], held[i * value_bytes : (i + 1) * value_bytes]
        begun = True


def delete(map_fd: int, key: bytes) -> None:
    """Remove an element of a hash, if it is there."""
    buffer = ctypes.create_string_buffer(key, len(key))
    with contextlib.suppress(FileNotFoundError):
        _bpf(_MAP_DELETE, struct.pack("<IIQ", map_fd, 0, ctypes.addressof(buffer)))


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
