"""What the compiling child is asked for, against the sources themselves; nothing is compiled."""

import json
import re
from pathlib import Path

import pytest

from probes import compiler, kernel, layout
from probes.bpf_syscall import (
    ATTACH_TRACE_ITER,
    ATTACH_TRACE_RAW_TP,
    PROG_TYPE_RAW_TRACEPOINT,
    PROG_TYPE_TRACING,
)
from probes.compiler import CompileRequest, compiler_flags, maps_of, program

SOURCE = compiler.joined_source()


def request(*, typed: bool = True, counters: int = 0) -> CompileRequest:
    ids = {name: 1000 + number for number, name in enumerate(kernel.ATTACHED_TO)}
    return CompileRequest({"NR_COUNTERS": counters}, ids, typed)


def test_every_source_is_compiled_and_every_program_and_map_in_it_is_handed_over() -> None:
    assert {path.name for path in compiler.BPF_DIR.glob("*.[ch]")} == set(compiler.SOURCES)
    assert set(re.findall(r"^int (\w+)\(u64 \*ctx\)", SOURCE, re.MULTILINE)) == set(compiler.PROGRAMS)
    tables = re.findall(r'^BPF_F_TABLE\("array", u32, [\w ]+, (\w+),', SOURCE, re.MULTILINE)
    events = re.findall(r"^BPF_PERF_ARRAY\((\w+),", SOURCE, re.MULTILINE)
    assert {*tables, *events} == set(maps_of(request(counters=1)))
    assert set(maps_of(request())) == set(compiler.MAPS)


def test_all_sizes_that_the_sources_assert_are_given() -> None:
    asserted = set(re.findall(r"== (SIZE_\w+),", SOURCE))
    assert asserted
    assert asserted <= layout.dimensions_for(2, 10).defines().keys()


@pytest.mark.parametrize("typed", [True, False])
def test_a_program_is_loaded_as_what_it_is_attached_to(*, typed: bool) -> None:
    asked = request(typed=typed)
    for name in compiler.PROGRAMS:
        found = program(name, b"code", asked)
        if name in ("on_task", "on_claimed"):
            assert (found.prog_type, found.attach_type) == (PROG_TYPE_TRACING, ATTACH_TRACE_ITER)
            assert found.attach_btf_id == asked.attach_ids[name]
        elif typed and name != "on_canary":
            assert (found.prog_type, found.attach_type) == (PROG_TYPE_TRACING, ATTACH_TRACE_RAW_TP)
            assert found.attach_btf_id == asked.attach_ids[name]
        else:
            assert (found.prog_type, found.attach_btf_id) == (PROG_TYPE_RAW_TRACEPOINT, 0)


def test_large_definitions_are_unsigned() -> None:
    flags = compiler_flags(CompileRequest({"A": 0x7FFFFFFF, "B": 0x80000000}, {}, typed=True))
    assert flags == ["-DA=2147483647", "-DB=2147483648ULL"]


def test_a_request_survives_the_way_to_the_child() -> None:
    assert CompileRequest(**json.loads(request().to_json())) == request()


def test_every_offset_that_the_sources_read_is_defined_or_asked_for() -> None:
    described = kernel.describe(Path(__file__).parent / "btf" / "6.18")
    read = set(re.findall(r"\b(?:OFF|ARG)_\w+", SOURCE)) - {"OFF_"}
    assert read == described.defines().keys() - {"TYPED_POINTERS", "HAVE_THROTTLING"}
