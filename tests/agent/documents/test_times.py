"""Durations are read as people write them, and moments are written in one form."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.times import clock, duration_s, moment, second_of_day, zone
from agent.store.query import moment_ns
from tests.cli.running import ROOT

FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")


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


@given(st.integers(0, 4 * 10**9))
def test_a_moment_is_one_word_and_says_its_offset(utc_s: int) -> None:
    shown = moment(utc_s)
    assert FORM.fullmatch(shown)
    assert moment_ns(shown, datetime(2026, 3, 1, tzinfo=None)) == utc_s * 10**9  # noqa: DTZ001  as `--at` has it


@pytest.mark.parametrize(
    ("after_s", "said"), [(0, "23:59:58"), (2, "00:00:00"), (0.5, "23:59:58.5"), (1.96, "00:00:00")]
)
def test_the_time_of_day(after_s: float, said: str) -> None:
    since = "2026-03-01T23:59:58+01:00"
    assert (clock(since, after_s), zone(since), second_of_day(since)) == (said, "+01:00", 86398.0)


def test_only_one_place_knows_how_a_moment_is_written() -> None:
    knows = re.compile(r"strftime|\bisoformat|strptime|\.ctime\(|asctime|:%[YHd]")
    sources = [
        path for room in ("agent", "collectors", "probes", "reports") for path in ROOT.glob(f"{room}/**/*.py")
    ]
    assert len(sources) > 100
    found = {str(path.relative_to(ROOT)) for path in sources if knows.search(path.read_text())}
    assert found == {"agent/documents/times.py"}


def test_every_moment_in_every_document_and_report_is_of_that_form() -> None:
    parts = re.compile(r"\S*(?:\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d)\S*")
    of_day = re.compile(r"\d\d:\d\d:\d\d(\.\d)?")  # in a column whose heading says the zone
    golden = [path.read_text() for path in (ROOT / "tests/reports/golden").iterdir() if path.is_file()]
    found = [(word, text) for text in golden for word in parts.findall(text)]
    assert len(found) > 10
    other = [(word, text) for word, text in found if not FORM.search(word)]
    assert [word for word, text in other if not (of_day.fullmatch(word) and "From (+00:00)" in text)] == []
