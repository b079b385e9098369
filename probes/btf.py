"""Offsets of kernel structure members, from the kernel's own type information (BTF).

Through libbpf by ctypes: loading /sys/kernel/btf/vmlinux and looking up all that the probes need takes 20 ms.
Source: Documentation/bpf/btf.rst, and libbpf's btf.h for the calls.
"""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from probes.errors import HostError

KIND_INT, KIND_PTR, KIND_STRUCT, KIND_UNION, KIND_ENUM = 1, 2, 4, 5, 6
KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT = 8, 9, 10, 11
KIND_FUNC, KIND_FUNC_PROTO, KIND_TYPE_TAG = 12, 13, 18

_MODIFIERS = {KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_TYPE_TAG}


class _Type(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size_or_type", ctypes.c_uint32))


class _Member(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32))


class _Enum(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("value", ctypes.c_int32))


class _Param(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32))


_Item = TypeVar("_Item", _Member, _Enum, _Param)


def _libbpf() -> ctypes.CDLL:
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            lib = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        lib.libbpf_set_print.argtypes = [ctypes.c_void_p]
        lib.libbpf_set_print(None)  # what it cannot read is told by ours alone
        lib.btf__load_vmlinux_btf.restype = ctypes.c_void_p
        lib.btf__parse.restype = ctypes.c_void_p
        lib.btf__parse.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        lib.btf__free.argtypes = [ctypes.c_void_p]
        lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
        lib.btf__type_by_id.restype = ctypes.c_void_p
        lib.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        lib.btf__name_by_offset.restype = ctypes.c_char_p
        lib.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        return lib
    raise HostError("libbpf.so.1 is not installed", "apt-get install libbpf1")


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a function: its kind, and for pointers the name of what it points to."""

    kind: int
    points_to: str | None


class Btf:
    """A kernel's types. A context manager; closing it frees 20 MB."""

    def __init__(self, path: Path | None = None) -> None:
        """Of the running kernel, or of the one that a file describes, in the format of /sys/kernel/btf/vmlinux.

        Raises:
            HostError: There is no type information, or the file is not BTF.
        """
        self._lib = _libbpf()
        self._btf = (
            self._lib.btf__load_vmlinux_btf()
            if path is None
            else self._lib.btf__parse(os.fsencode(path), None)
        )
        if not self._btf or self._btf > 2**64 - 4096:  # libbpf 0.x returns an error as a pointer
            self._btf = None
            if path is not None:
                raise HostError(
                    f"{path} is not a kernel's type information (BTF)", "copy /sys/kernel/btf/vmlinux"
                )
            raise HostError(
                "the kernel has no type information (/sys/kernel/btf/vmlinux)",
                "run a kernel built with CONFIG_DEBUG_INFO_BTF=y",
            )

    def __enter__(self) -> "Btf":
        return self

    def __exit__(self, *_: object) -> None:
        if self._btf:
            self._lib.btf__free(self._btf)
            self._btf = None

    def type_id(self, name: str, kind: int) -> int | None:
        """The id of a named type, or None where this kernel has none."""
        found: int = self._lib.btf__find_by_name_kind(self._btf, name.encode(), kind)
        return found if found > 0 else None

    def offset(self, struct: str, path: str) -> int | None:
        """Byte offset of `path` (dotted, through nested and anonymous structs) in `struct`, or None."""
        type_id = self.type_id(struct, KIND_STRUCT)
        total = 0
        for name in path.split("."):
            found = None if type_id is None else self._member(type_id, name)
            if found is None:
                return None
            bits, type_id = found
            total += bits
        return total // 8

    def enum_value(self, enum: str, name: str) -> int | None:
        """The value of an enumerator, or None."""
        type_id = self.type_id(enum, KIND_ENUM)
        if type_id is None:
            return None
        return next((e.value for e in self._items(type_id, _Enum) if self._name(e.name_off) == name), None)

    def tracepoint_params(self, tracepoint: str) -> list[Param] | None:
        """What a tracepoint's probe is called with, without the leading private pointer; None: no such one."""
        type_id = self.type_id(f"btf_trace_{tracepoint}", KIND_TYPEDEF)
        if type_id is None:
            return None
        proto = self._resolve(self._pointee(self._resolve(type_id)))
        return [self._param(p.type) for p in list(self._items(proto, _Param))[1:]]

    def _param(self, type_id: int) -> Param:
        resolved = self._resolve(type_id)
        kind = self._kind(resolved)
        if kind != KIND_PTR:
            return Param(kind, None)
        target = self._pointee(resolved)
        return Param(kind, self._name(self._type(self._resolve(target)).name_off) if target else None)

    def _member(self, type_id: int, name: str) -> tuple[int, int] | None:
        """(bit offset, type id) of a member, searched through anonymous structs and unions."""
        type_id = self._resolve(type_id)
        if self._kind(type_id) not in (KIND_STRUCT, KIND_UNION):
            return None
        bitfields = self._type(type_id).info >> 31
        for member in self._items(type_id, _Member):
            bits = member.offset & 0xFFFFFF if bitfields else member.offset
            own_name = self._name(member.name_off)
            if own_name == name:
                return bits, member.type
            inner = self._member(member.type, name) if own_name == "" else None
            if inner is not None:
                return bits + inner[0], inner[1]
        return None

    def _type(self, type_id: int) -> _Type:
        return _Type.from_address(self._lib.btf__type_by_id(self._btf, type_id))

    def _kind(self, type_id: int) -> int:
        return int(self._type(type_id).info >> 24 & 0x1F)

    def _pointee(self, type_id: int) -> int:
        return int(self._type(type_id).size_or_type)

    def _resolve(self, type_id: int) -> int:
        while type_id and self._kind(type_id) in _MODIFIERS:
            type_id = self._pointee(type_id)
        return type_id

    def _items(self, type_id: int, item: type[_Item]) -> Iterator[_Item]:
        address = self._lib.btf__type_by_id(self._btf, type_id)
        count = _Type.from_address(address).info & 0xFFFF
        for index in range(count):
            yield item.from_address(address + ctypes.sizeof(_Type) + index * ctypes.sizeof(item))

    def _name(self, offset: int) -> str:
        name: bytes = self._lib.btf__name_by_offset(self._btf, offset)
        return name.decode()
