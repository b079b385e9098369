"""Memory that hooks and readings share: the walk of bpf/pairs.c, and what those leave who had a place before."""

import mmap
import os
import signal
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.host.hierarchy import detect_layout
from collectors.sources.ebpf import identity_of, open_probe
from probes import bpf_syscall, kernel, layout, loader
from probes.bpf_syscall import ArrayMap
from probes.layout import PAIR, Dimensions
from probes.readout import PairReader
from probes.sched_probe import compile_request
from tests.kernel.answers import assert_agrees, measure
from tests.kernel.situations import Situation, a_cpu, eventually, fifo_spin, spin

pytestmark = pytest.mark.kernel
SIZES = Dimensions(cpus=2, slots=256, slot_buckets=512, pair_buckets=1024)
ROWS = SIZES.cpus + 1
_U32 = 0xFFFFFFFF
RECORD = struct.Struct("<II7Q")  # struct task_record

SLOTS = st.sampled_from([3, 4, 63, 64, 255])
# Of a word, its neighbours and the ends of a row.
PLACES = st.sampled_from([0, 1, 3, 4, 63, 64, 65, 1000, SIZES.pairs - 1])
CHARGES = st.lists(
    st.tuples(st.integers(0, ROWS - 1), PLACES, SLOTS, SLOTS, st.integers(0, _U32), st.integers(0, 1 << 55)),
    max_size=12,
)
READINGS = st.lists(st.tuples(CHARGES, st.sets(SLOTS, max_size=2)), max_size=6)
Growth = dict[int, tuple[int, int]]


