import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import layout
from probes.layout import NR_BUCKETS, bucket_edges_ns, dimensions_for

EDGES = bucket_edges_ns()


def bucket_of(wait_ns: int) -> int:
    """bucket_of() in bpf/wait.h, in the same 32-bit steps."""
    v = wait_ns >> 8
    if v < 4:
        return v
    if v >= 7 << 22:
        return NR_BUCKETS - 1
    w, log2 = v, 0
    for shift, bound in ((16, 0xFFFF), (8, 0xFF), (4, 0xF), (2, 0x3)):
        if w > bound:
            w >>= shift
            log2 |= shift
    log2 |= w >> 1
    return (log2 - 1) * 4 + (v >> (log2 - 2) & 3)


def test_there_is_one_edge_per_bucket_and_they_rise() -> None:
    assert len(EDGES) == NR_BUCKETS
    assert EDGES[0] == 0
    assert all(low < high for low, high in itertools.pairwise(EDGES))


@pytest.mark.parametrize("bucket", range(NR_BUCKETS))
def test_an_edge_is_the_first_wait_of_its_bucket(bucket: int) -> None:
    assert bucket_of(EDGES[bucket]) == bucket
    if bucket:
        assert bucket_of(EDGES[bucket] - 1) == bucket - 1


@given(st.integers(0, 1 << 63))
def test_every_wait_lies_between_its_buckets_edges(wait_ns: int) -> None:
    bucket = bucket_of(wait_ns)
    assert EDGES[bucket] <= wait_ns
    assert bucket + 1 == NR_BUCKETS or wait_ns < EDGES[bucket + 1]


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_longer_waits_are_never_in_lower_buckets(one_ns: int, other_ns: int) -> None:
    low, high = sorted((one_ns, other_ns))
    assert bucket_of(low) <= bucket_of(high)


@given(st.integers(4, 92))
def test_buckets_are_at_most_a_quarter_of_their_lower_edge_wide(bucket: int) -> None:
    assert EDGES[bucket + 1] - EDGES[bucket] <= EDGES[bucket] / 4


def is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


@given(st.integers(1, 1024), st.integers(0, 100_000))
def test_dimensions_fit_the_indices(cpus: int, cgroups: int) -> None:
    found = dimensions_for(cpus, cgroups)
    assert all(map(is_power_of_two, (found.slot_buckets, found.pair_buckets, found.slices)))
    assert found.slots <= 1 << 15  # a pair's key has 16 bits for each of the two
    assert found.slots % 64 == found.cells % 64 == found.pairs % 64 == 0
    assert found.cells <= layout.MOST_CELLS
    assert found.slots > min(cgroups, 30_000) + 64
    assert found.cells == found.rows * found.slots or found.cells == layout.MOST_CELLS


def test_the_first_lines_of_cells_lie_in_all_sets_of_the_cache() -> None:
    assert layout.size_cell(0) == 320
    assert layout.size_cell(0) // layout.CACHE_LINE % 2 == 1


def test_a_small_host_has_twice_the_slots_it_needs() -> None:
    assert dimensions_for(2, 3000).slots == 6016
    assert dimensions_for(2, 0).slots == 4224
    assert dimensions_for(256, 4096).slots >= 4096 + 64
