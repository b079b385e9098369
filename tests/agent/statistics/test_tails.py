"""Percentiles of histograms, merged, and of how many requests they can be told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics.tails import fewest_requests, merged, percent_of, quantile, requests_in

VALUES = st.lists(st.integers(1, 50), min_size=1, max_size=80)


@pytest.mark.parametrize(
    ("name", "percent"),
    [
        ("latency_p99", 99.0),
        ("read.clat_p99.9", 99.9),
        ("p50", 50.0),
        ("latency_avg", None),
        ("loop99", None),
        ("p100", None),
    ],
)
def test_which_percentile_a_name_is(name: str, percent: float | None) -> None:
    assert percent_of(name) == percent


def test_ten_requests_lie_beyond_a_percentile_that_is_told() -> None:
    assert [fewest_requests(percent) for percent in (50, 95, 99, 99.9)] == [20, 200, 1000, 10000]


@given(VALUES, VALUES, st.sampled_from([1.0, 50.0, 95.0, 99.0, 99.9]))
def test_merged_they_are_the_percentiles_of_all_values_together(
    one: list[int], other: list[int], percent: float
) -> None:
    counts = merged([(float(value), 1.0) for value in values] for values in (one, other))
    assert requests_in(counts) == len(one) + len(other)
    exact = np.percentile([*one, *other], percent, method="inverted_cdf")
    assert quantile(counts, percent) == pytest.approx(float(exact))
