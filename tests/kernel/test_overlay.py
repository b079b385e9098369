"""A wait laid over a CPU's ring of slices (bpf/blame.h), against the same in Python, on clocks of many hours."""

import json
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.host.hierarchy import detect_layout
from collectors.sources.ebpf import identity_of
from probes import bpf_syscall, kernel, layout
from probes.bpf_syscall import PROG_TYPE_RAW_TRACEPOINT, ArrayMap, Program
from probes.compiled import CompiledProbes
from probes.layout import PAIR, SLICE, Dimensions
from probes.sched_probe import compile_request
from tests.cli.running import ROOT

pytestmark = pytest.mark.kernel
SIZES = Dimensions(cpus=2, slots=256, slot_buckets=512, pair_buckets=1024, slices=512)
VICTIM = 7
HOUR_NS = 3600 * 10**9
# Of the 48 bits that a slice keeps, half are gone after 39 hours and all after 78.
CLOCKS_NS = st.sampled_from(
    [HOUR_NS, 2**47 - 10**7, 2**47, 40 * HOUR_NS, 2**48 - 10**7, 2**48, 1000 * HOUR_NS]
)
# So long that all slices in it are walked (slices_if_all).
WAIT_NS = 40_000_000
LENGTHS_NS = st.lists(st.integers(1, 8_000_000), min_size=1, max_size=layout.NR_EXACT - 2)
SLOTS = st.sampled_from([layout.SLOT_IDLE, layout.SLOT_KERNEL, VICTIM, 8, 200])
LAID = struct.Struct("<7Q")
SOURCE = """
struct laid {
	u64 head;
	u64 from, to;
	u64 self_ns, wakeup_ns, unattributed_ns, sampled_ns;
};
BPF_F_TABLE("array", u32, struct laid, laids, 1, BPF_F_MMAPABLE);
int on_lay(u64 *ctx)
{
	u32 zero = 0;
	struct laid *laid = laids.lookup(&zero);
	struct slot_stats *stats = cell_copies.lookup(&zero);
	struct cpu_state *state = cpu_states.lookup(&zero);
	if (!laid || !stats || !state)
		return 0;
	__builtin_memset(stats, 0, sizeof(*stats));
	charge_slices(0, laid->head, state, 0, stats, VICTIM_SLOT, laid->from, laid->to, 0, 0);
	laid->self_ns = stats->self_ns;
	laid->wakeup_ns = stats->wakeup_ns;
	laid->unattributed_ns = stats->unattributed_ns;
	laid->sampled_ns = stats->sampled_ns;
	return 0;
}
"""
# As `probes.compiler` does it, with one program more, in a child: bcc would stay in this process.
COMPILE = f"""
import json, sys
from probes import compiler
from probes.compiled import CompileRequest, joined_source
source = joined_source() + sys.argv[1]
compiler.joined_source = lambda: source
compiler.MAPS += ("laids",)
compiler.programs_of = lambda _: ("on_lay",)
request = json.load(sys.stdin)
request["defines"]["VICTIM_SLOT"] = {VICTIM}
print(compiler.compile_probes(CompileRequest(**request)).to_text(), end="")
"""


