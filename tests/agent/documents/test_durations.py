"""Durations are read as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.durations import duration_s


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("10", 10),
        ("10s", 10),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("500ms", 0.5),
        ("0.5", 0.5),
        (".5m", 30),
    ],
)
def test_a_unit_multiplies_and_a_plain_number_is_seconds(text: str, expected_s: float) -> None:
    assert duration_s(text) == pytest.approx(expected_s)


@pytest.mark.parametrize("text", ["", "m", "10q", "nan", "inf", "1e3", "1,5", "10mm", "1h30", "\u0661"])
def test_what_is_not_sure_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_s(text)


@given(st.integers(0, 10**9), st.integers(0, 999))
def test_a_number_of_seconds_stays_what_it_is(whole: int, thousandths: int) -> None:
    assert duration_s(f"{whole}.{thousandths:03}") == pytest.approx(whole + thousandths / 1000)
