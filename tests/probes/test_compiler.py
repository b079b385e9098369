"""What the compiling child is asked for, against the sources themselves; nothing is compiled."""

import json
import re
from itertools import chain
from pathlib import Path

import pytest

from probes import compiled, compiler, kernel, layout, loader
from probes.bpf_syscall import (
    ATTACH_TRACE_ITER,
    ATTACH_TRACE_RAW_TP,
    PROG_TYPE_RAW_TRACEPOINT,
    PROG_TYPE_SOCKET_FILTER,
    PROG_TYPE_TRACING,
)
from probes.compiled import CompileRequest
from probes.compiler import compiler_flags, maps_of
from probes.sched_probe import CgroupIdentity, compile_request

SOURCE = compiled.joined_source()

STORED = Path(__file__).parent / "btf" / "6.18"


def request(*, typed: bool = True, counters: int = 0) -> CompileRequest:
    ids = {name: 1000 + number for number, name in enumerate(kernel.ATTACHED_TO)}
    return CompileRequest({"NR_COUNTERS": counters}, ids, typed)


def test_every_source_is_compiled_and_every_program_and_map_in_it_is_handed_over() -> None:
    assert {path.name for path in compiled.BPF_DIR.glob("*.[ch]")} == set(compiled.SOURCES)
    assert set(re.findall(r"^int (\w+)\(u64 \*ctx\)", SOURCE, re.MULTILINE)) == {
        *compiler.PROGRAMS,
        *chain.from_iterable(kernel.OPTIONAL.values()),
    }
    tables = re.findall(r'^BPF_F_TABLE\("\w+", [\w ]+, [\w ]+, (\w+),', SOURCE, re.MULTILINE)
    events = re.findall(r"^(?:BPF_PERF_ARRAY\(|BPF_QUEUESTACK\(\"queue\", )(\w+),", SOURCE, re.MULTILINE)
    assert {*tables, *events} == set(maps_of(request(counters=1)))
    assert set(maps_of(request())) == set(compiler.MAPS)


def test_all_sizes_that_the_sources_assert_are_given() -> None:
    asserted = set(re.findall(r"== (SIZE_\w+),", SOURCE))
    assert asserted
    made = compile_request(kernel.describe(STORED), layout.dimensions_for(2, 10), CgroupIdentity(1, None), 0)
    assert asserted <= made.defines.keys()


@pytest.mark.parametrize("typed", [True, False])
def test_a_program_is_loaded_as_what_it_is_attached_to(*, typed: bool) -> None:
    asked = request(typed=typed)
    for name in compiler.PROGRAMS:
        found = loader.as_loaded(name, asked)
        if name in loader.ITERATORS:
            assert (found.prog_type, found.attach_type) == (PROG_TYPE_TRACING, ATTACH_TRACE_ITER)
            assert found.attach_btf_id == asked.attach_ids[name]
        elif name in loader.WALKS:
            assert (found.prog_type, found.attach_btf_id) == (PROG_TYPE_SOCKET_FILTER, 0)
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
    described = kernel.describe(STORED)
    read = set(re.findall(r"\b(?:OFF|ARG)_\w+", SOURCE)) - {
        "OFF_",
        "OFF_request_disk",
    }  # the latter before 5.17
    assert read == described.defines().keys() - {
        *("TYPED_POINTERS", "HAVE_THROTTLING", "DROP_QDISC_FIRST", "DROP_QDISC_LAST"),
        *kernel.OPTIONAL,
    }
