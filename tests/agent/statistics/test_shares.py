"""Where the extra time went."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agent.statistics.shares import CauseShare, residual_pct, shares
from probes.errors import UsageError

SECONDS = st.floats(-10, 10)


@st.composite
def accounts(draw: st.DrawFn) -> tuple[dict[str, list[float]], list[float]]:
    pairs = draw(st.integers(1, 8))
    series = st.lists(SECONDS, min_size=pairs, max_size=pairs)
    names = draw(st.lists(st.sampled_from(["cpu-wait", "io", "steal", "throttled"]), unique=True))
    return {name: draw(series) for name in names}, draw(series)


def by_cause(rows: list[CauseShare]) -> dict[str, float]:
    return {row.cause: row.share_pct for row in rows}


def test_terms_are_shared_out_and_the_rest_is_unexplained() -> None:
    rows = shares({"io": [0.02, 0.02], "cpu-wait": [0.4, 0.6]}, [0.6, 0.8])
    assert [row.cause for row in rows] == ["cpu-wait", "io", "unexplained"]
    assert [row.share_pct for row in rows] == pytest.approx(
        [100 * 0.5 / 0.7, 100 * 0.02 / 0.7, 100 * 0.18 / 0.7]
    )


def test_what_the_remainder_is_called_is_the_callers_choice() -> None:
    assert by_cause(shares({"batch": [1.0]}, [4.0], remainder="kernel")) == {"batch": 25.0, "kernel": 75.0}


def test_a_cause_that_took_less_time_gets_nothing() -> None:
    rows = shares({"cpu-wait": [1.0, 1.0], "throttled": [-0.2, -0.2]}, [1.0, 1.0])
    assert by_cause(rows) == pytest.approx({"cpu-wait": 100.0, "throttled": 0.0, "unexplained": 0.0})
    assert residual_pct({"cpu-wait": [1.0, 1.0], "throttled": [-0.2, -0.2]}, [1.0, 1.0]) == pytest.approx(20)


def test_causes_beyond_the_total_are_scaled_down_to_it() -> None:
    extra = {"cpu-wait": [0.9, 0.9], "io": [0.3, 0.3]}
    assert by_cause(shares(extra, [1.0, 1.0])) == pytest.approx({"cpu-wait": 75, "io": 25, "unexplained": 0})
    assert residual_pct(extra, [1.0, 1.0]) == pytest.approx(20)


@pytest.mark.parametrize("total", [[0.0, 0.0], [-1.0, 0.5]])
def test_without_a_slowdown_there_are_no_causes(total: list[float]) -> None:
    assert shares({"cpu-wait": [1.0, 1.0]}, total) == []
    assert residual_pct({"cpu-wait": [1.0, 1.0]}, total) is None


def test_a_wrecked_pair_is_left_out_for_all_causes() -> None:
    quiet = shares({"cpu-wait": [0.40, 0.42, 0.41, 0.39]}, [0.50, 0.51, 0.49, 0.50])
    wrecked = shares({"cpu-wait": [0.40, 0.42, 0.41, 0.39, 5.0]}, [0.50, 0.51, 0.49, 0.50, -2.0])
    assert wrecked == quiet


def test_with_a_constant_total_the_interval_is_students() -> None:
    wait = [0.40, 0.45, 0.38, 0.47, 0.43]
    expected = stats.ttest_1samp(wait, 0).confidence_interval(0.95)
    row = shares({"cpu-wait": wait}, [0.8] * 5)[0]
    assert row.ci95_pct == pytest.approx((100 * expected.low / 0.8, 100 * expected.high / 0.8))


def test_a_single_pair_has_shares_without_intervals() -> None:
    rows = shares({"cpu-wait": [0.5]}, [1.0])
    assert rows == [CauseShare("cpu-wait", 50.0, None), CauseShare("unexplained", 50.0, None)]


@given(accounts())
def test_shares_sum_to_100_within_their_intervals(
    account: tuple[dict[str, list[float]], list[float]],
) -> None:
    rows = shares(*account)
    assert not rows or sum(row.share_pct for row in rows) == pytest.approx(100)
    for row in rows:
        assert 0 <= row.share_pct <= 100
        assert row.ci95_pct is None or 0 <= row.ci95_pct[0] <= row.share_pct <= row.ci95_pct[1] <= 100


@given(accounts(), st.sampled_from([0.125, 8.0, 1024.0]))
def test_the_unit_of_time_does_not_matter(
    account: tuple[dict[str, list[float]], list[float]], factor: float
) -> None:
    extra, total = account
    scaled = shares({k: [factor * v for v in vs] for k, vs in extra.items()}, [factor * v for v in total])
    assert by_cause(scaled) == pytest.approx(by_cause(shares(extra, total)), abs=1e-6)


@given(accounts(), st.randoms())
def test_the_order_of_the_pairs_does_not_matter(
    account: tuple[dict[str, list[float]], list[float]], random: Random
) -> None:
    extra, total = account
    order = random.sample(range(len(total)), len(total))
    shuffled = shares({k: [vs[i] for i in order] for k, vs in extra.items()}, [total[i] for i in order])
    assert by_cause(shuffled) == pytest.approx(by_cause(shares(extra, total)), abs=1e-6)


@given(accounts())
def test_exact_accounts_leave_nothing_unexplained(
    account: tuple[dict[str, list[float]], list[float]],
) -> None:
    extra = {cause: [abs(value) for value in values] for cause, values in account[0].items()}
    total = np.sum(list(extra.values()), axis=0).tolist() if extra else [0.0]
    rows = shares(extra, total)
    assert not rows or rows[-1].share_pct == pytest.approx(0, abs=1e-6)
    assert not rows or residual_pct(extra, total) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("extra", "total"),
    [
        ({}, []),
        ({"io": [1.0]}, [1.0, 2.0]),
        ({"io": [math.nan]}, [1.0]),
        ({"io": [1.0]}, [math.inf]),
        ({"unexplained": [1.0]}, [1.0]),
    ],
)
def test_incomplete_accounts_are_refused(extra: dict[str, list[float]], total: list[float]) -> None:
    with pytest.raises(UsageError):
        shares(extra, total)
