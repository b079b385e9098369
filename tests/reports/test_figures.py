"""Figures read the same everywhere, and never claim what is not there."""

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import figures
from reports.figures import apportioned_pct, as_shown
from reports.sections.model import Cells, sizes, times
from tests.reports.samples import VERDICTS

finite = st.floats(-1e12, 1e12)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.quantity(1.02, "s"), "1.02 s"),
        (figures.quantity(1.61499, "s"), "1.615 s"),
        (figures.quantity(999.96, "ms"), "1,000 ms"),
        (figures.quantity(12345.6, "requests/s"), "12,346 requests/s"),
        (figures.quantity(5, "/s"), "5/s"),
        (figures.quantity(0.0000123), "0.0000123"),
        (figures.quantity(3.427e-07), "0.0000003427"),
        (figures.quantity(3.0), "3"),
        (figures.percent(57.849), "57.8 %"),
        (figures.percent(-0.04), "0.0 %"),
        (figures.percent(12345.67), "12,345.7 %"),
        (figures.coarse_percent(0.012345), "0.012 %"),
        (figures.coarse_percent(0.0000123), "0.000012 %"),
        (figures.interval((51.2, 64.0)), "51.2 to 64.0 %"),
        (figures.p_value(0.00213), "0.0021"),
        (figures.p_value(0.0001), "0.0001"),
        (figures.p_value(0.00009), "<0.0001"),
        (figures.p_value(1.0), "1"),
        (figures.count(12000), "12,000"),
        (figures.counted(1, "pair"), "1 pair"),
        (figures.counted(0, "pair"), "0 pairs"),
        (figures.time_ns(310), "310 ns"),
        (figures.time_ns(999.9), "1 µs"),
        (figures.time_ns(1_240_000), "1.24 ms"),
        (figures.time_ns(0), "0 ns"),
        (figures.time_ns(7_261_000_000_000), "7,261 s"),
        (figures.seconds(41.7), "41.7 s"),
    ],
)
def test_how_figures_read(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.floats(-1e12, -1e-12))
def test_below_zero_stands_a_minus_and_never_a_hyphen(number: float) -> None:
    shown = [
        *(figures.quantity(number, "s"), figures.percent(number), figures.coarse_percent(number)),
        *(figures.change(number), figures.change(number, "higher"), figures.change_interval((number, 0.0))),
        *(figures.interval((number, number)), figures.time_ns(number), figures.in_unit(number, 1000.0)),
        *(figures.mean_number(number), figures.seconds(number)),
    ]
    assert [text for text in shown if "-" in text] == []


@pytest.mark.parametrize(
    "formatter",
    [
        figures.quantity,
        figures.percent,
        figures.coarse_percent,
        figures.interval,
        figures.p_value,
        figures.count,
        figures.time_ns,
        figures.seconds,
    ],
)
def test_what_is_unavailable_is_not_zero(formatter: object) -> None:
    assert callable(formatter)
    assert formatter(None) == "n/a"


@given(st.floats(1, 1e15))
def test_a_time_keeps_three_digits_in_any_unit(ns: float) -> None:
    number, unit = figures.time_ns(ns).replace(",", "").split()
    read = float(number) * {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
    assert math.isclose(read, ns, rel_tol=0.006)


@given(st.floats(-1000, 1000), st.integers(1, 14))
def test_apportioned_shares_sum_to_their_rounded_sum(first: float, number: int) -> None:
    shares = [first, *[(100 - first) / number] * number]
    shown = apportioned_pct(shares)
    assert round(sum(shown), 6) == 100.0
    assert all(abs(share - original) <= 0.1 + 1e-9 for share, original in zip(shown, shares, strict=True))
    assert apportioned_pct(shown) == shown


@given(finite)
def test_rounding_twice_changes_nothing(number: float) -> None:
    for rounding in (figures.rounded, figures.rounded_pct, figures.rounded_coarse):
        once = rounding(number)
        assert rounding(once) == once
        assert math.copysign(1, once) == 1 or once < 0


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_as_shown_is_settled(name: str) -> None:
    shown = as_shown(VERDICTS[name])
    assert as_shown(shown) == shown


@pytest.mark.parametrize(
    ("values_ns", "unit", "cells"),
    [
        ((2_100_000_000, 640_000_000), "s", ["2.1", "0.64"]),
        ((2_100_000_000, 12_500, None, 0), "ms", ["2,100", "0.0125", "n/a", "0"]),
        ((7_900_000, 910), "µs", ["7,900", "0.91"]),
        ((999, 1), "ns", ["999", "1"]),
        ((200_000_000_000, 3), "s", ["200", "0.000000003"]),
    ],
)
def test_a_column_has_one_unit(values_ns: list[int | None], unit: str, cells: list[str]) -> None:
    column = times("Wait", values_ns)
    assert (column.column.heading, list(column.cells)) == (f"Wait ({unit})", cells)


@given(st.lists(st.none() | st.integers(1, 10**15), min_size=1), st.sampled_from([times, sizes]))
def test_every_value_of_a_column_is_itself_in_the_unit_of_its_heading(
    values: list[int | None], of: Callable[[str, Sequence[int | None]], Cells]
) -> None:
    """The units are those of the SI and of IEC 80000-13."""
    scales = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9}
    scales |= {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
    made = of("x", values)
    scale = scales[made.column.heading.removeprefix("x").strip(" ()") or "B"]
    for value, cell in zip(values, made.cells, strict=True):
        if value is None:
            assert cell == "n/a"
        else:
            assert float(cell.replace(",", "")) * scale == pytest.approx(value, rel=0.006)
