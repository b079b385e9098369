"""Offsets and tracepoints, of types that a test writes down, and of those a kernel was built with."""

import struct
from pathlib import Path

import pytest

from probes.btf import (
    KIND_ENUM,
    KIND_FUNC_PROTO,
    KIND_INT,
    KIND_PTR,
    KIND_STRUCT,
    KIND_TYPEDEF,
    KIND_UNION,
    Btf,
    Param,
)
from probes.errors import HostError
from tests.probes.btf_files import Writer

INTEGER = struct.pack("<I", 32)


def written(writer: Writer, directory: Path) -> Path:
    path = directory / "btf"
    path.write_bytes(writer.file())
    return path


def nested() -> Writer:
    """struct outer { int a; union { int b; struct { int c, d; }; }; struct inner { int e:3, f; } in; };"""
    w = Writer()
    number = w.add(KIND_INT, "int", 4, extra=INTEGER)
    pair = w.add(KIND_STRUCT, "", 8, extra=w.members([("c", number, 0), ("d", number, 32)]))
    either = w.add(KIND_UNION, "", 8, extra=w.members([("b", number, 0), ("", pair, 0)]))
    # With the flag, an offset's upper byte is the width of a bit field.
    inner = w.add(
        KIND_STRUCT, "inner", 8, flag=1, extra=w.members([("e", number, 3 << 24 | 0), ("f", number, 32)])
    )
    alias = w.add(KIND_TYPEDEF, "inner_t", inner)
    w.add(KIND_STRUCT, "outer", 20, extra=w.members([("a", number, 0), ("", either, 32), ("in", alias, 96)]))
    return w


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", 0),
        ("b", 4),
        ("c", 4),
        ("d", 8),
        ("in", 12),
        ("in.e", 12),
        ("in.f", 16),
        ("g", None),
        ("a.b", None),
    ],
)
def test_members_are_found_through_unnamed_parts_typedefs_and_bit_fields(
    path: str, expected: int | None, tmp_path: Path
) -> None:
    with Btf(written(nested(), tmp_path)) as btf:
        assert btf.offset("outer", path) == expected
        assert btf.offset("no_such", path) is None


def test_an_enumerator_has_its_value(tmp_path: Path) -> None:
    w = Writer()
    w.add(KIND_ENUM, "ids", 4, extra=w.pairs([("first", 0), ("second", 7)]))
    with Btf(written(w, tmp_path)) as btf:
        assert btf.enum_value("ids", "second") == 7
        assert btf.enum_value("ids", "third") is None
        assert btf.enum_value("others", "second") is None


def test_a_tracepoint_is_called_with_what_follows_the_private_pointer(tmp_path: Path) -> None:
    w = Writer()
    flag = w.add(KIND_INT, "_Bool", 1, extra=struct.pack("<I", 8))
    task = w.add(KIND_PTR, "", w.add(KIND_STRUCT, "task_struct", 8))
    anything = w.add(KIND_PTR, "", 0)
    params = [("data", anything), ("preempt", flag), ("prev", task), ("what", anything)]
    prototype = w.add(KIND_FUNC_PROTO, "", 0, extra=w.pairs(params))
    w.add(KIND_TYPEDEF, "btf_trace_switch", w.add(KIND_PTR, "", prototype))
    with Btf(written(w, tmp_path)) as btf:
        found = btf.tracepoint_params("switch")
        assert found == [Param(KIND_INT, None), Param(KIND_PTR, "task_struct"), Param(KIND_PTR, None)]
        assert btf.tracepoint_params("no_such") is None


@pytest.mark.parametrize("content", [b"", b"no types", b"\x9f\xeb\x01\x00"])
def test_what_is_not_btf_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(HostError, match="not a kernel's type information"):
        Btf(tmp_path / "file")