@dataclass(slots=True)
class Pairs:
    """The memory that the hook and the walk share; the programs are loaded, and attached to nothing."""

    reader: PairReader
    buckets: ArrayMap
    claimed: mmap.mmap
    cells: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)

    def charge(self, row: int, place: int, key: int, preemptions: int, wait_ns: int) -> int:
        """pair_of() and what is done with it; the key of who has the place."""
        had, old_preemptions, old_ns = self.cells.get((row, place), (key, 0, 0))
        cell = had, old_preemptions + preemptions & _U32, old_ns + wait_ns
        number = row * SIZES.pairs + place
        with self.buckets.mapped() as memory:
            PAIR.pack_into(memory, number * PAIR.size, *cell)
        self.claimed[number // 8] = self.claimed[number // 8] | 1 << number % 8
        self.cells[row, place] = cell
        return had

    def in_memory(self, row: int, place: int) -> tuple[int, int, int]:
        """What the place holds."""
        with self.buckets.mapped() as memory:
            key, preemptions, wait_ns = PAIR.unpack_from(memory, (row * SIZES.pairs + place) * PAIR.size)
        return key, preemptions, wait_ns

    def clear(self) -> None:
        """As loaded, for hypothesis's next example."""
        self.reader.free_next(range(SIZES.slots))
        self.reader.drain()
        self.cells.clear()


@pytest.fixture(scope="module")
def pairs() -> Iterator[Pairs]:
    host = kernel.describe()
    with ExitStack() as stack:
        descriptors = loader.load(compile_request(host, SIZES, identity_of(detect_layout()), 0)).descriptors
        for descriptor in descriptors.values():
            stack.callback(os.close, descriptor)
        maps = {
            name: stack.enter_context(bpf_syscall.map_memory(descriptors[name], *size))
            for name, size in {
                "growths": (1, layout.GROWTH.size),
                "pending_free_slots": (SIZES.slots // 64, 8),
                "claimed_pairs": (ROWS * SIZES.pairs // 64, 8),
            }.items()
        }
        grown = ArrayMap(descriptors["grown_pairs"], SIZES.grown_pairs, PAIR.size)
        buckets = ArrayMap(descriptors["pair_buckets"], ROWS * SIZES.pair_buckets, layout.SIZE_PAIR_BUCKET)
        words = ROWS * SIZES.pairs // 64
        walk = partial(bpf_syscall.run_over, descriptors["on_claimed"], words, maps["growths"])
        reader = PairReader(walk, maps, grown)
        yield Pairs(reader, buckets, maps["claimed_pairs"])


def summed(records: Iterable[tuple[int, int, int]]) -> Growth:
    """(preemptions, wait_ns) by key, of what grew; preemptions count as u32."""
    found: Growth = {}
    for key, preemptions, wait_ns in records:
        old = found.get(key, (0, 0))
        found[key] = old[0] + preemptions & _U32, old[1] + wait_ns
    return {key: growth for key, growth in found.items() if growth != (0, 0)}


@settings(deadline=None, max_examples=50)
@given(READINGS)
def test_each_pair_gives_what_it_grew_by_and_those_of_the_removed_and_idle_ones_in_full_buckets_are_freed(
    pairs: Pairs, readings: list[tuple[list[tuple[int, int, int, int, int, int]], set[int]]]
) -> None:
    pairs.clear()
    for charges, removed in readings:
        grown: list[tuple[int, int, int]] = []
        grew: set[tuple[int, int]] = set()
        for row, place, victim, aggressor, preemptions, wait_ns in charges:
            had = pairs.charge(row, place, victim << 16 | aggressor, preemptions, wait_ns)
            grown.append((had, preemptions, wait_ns))
            if preemptions or wait_ns:
                grew.add((row, place))
        pairs.reader.free_next(removed)
        full = {at for at in pairs.cells if pairs.in_memory(at[0], at[1] | 3)[0]}
        assert summed(PAIR.iter_unpack(pairs.reader.drain())) == summed(grown)
        freed = [
            at
            for at, (key, _, _) in pairs.cells.items()
            if {key >> 16, key & 0xFFFF} & removed or (at in full and at not in grew)
        ]
        assert [pairs.in_memory(*at)[0] for at in freed] == [0] * len(freed)
        for at in freed:
            del pairs.cells[at]
        assert {at: pairs.in_memory(*at) for at in pairs.cells} == pairs.cells


def test_a_place_that_kept_an_old_total_is_given_away_without_it(situation: Situation) -> None:
    # As after the race of free_pair() with the hook's addition: a free place with a total in it. Here, all of them.
    with open_probe(detect_layout()) as probe:
        buckets = ArrayMap(
            probe._descriptors["pair_buckets"],
            (probe.dimensions.cpus + 1) * probe.dimensions.pair_buckets,
            layout.SIZE_PAIR_BUCKET,
        )
        with buckets.mapped() as memory:
            for at in range(0, len(memory), PAIR.size):
                if PAIR.unpack_from(memory, at)[0] == 0:
                    memory[at + 4 : at + PAIR.size] = struct.pack("<IQ", 1000, 10**12)
        for name in ("one", "another"):
            situation.process(spin, situation.group(name), {a_cpu()})
        answer = measure(probe, situation, 0.5)
    for group in situation.members:
        assert_agrees(answer.of(group), answer.books[group])


ANOTHERS_QUEUE = 0xDEAD


def test_a_task_that_takes_over_a_record_inherits_no_throttled_time(situation: Situation) -> None:
    # Two live pids 65,536 apart share a record. A child born starved, and moved before it ever ran, takes it over.
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("needs two CPUs to move between")
    hog = situation.process(fifo_spin, situation.group("hog"), {cpus[-1]})
    hog.go()
    eventually(lambda: os.sched_getscheduler(hog.pid) == os.SCHED_FIFO, "the hog has the CPU")
    with open_probe(detect_layout()) as probe:
        records = ArrayMap(
            probe._descriptors["task_records"], layout.NR_TASK_RECORDS, layout.SIZE_TASK_RECORD
        )
        probe.read()
        child = born_on(cpus[-1])
        try:
            at = child % layout.NR_TASK_RECORDS * layout.SIZE_TASK_RECORD
            with records.mapped() as memory:
                other = RECORD.pack(
                    child + layout.NR_TASK_RECORDS, 1, 1 << 62, 5, 5, 0, 0, ANOTHERS_QUEUE, 77
                )
                memory[at : at + layout.SIZE_TASK_RECORD] = other
                os.sched_setaffinity(child, {cpus[0]})
                eventually(lambda: RECORD.unpack_from(memory, at)[0] == child, "the record is the child's")
                *_, throttle_queue, _ = RECORD.unpack_from(memory, at)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    # 0, or its own where it was preempted meanwhile, as happens on a busy machine.
    assert throttle_queue != ANOTHERS_QUEUE


def born_on(cpu: int) -> int:
    """A child of the usual policy, which spins; born while this process keeps that CPU, by a higher priority."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(2))
    try:
        child = os.fork()
        if child == 0:
            spin()
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, before)
    return child
