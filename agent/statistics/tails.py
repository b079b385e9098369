"""Percentiles: of all requests of an arm together where there are histograms, and of none where they are few."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

# So many requests must lie beyond a percentile: of p99 that is 1,000 in all. Of ten the standard error is a third.
BEYOND = 10

_PERCENTILE = re.compile(r"(?:^|[._])p(\d{1,2}(?:\.\d{1,6})?)$", re.ASCII)

Counts = Sequence[tuple[float, float]]
"""A histogram: values, and how many there were of each."""


def percent_of(name: str) -> float | None:
    """Which percentile a metric of this name is: 99 of `latency_p99`; None: it is none."""
    found = _PERCENTILE.search(name)
    return float(found[1]) if found else None


def fewest_requests(percent: float) -> int:
    """Of how many requests this percentile can be told."""
    return math.ceil(BEYOND / (1 - percent / 100) - 1e-6)


def merged(histograms: Iterable[Counts]) -> list[tuple[float, float]]:
    """Several histograms as one, by ascending value."""
    total: Counter[float] = Counter()
    for counts in histograms:
        for value, count in counts:
            total[value] += count  # type: ignore[assignment]  # typed for whole numbers only
    return sorted(total.items())


def requests_in(counts: Counts) -> float:
    """How many there are."""
    return sum(count for _, count in counts)


def quantile(counts: Counts, percent: float) -> float:
    """The least value that so many per cent do not exceed; by ascending value, and not empty."""
    wanted, seen = requests_in(counts) * percent / 100 * (1 - 1e-12), 0.0
    for value, count in counts:
        seen += count
        if seen >= wanted:
            return value
    return counts[-1][0]
