import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import Sample
from agent.experiment.victim_metrics import MetricRefusedError
from agent.experiment.victim_metrics.figures import (
    distinct_names,
    latency,
    optional,
    percentile_name,
    required,
    scaled,
)

UNITS = {"": 1.0, "k": 1e3, "us": 1e-3}
P99 = latency("latency_p99")


@given(st.floats(min_value=-1e300, max_value=1e300), st.sampled_from(sorted(UNITS)))
def test_a_formatted_number_is_read_back_times_its_unit(value: float, unit: str) -> None:
    assert scaled(f"{value!r}{unit}", UNITS) == value * UNITS[unit]


@pytest.mark.parametrize(
    "printed",
    ["", "nan", "-nan", "inf", "1e999", "1,5", "1_000", "1.2.3", "12 k", " 12", "12parsecs", "0x10", "１２"],
)
def test_anything_else_is_no_number(printed: str) -> None:
    assert scaled(printed, UNITS) is None


def test_a_number_too_large_after_scaling_is_no_number() -> None:
    assert scaled("1e308k", UNITS) is None


@pytest.mark.parametrize("printed", ["0", "0.00", "-3", "nan", "inf", "lots"])
def test_a_required_figure_that_cannot_be_compared_is_refused_by_name(printed: str) -> None:
    with pytest.raises(MetricRefusedError, match=f"latency_p99 as '{printed}', which is not a positive"):
        required(P99, printed)


def test_a_refusal_shows_hostile_text_escaped_and_short() -> None:
    with pytest.raises(MetricRefusedError) as refused:
        required(P99, "\x1b[2J" + "x" * 1000)
    assert "'\\x1b[2Jxxx" in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("printed", [None, "0.00", "-1", "nan", "disabled"])
def test_an_optional_figure_is_left_out_rather_than_wrong(printed: str | None) -> None:
    assert optional(P99, printed) == []


def test_an_optional_figure_is_kept() -> None:
    assert optional(P99, "0.25") == [Sample(P99, 0.25)]


@pytest.mark.parametrize(("percent", "name"), [("99", "p99"), ("50.00", "p50"), ("99.900000", "p99.9")])
def test_percentile_names(percent: str, name: str) -> None:
    assert percentile_name(percent) == name


@given(st.lists(st.text(max_size=8) | st.sampled_from(["a", "a b", "a-2", "a/b"]), max_size=20))
def test_names_are_distinct_and_well_formed(texts: list[str]) -> None:
    names = distinct_names(texts)
    assert len(set(names)) == len(texts)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in names)


def test_names_stay_recognisable() -> None:
    assert distinct_names(["MSET (10 keys)", "GET", "GET", "\x1b"]) == [
        "MSET-10-keys",
        "GET",
        "GET-2",
        "unnamed",
    ]


def test_a_long_name_is_cut() -> None:
    assert distinct_names(["x" * 1000]) == ["x" * 60]
