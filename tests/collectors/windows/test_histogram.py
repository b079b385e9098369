from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collectors.windows import histogram
from collectors.windows.histogram import EDGES_NS, percentile_ns

NR = len(EDGES_NS)
COUNTS = st.lists(st.integers(0, 1000), min_size=NR, max_size=NR)
FINISHED = st.lists(st.integers(0, EDGES_NS[-1] - 1), min_size=1, max_size=60)


def of_waits(waits_ns: list[int]) -> list[int]:
    counts = [0] * NR
    for wait_ns in waits_ns:
        counts[max(i for i, edge in enumerate(EDGES_NS) if edge <= wait_ns)] += 1
    return counts


@given(COUNTS, COUNTS)
def test_adding_and_subtracting_undo_each_other(a: list[int], b: list[int]) -> None:
    assert histogram.subtract(histogram.add([a, b]), b) == tuple(a)


@given(FINISHED)
def test_octaves_hold_the_same_waits_in_buckets_that_double(waits_ns: list[int]) -> None:
    counts = histogram.octaves(of_waits(waits_ns))
    borders_ns = [0, *(256 << octave for octave in range(25)), 1 << 62]
    assert counts == tuple(
        sum(low_ns <= wait_ns < high_ns for wait_ns in waits_ns) for low_ns, high_ns in pairwise(borders_ns)
    )


def test_the_sum_of_none_is_empty() -> None:
    assert histogram.add([]) == (0,) * NR
    assert percentile_ns(histogram.add([]), 99) is None


def test_nothing_is_negative() -> None:
    assert histogram.subtract([0] * NR, [1] * NR) == (0,) * NR


@given(FINISHED, st.floats(0, 100))
def test_a_percentile_is_in_the_bucket_of_the_wait_at_its_rank(waits_ns: list[int], percent: float) -> None:
    found = percentile_ns(of_waits(waits_ns), percent)
    assert found is not None
    ranked = sorted(waits_ns)
    index = max(0, -(-len(ranked) * percent // 100) - 1)
    assume(
        abs(len(ranked) * percent / 100 - round(len(ranked) * percent / 100)) > 1e-9 or percent in {0, 100}
    )
    truth = ranked[int(index)]
    bucket = max(i for i, edge in enumerate(EDGES_NS) if edge <= truth)
    assert EDGES_NS[bucket] <= found <= EDGES_NS[bucket + 1]


@given(COUNTS, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_rise_with_the_percentage(counts: list[int], one: float, other: float) -> None:
    assume(any(counts))
    low, high = (percentile_ns(counts, percent) for percent in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert low <= high


def test_the_open_bucket_gives_its_lower_edge() -> None:
    assert percentile_ns([*[0] * (NR - 1), 5], 50) == EDGES_NS[-1]


@pytest.mark.parametrize(("percent", "expected"), [(25, 320), (50, 384), (100, 512)])
def test_interpolated_within_its_bucket(percent: float, expected: float) -> None:
    assert percentile_ns([0, 8, *[0] * (NR - 2)], percent) == expected
