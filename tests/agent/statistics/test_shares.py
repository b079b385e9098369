"""Where the extra time went."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agent.statistics.shares import CauseShare, jackknife, residual_pct, shares
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


def test_a_cause_that_took_less_time_has_a_share_below_0() -> None:
    rows = shares({"cpu-wait": [1.0, 1.0], "throttled": [-0.2, -0.2]}, [1.0, 1.0])
    assert by_cause(rows) == pytest.approx({"cpu-wait": 100.0, "throttled": -20.0, "unexplained": 20.0})
    assert residual_pct(rows) == pytest.approx(20)


def test_causes_beyond_the_total_leave_a_negative_remainder() -> None:
    rows = shares({"cpu-wait": [0.9, 0.9], "io": [0.3, 0.3]}, [1.0, 1.0])
    assert by_cause(rows) == pytest.approx({"cpu-wait": 90, "io": 30, "unexplained": -20})
    assert residual_pct(rows) == pytest.approx(20)


def test_no_pair_is_left_out_however_far_from_the_others() -> None:
    """Eight pairs lose 0.3 s to waiting, two 1.5 s to I/O: half of the loss is I/O's (5.4 s of waits and I/O)."""
    wait, io = [0.3] * 8 + [0.0] * 2, [0.0] * 8 + [1.5] * 2
    rows = by_cause(shares({"cpu-wait": wait, "io": io}, [a + b for a, b in zip(wait, io, strict=True)]))
    assert rows == pytest.approx({"cpu-wait": 100 * 2.4 / 5.4, "io": 100 * 3.0 / 5.4, "unexplained": 0})


def test_three_shares_hold_together_and_two_are_one_statement() -> None:
    """The intervals of three parts are Bonferroni's; of two parts each says what the other does."""
    wait, io, total = [0.40, 0.45, 0.38, 0.47, 0.43], [0.1, 0.12, 0.07, 0.11, 0.1], [0.8] * 5
    one = stats.ttest_1samp(wait, 0).confidence_interval(0.95)
    three = stats.ttest_1samp(wait, 0).confidence_interval(1 - 0.05 / 3)
    (alone, _), (among, *_) = shares({"w": wait}, total), shares({"w": wait, "io": io}, total)
    assert alone.seen_ci95_pct == pytest.approx((100 * one.low / 0.8, 100 * one.high / 0.8))
    assert among.seen_ci95_pct == pytest.approx((100 * three.low / 0.8, 100 * three.high / 0.8))


def test_of_a_mean_the_jackknife_is_students_interval() -> None:
    values = np.array([1.0, 4.0, 2.0, 7.0, 3.0])
    left_out = [float(np.delete(values, at).mean()) for at in range(5)]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert jackknife(float(values.mean()), left_out, 1) == pytest.approx((expected.low, expected.high))
    assert jackknife(1.0, [], 1) is None


@pytest.mark.parametrize("total", [[0.0, 0.0], [-1.0, 0.5]])
def test_without_a_slowdown_there_are_no_causes(total: list[float]) -> None:
    assert shares({"cpu-wait": [1.0, 1.0]}, total) == []
    assert residual_pct([]) is None


def test_with_a_constant_total_the_interval_is_students() -> None:
    wait = [0.40, 0.45, 0.38, 0.47, 0.43]
    expected = stats.ttest_1samp(wait, 0).confidence_interval(0.95)
    row = shares({"cpu-wait": wait}, [0.8] * 5)[0]
    assert row.seen_ci95_pct == pytest.approx((100 * expected.low / 0.8, 100 * expected.high / 0.8))


def test_the_interval_allows_for_a_kind_of_pair_that_was_not_seen() -> None:
    """Of twelve pairs alike, up to 26.5 % might be of another kind (0.735^12 = 0.025), losing three times as much."""
    row, rest = shares({"cpu-wait": [1.0] * 12}, [1.0] * 12)
    others = 3 * 0.265 / (3 * 0.265 + 0.735)
    assert row.seen_ci95_pct == pytest.approx((100, 100))
    assert row.ci95_pct == pytest.approx((100 * (1 - others), 100), abs=0.1)
    assert rest.ci95_pct == pytest.approx((0, 100 * others), abs=0.1)


def test_a_single_pair_has_shares_without_intervals() -> None:
    rows = shares({"cpu-wait": [0.5]}, [1.0])
    assert rows == [CauseShare("cpu-wait", 50.0, None), CauseShare("unexplained", 50.0, None)]


@given(accounts())
def test_shares_sum_to_100_within_their_intervals(
    account: tuple[dict[str, list[float]], list[float]],
) -> None:
    rows = shares(*account)
    assert not rows or sum(row.share_pct for row in rows) == pytest.approx(100, abs=1e-3)
    for row in rows:
        assert row.ci95_pct is None or row.ci95_pct[0] <= row.share_pct <= row.ci95_pct[1]


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
    assert not rows or residual_pct(rows) == pytest.approx(0, abs=1e-6)


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