@dataclass(frozen=True, slots=True)
class Ring:
    """The memory of one CPU's ring, and the program that lays a wait over it."""

    program: int
    laid: mmap.mmap
    slices: ArrayMap
    buckets: ArrayMap
    claimed: mmap.mmap

    def lay(self, pushed: list[tuple[int, int]], begin_ns: int, end_ns: int) -> dict[int, int]:
        """Who is charged with how much of a wait, where these slices were pushed one after the other."""
        with self.slices.mapped() as memory:
            memory[: SIZES.slices * SLICE.size] = bytes(SIZES.slices * SLICE.size)
            for place, (start_ns, slot) in enumerate(pushed):
                packed = (start_ns << 16 | slot) % 2**64
                SLICE.pack_into(memory, place % SIZES.slices * SLICE.size, packed)
        with self.buckets.mapped() as memory:
            memory[:] = bytes(len(memory))
        self.claimed[:] = bytes(len(self.claimed))
        LAID.pack_into(self.laid, 0, len(pushed) - 1, begin_ns, end_ns, 0, 0, 0, 0)
        bpf_syscall.test_run(self.program)
        *_, self_ns, wakeup_ns, unattributed_ns, sampled_ns = LAID.unpack_from(self.laid)
        charged = {VICTIM: self_ns, layout.SLOT_IDLE: wakeup_ns, -1: unattributed_ns, -2: sampled_ns}
        with self.buckets.mapped() as memory:
            for key, _, wait_ns in PAIR.iter_unpack(memory[: SIZES.pairs * PAIR.size]):
                if key:
                    charged[key & 0xFFFF] = wait_ns
        return {slot: ns for slot, ns in charged.items() if ns}


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    request = compile_request(kernel.describe(), SIZES, identity_of(detect_layout()), 0)
    made = subprocess.run(
        [sys.executable, "-c", COMPILE, SOURCE],
        cwd=ROOT,
        input=json.dumps(asdict(request)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    compiled = CompiledProbes.from_text(made.stdout)
    with ExitStack() as stack:
        found = compiled.load([Program("on_lay", b"", PROG_TYPE_RAW_TRACEPOINT)])
        for descriptor in found.values():
            stack.callback(os.close, descriptor)
        rows = SIZES.rows
        yield Ring(
            found["on_lay"],
            stack.enter_context(bpf_syscall.map_memory(found["laids"], 1, LAID.size)),
            ArrayMap(found["slices"], rows * SIZES.slices, SLICE.size),
            ArrayMap(found["pair_buckets"], rows * SIZES.pair_buckets, layout.SIZE_PAIR_BUCKET),
            stack.enter_context(bpf_syscall.map_memory(found["claimed_pairs"], rows * SIZES.pairs // 64, 8)),
        )


def overlaps(pushed: list[tuple[int, int]], begin_ns: int, end_ns: int) -> dict[int, int]:
    """The oracle: how long each slot had the CPU within a wait; -1: nobody is known."""
    whose = [(0, -1), *pushed, (end_ns, -1)]
    found: dict[int, int] = {}
    for (start_ns, slot), (next_ns, _) in pairwise(whose):
        found[slot] = found.get(slot, 0) + max(0, min(next_ns, end_ns) - max(start_ns, begin_ns))
    return {slot: ns for slot, ns in found.items() if ns}


@settings(deadline=None, max_examples=200)
@given(end_ns=CLOCKS_NS, wait_ns=st.integers(WAIT_NS, 10 * WAIT_NS), lengths_ns=LENGTHS_NS, data=st.data())
def test_each_is_charged_with_what_it_had_of_the_wait(
    ring: Ring, end_ns: int, wait_ns: int, lengths_ns: list[int], data: st.DataObject
) -> None:
    starts_ns = [end_ns - sum(lengths_ns[place:]) for place in range(len(lengths_ns))]
    slots = data.draw(st.lists(SLOTS, min_size=len(lengths_ns), max_size=len(lengths_ns)))
    pushed = list(zip(starts_ns, slots, strict=True))
    assert ring.lay(pushed, end_ns - wait_ns, end_ns) == overlaps(pushed, end_ns - wait_ns, end_ns)


@settings(deadline=None, max_examples=50)
@given(end_ns=CLOCKS_NS, each_ns=st.integers(20_000, 60_000))
def test_what_is_drawn_of_many_is_all_charged_to_those_who_ran(ring: Ring, end_ns: int, each_ns: int) -> None:
    pushed = [(end_ns - each_ns * back, 8 if back % 4 else 200) for back in range(SIZES.slices, 0, -1)]
    begin_ns = end_ns - each_ns * (SIZES.slices - 8)
    charged = ring.lay(pushed, begin_ns, end_ns)
    drawn_ns = charged.pop(-2)
    assert sum(charged.values()) == end_ns - begin_ns
    assert charged.keys() <= {8, 200}
    assert drawn_ns > (end_ns - begin_ns) / 2
