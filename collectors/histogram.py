"""Histograms of waits: counts per bucket, their lower edges in ns, the last bucket open."""

from collections.abc import Iterable, Sequence

from probes.layout import bucket_edges_ns

EDGES_NS: tuple[int, ...] = tuple(bucket_edges_ns())


def add(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """The sum of histograms; all zero for none. Percentiles of parts are never averaged: add, then take one."""
    total = [0] * len(EDGES_NS)
    for histogram in histograms:
        total = [a + b for a, b in zip(total, histogram, strict=True)]
    return tuple(total)


def subtract(after: Sequence[int], before: Sequence[int]) -> tuple[int, ...]:
    """What was counted between two cumulative histograms; never below 0."""
    return tuple(max(0, a - b) for a, b in zip(after, before, strict=True))


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
