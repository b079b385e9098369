"""What kernels until 6.1 at least refuse and newer ones take: a loop whose head is fallen into (check_cfg())."""

import struct

import pytest

from probes import kernel, layout, loader
from probes.sched_probe import CgroupIdentity, compile_request

pytestmark = pytest.mark.kernel  # it compiles
_INSTRUCTION = struct.Struct("<BBhi")
_JUMPS = (5, 6)  # BPF_JMP, BPF_JMP32
_JA, _CALL, _EXIT = 0x00, 0x80, 0x90


def next_of(code: bytes, at: int) -> list[tuple[int, bool]]:
    """The instructions that may follow one, and whether it may be a loop's way back, as visit_insn() has it."""
    op, _, offset, _ = _INSTRUCTION.unpack_from(code, at * _INSTRUCTION.size)
    kind = op & 0xF0
    if op & 7 not in _JUMPS or kind == _CALL:
        return [(at + 1, False)]
    if kind == _EXIT:
        return []
    jump = (at + 1 + offset, True)
    return [jump] if kind == _JA else [(at + 1, True), jump]


def back_edges(code: bytes) -> list[tuple[int, int]]:
    """Ways back into what is being looked at, by falling through."""
    path, seen, done, found = [(0, iter(next_of(code, 0)))], {0}, set[int](), list[tuple[int, int]]()
    while path:
        at, following = path[-1]
        for to, may_loop in following:
            if to not in seen:
                seen.add(to)
                path.append((to, iter(next_of(code, to))))
                break
            if to not in done and not may_loop:
                found.append((at, to))
        else:
            done.add(at)
            path.pop()
    return found


@pytest.mark.parametrize("counters", [0, 3])
def test_no_loop_is_one_that_older_kernels_refuse(counters: int) -> None:
    request = compile_request(
        kernel.describe(), layout.dimensions_for(2, 10), CgroupIdentity(1, None), counters
    )
    code = loader.compile_probes(request).code
    assert {name: found for name, each in code.items() if (found := back_edges(each))} == {}
