"""Histograms of waits: counts per bucket, their lower edges in ns, the last bucket open."""

import operator
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from probes.layout import bucket_edges_ns

EDGES_NS: tuple[int, ...] = tuple(bucket_edges_ns())
# Those of them that double: one in four, and 0.
OCTAVES_NS: tuple[int, ...] = tuple(edge_ns for edge_ns in EDGES_NS if edge_ns.bit_count() < 2)


def add(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """The sum of histograms; all zero for none. Percentiles of parts are never averaged: add, then take one."""
    total = [0] * len(EDGES_NS)
    for histogram in histograms:
        if len(histogram) != len(total):
            raise ValueError(f"a histogram of {len(histogram)} buckets")
        total = list(map(operator.add, total, histogram))
    return tuple(total)


def subtract(after: Sequence[int], before: Sequence[int]) -> tuple[int, ...]:
    """What was counted between two cumulative histograms; never below 0."""
    if len(after) != len(before):
        raise ValueError(f"histograms of {len(after)} and {len(before)} buckets")
    grown = tuple(map(operator.sub, after, before))  # 3 µs where a loop with max() takes 11
    return grown if min(grown, default=0) >= 0 else tuple(max(0, count) for count in grown)


def octaves(histogram: Sequence[int]) -> tuple[int, ...]:
    """A histogram's counts in fewer buckets, with lower edges `OCTAVES_NS`: for people to read."""
    starts = [EDGES_NS.index(edge_ns) for edge_ns in OCTAVES_NS]
    return tuple(sum(histogram[start:end]) for start, end in zip_longest(starts, starts[1:]))


def percentile_ns(histogram: Sequence[int], percent: float) -> float | None:
    """The wait that `percent` per cent of the waits do not exceed, in ns; None when there was no wait.

    Interpolated within its bucket, so at most 12.5 % off (a bucket is a quarter of an octave wide); in the open
    last bucket its lower edge, 7.5 s, which is then a lower bound.
    """
    rank = sum(histogram) * percent / 100
    if not any(histogram):
        return None
    seen = 0
    for index, count in enumerate(histogram):
        if count and seen + count >= rank:
            low = EDGES_NS[index]
            if index + 1 == len(EDGES_NS):
                return float(low)
            return low + (EDGES_NS[index + 1] - low) * max(0.0, rank - seen) / count
        seen += count
    return float(EDGES_NS[-1])
