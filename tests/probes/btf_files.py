"""BTF files for tests: types written one by one, and what the probes read of a kernel's types, cut out of them.

`python -m tests.probes.btf_files OUTPUT` cuts out of the running kernel's; bpf/btf.rst describes the format.
"""

import struct
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from probes import kernel
from probes.btf import KIND_ENUM, KIND_FUNC_PROTO, KIND_INT, KIND_PTR, KIND_STRUCT, KIND_UNION

_HEADER = struct.Struct("<HBBIIIII")
_TYPE, _MEMBER, _PAIR = struct.Struct("<III"), struct.Struct("<III"), struct.Struct("<II")
_MAGIC, _VERSION = 0xEB9F, 1
_ARRAY, _FORWARD, _VAR, _DATASEC, _DECL_TAG, _ENUM64 = 3, 7, 14, 15, 17, 19
_EXTRA = {KIND_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_EXTRA_EACH = {KIND_STRUCT: 12, KIND_UNION: 12, KIND_ENUM: 8, KIND_FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}
_COMPOUND = (KIND_STRUCT, KIND_UNION)
_NAMELESS = {_ARRAY: "array"}


class Writer:
    """Types, each with the id that adding it returns; ids may be used before, as `reserve` gives them."""

    def __init__(self) -> None:
        self._strings = b"\0"
        self._types: list[bytes] = []

    def reserve(self) -> int:
        """An id that `put` will fill."""
        self._types.append(b"")
        return len(self._types)

    def put(
        self, type_id: int, kind: int, name: str, size_or_type: int = 0, *, flag: int = 0, extra: bytes = b""
    ) -> None:
        """Fill a reserved id."""
        count = len(extra) // _EXTRA_EACH[kind] if kind in _EXTRA_EACH else 0
        info = flag << 31 | kind << 24 | count
        self._types[type_id - 1] = _TYPE.pack(self.string(name), info, size_or_type) + extra

    def add(self, kind: int, name: str, size_or_type: int = 0, *, flag: int = 0, extra: bytes = b"") -> int:
        """Another type."""
        type_id = self.reserve()
        self.put(type_id, kind, name, size_or_type, flag=flag, extra=extra)
        return type_id

    def members(self, members: Iterable[tuple[str, int, int]]) -> bytes:
        """Of (name, type, offset) in bits."""
        return b"".join(_MEMBER.pack(self.string(name), type_id, bits) for name, type_id, bits in members)

    def pairs(self, pairs: Iterable[tuple[str, int]]) -> bytes:
        """Parameters of (name, type), or enumerators of (name, value)."""
        return b"".join(_PAIR.pack(self.string(name), number) for name, number in pairs)

    def string(self, text: str) -> int:
        """Its place among the strings."""
        if not text:
            return 0
        place = len(self._strings)
        self._strings += text.encode() + b"\0"
        return place

    def file(self) -> bytes:
        """All of it."""
        types = b"".join(self._types)
        sizes = (0, len(types), len(types), len(self._strings))
        return _HEADER.pack(_MAGIC, _VERSION, 0, _HEADER.size, *sizes) + types + self._strings


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    flag: int
    name: str
    size_or_type: int
    extra: bytes


class _Source:
    """A kernel's types, by id."""

    def __init__(self, data: bytes) -> None:
        _, _, _, header, type_at, type_bytes, string_at, _ = _HEADER.unpack_from(data)
        self._strings = data[header + string_at :]
        self.types: list[_Entry] = [_Entry(0, 0, "void", 0, b"")]
        at, end = header + type_at, header + type_at + type_bytes
        while at < end:
            name, info, size_or_type = _TYPE.unpack_from(data, at)
            kind, count = info >> 24 & 0x1F, info & 0xFFFF
            length = _EXTRA.get(kind, 0) + _EXTRA_EACH.get(kind, 0) * count
            extra = data[at + _TYPE.size : at + _TYPE.size + length]
            self.types.append(_Entry(kind, info >> 31, self.string(name), size_or_type, extra))
            at += _TYPE.size + length

    def string(self, at: int) -> str:
        return self._strings[at : self._strings.index(b"\0", at)].decode()


class _Cut:
    """Copies types with those members alone that lie on a path that is asked for."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._made: dict[tuple[int, frozenset[str]], int] = {}
        self._roots: dict[int, frozenset[str]] = {}
        self.writer = Writer()

    def roots(self, structs: dict[str, set[str]]) -> None:
        """Whole structures first: a lookup by name finds the first of that name."""
        ids = {
            e.name: i for i, e in enumerate(self._source.types) if e.kind == KIND_STRUCT and e.name in structs
        }
        self._roots = {type_id: frozenset(structs[name]) for name, type_id in ids.items()}
        for type_id in self._roots:
            self.copy(type_id)

    def named(self, names: Iterable[str]) -> None:
        """Functions, typedefs and enums."""
        for type_id, entry in enumerate(self._source.types):
            if entry.name in names and entry.kind != KIND_STRUCT:
                self.copy(type_id)

    def copy(self, type_id: int, paths: frozenset[str] = frozenset()) -> int:
        """The id of the copy."""
        if type_id == 0:
            return 0
        paths = self._roots.get(type_id, paths)
        if (type_id, paths) not in self._made:
            self._made[type_id, paths] = new_id = self.writer.reserve()
            self._fill(new_id, self._source.types[type_id], paths)
        return self._made[type_id, paths]

    def _fill(self, new_id: int, entry: _Entry, paths: frozenset[str]) -> None:
        writer, source, kind, flag, extra, rest = (
            self.writer,
            self._source,
            entry.kind,
            entry.flag,
            b"",
            entry.size_or_type,
        )
        if kind in _COMPOUND:
            wanted = self._wanted(entry, paths)
            extra = writer.members(
                (name, self.copy(target, tails), bits) for name, target, bits, tails in wanted
            )
        elif kind == KIND_ENUM:
            extra = writer.pairs(
                (source.string(name), value) for name, value in _PAIR.iter_unpack(entry.extra)
            )
        elif kind == KIND_FUNC_PROTO:
            rest = self.copy(rest)
            extra = writer.pairs(
                (source.string(name), self.copy(param)) for name, param in _PAIR.iter_unpack(entry.extra)
            )
        elif kind in (KIND_INT, _ARRAY, _ENUM64):  # an array is never looked into: any number does
            kind, rest, flag, extra = KIND_INT, 4, 0, struct.pack("<I", 32)
        elif kind != _FORWARD:
            rest = self.copy(rest, frozenset() if kind == KIND_PTR else paths)
        writer.put(new_id, kind, entry.name or _NAMELESS.get(entry.kind, ""), rest, flag=flag, extra=extra)

    def _wanted(self, entry: _Entry, paths: frozenset[str]) -> Iterable[tuple[str, int, int, frozenset[str]]]:
        for name_at, target, bits in _MEMBER.iter_unpack(entry.extra):
            name = self._source.string(name_at)
            if name:
                tails = frozenset(path.partition(".")[2] for path in paths if path.partition(".")[0] == name)
            else:
                tails = (
                    paths if self._holds(target, {path.partition(".")[0] for path in paths}) else frozenset()
                )
            if tails:
                yield name, target, bits, tails - {""}

    def _holds(self, type_id: int, names: set[str]) -> bool:
        entry = self._source.types[type_id]
        if entry.kind not in _COMPOUND:
            return False
        members = [
            (self._source.string(name), target) for name, target, _ in _MEMBER.iter_unpack(entry.extra)
        ]
        return any(name in names if name else self._holds(target, names) for name, target in members)


def cut(data: bytes, places: Iterable[tuple[str, str]], names: Iterable[str]) -> bytes:
    """A small BTF file with these members of structures, at their offsets, and these other types."""
    structs: dict[str, set[str]] = defaultdict(set)
    for structure, path in places:
        structs[structure].add(path)
    copier = _Cut(_Source(data))
    copier.roots(structs)
    copier.named(set(names))
    return copier.writer.file()


def main(output: str) -> None:
    """Cut out of the running kernel's what `kernel.describe` reads."""
    members = (
        *kernel.REQUIRED,
        *(known for known in vars(kernel).values() if isinstance(known, kernel.Member)),
        *(*kernel.BLOCK, *kernel.QUEUE_DISK, *kernel.BLOCK_OWNER, *kernel.RECLAIM, *kernel.NETWORK),
    )
    places = (*kernel.STOLEN_ACCOUNTING, *(place for member in members for place in member.places))
    traced = {f"btf_trace_{name}" for programs in kernel.OPTIONAL.values() for name in programs.values()}
    names = {
        *kernel.ATTACHED_TO.values(),
        *traced,
        "btf_trace_sched_switch",
        "cgroup_subsys_id",
        "bpf_func_id",
        "skb_drop_reason",
    }
    data = Path("/sys/kernel/btf/vmlinux").read_bytes()
    Path(output).write_bytes(cut(data, places, names))


if __name__ == "__main__":
    main(*sys.argv[1:])
