"""Numbers with the unit that follows them, as programs print them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics import (
    MetricRefusedError,
    parse_spec,
    read_metrics,
    require_one_unit,
)
from agent.experiment.victim_metrics.units import factors, read_number
from probes.errors import UsageError

NUMBER = "x=x: ([0-9.]+):lower"


def read(spec: str, text: str) -> tuple[float, str]:
    (sample,) = read_metrics(parse_spec(spec), text, "")
    return sample.value, sample.metric.unit


def number(text: str, named: str | None = None, *, separators: str = "") -> tuple[float, str] | None:
    found = read_number(text, 0, named, separators)
    return None if found is None else (found.value, found.unit)


def value_in(named: str, text: str) -> float:
    found = number(text, named)
    assert found is not None
    assert found[1] == named
    return found[0]


def test_850_us_is_less_than_1_2_ms_where_the_unit_is_named() -> None:
    spec = f"{NUMBER}:ms"
    assert read(spec, "x: 850us") == (0.85, "ms")
    assert read(spec, "x: 1.2ms") == (1.2, "ms")


def test_without_a_name_the_unit_is_the_one_that_is_printed() -> None:
    assert read(NUMBER, "x: 850us") == (850, "us")
    assert read(NUMBER, "x: 1.2 ms") == (1.2, "ms")
    assert read(NUMBER, "x: 7 in all") == (7, "")


def test_trials_in_two_units_are_refused_with_what_to_write() -> None:
    known: dict[str, str] = {}
    require_one_unit(known, [Sample(Metric("x", "us", "lower"), 850)])
    require_one_unit(
        known, [Sample(Metric("y", "ms", "lower"), 1.2), Sample(Metric("x", "us", "lower"), 900)]
    )
    with pytest.raises(
        UsageError, match=r"x in 'us' in one trial and in 'ms' in another.*'x=REGEX:lower:ms'"
    ):
        require_one_unit(known, [Sample(Metric("x", "ms", "lower"), 1.2)])
    with pytest.raises(
        UsageError, match=r"in 'us' in one trial and in no unit in another.*'x=REGEX:lower:us'"
    ):
        require_one_unit(known, [Sample(Metric("x", "", "lower"), 1.2)])


@pytest.mark.parametrize(
    ("printed", "named", "value"),
    [
        ("850us", "ms", 0.85),
        ("850µs", "ms", 0.85),  # the micro sign
        ("850\u03bcs", "ms", 0.85),  # the letter mu
        ("850 usec,", "us", 850),
        ("1.5s", "ms", 1500),
        ("2 min", "s", 120),
        ("1,234.5 ms", "ms", 1234.5),
        ("1.234,5 ms", "ms", 1234.5),
        ("1,234,567", "ns", 1234567),
        ("1.234.567", "ns", 1234567),
        ("1'234 ms", "ms", 1234),
        ("1_234_567", "ns", 1234567),
        ("1\u202f234 ms", "ms", 1234),
        ("1\u2009234 ms", "ms", 1234),  # the thin space of the SI
        ("1,5 ms", "ms", 1.5),
        ("0,125 s", "ms", 125),
        ("1.2k", "req/s", 1200),
        ("1.2kreq/s", "req/s", 1200),
        ("1.2 M", "ops", 1.2e6),
        ("34.5%", "%", 34.5),
        ("2 KiB", "B", 2048),
        ("1.5 MB/s", "KiB/s", 1.5e6 / 1024),
        ("1e3", "ms", 1000),
        ("5.", "ms", 5),
    ],
)
def test_what_is_understood_with_a_named_unit(printed: str, named: str, value: float) -> None:
    assert value_in(named, printed) == pytest.approx(value)


@pytest.mark.parametrize(
    ("printed", "named"),
    [
        ("1,234 ms", "ms"),  # 1234 or 1.234
        ("12,345", "ms"),
        ("1 234 ms", "ms"),  # 1234 ms, or columns
        ("12 345 678", "ms"),
        ("1\u00b75 ms", "ms"),  # a decimal point of old
        ("5-10 ms", "ms"),
        ("5\u201310 ms", "ms"),
        ("1.2MB", "ms"),
        ("1.2 MB", "ms"),
        ("850parsecs", "ms"),
        ("5m", "min"),  # metres, millions, minutes
        ("1.2.3", "ms"),
        ("1,2,3", "ms"),
        ("1,23,456", "ms"),
        ("0:01.50", "s"),  # minutes and seconds
        ("12 min 30 s", "s"),
        ("1h30min", "s"),
        ("5x3", "ms"),
        ("0x10", "ms"),
        ("nan", "ms"),
        ("", "ms"),
    ],
)
def test_what_is_not_sure_is_refused(printed: str, named: str) -> None:
    assert number(printed, named) is None


@pytest.mark.parametrize(
    "printed", ["1,234", "1,234.5", "1,5", "1_000", "1'234", "1.2.3", "0:01.50", "5x3", "1 234"]
)
def test_without_a_named_unit_only_plain_numbers_are_read(printed: str) -> None:
    with pytest.raises(MetricRefusedError, match="name the unit, such as x=REGEX:lower:ms"):
        read(NUMBER, f"x: {printed}\n")


def test_a_group_that_begins_inside_a_number_is_refused() -> None:
    with pytest.raises(MetricRefusedError, match="let the group begin where the number does"):
        read("x=.*([0-9.]+):lower", "x: 12\n")  # the classic: `.*` leaves the last digit


def test_columns_between_commas_or_colons_are_numbers_of_their_own() -> None:
    assert read(r"x=^run,(\d+),:lower", "run,850,900\n") == (850, "")
    assert read(r"x=^run:(\d+)::lower", "run:850:900\n") == (850, "")
    with pytest.raises(MetricRefusedError):
        read(r"x=^run,(\d+):lower", "run,850,900\n")
    assert read(r"x=^run (\d+) :lower", "run 850 900\n") == (850, "")
    assert read(r"x=^run (\d+)\s:lower", "run 850 900\n") == (850, "")
    with pytest.raises(MetricRefusedError):
        read(r"x=^run (\d+):lower", "run 850 900\n")


def test_digits_behind_the_group_belong_to_the_number() -> None:
    assert read(r"x=x: (\d+):lower", "x: 12.75 ms\n") == (12.75, "ms")
    assert read(r"x=x: ([0-9.]+):lower", "x: 1.5e3\n") == (1500, "")


def test_a_refusal_shows_the_figure_where_it_stands() -> None:
    with pytest.raises(MetricRefusedError, match=r"it stands in 'x: 1,234 ms'") as refused:
        read(f"{NUMBER}:ms", "first\nx: 1,234 ms\nlast\n")
    assert "name the unit" not in str(refused.value)  # it is named
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("unit", ["m s", ":", "5", "", "x" * 40])
def test_a_unit_is_a_word(unit: str) -> None:
    with pytest.raises(UsageError):
        parse_spec(f"{NUMBER}:{unit}")


UNITS = ["ns", "us", "ms", "s", "min", "B", "KiB", "MB", "MB/s", "%", "req/s"]


@given(
    st.floats(1e-6, 1e12),
    st.sampled_from(UNITS).flatmap(
        lambda named: st.tuples(st.just(named), st.sampled_from(sorted(factors(named))))
    ),
    st.sampled_from(["", " "]),
)
def test_every_number_is_read_back_whatever_its_unit(
    value: float, units: tuple[str, str], space: str
) -> None:
    named, printed = units
    if space and printed in ("k", "K", "M", "G", "T", ""):
        space = ""
    found = value_in(named, f"{value!r}{space}{printed}")
    assert found == pytest.approx(value * factors(named)[printed])


@given(st.integers(1000, 10**15), st.sampled_from([",", "'", "_", "\u202f"]), st.integers(0, 99))
def test_thousands_are_read_back_where_they_are_sure(whole: int, separator: str, hundredths: int) -> None:
    text = f"{whole:,}".replace(",", separator) + f".{hundredths:02}"
    assert value_in("ms", text) == pytest.approx(whole + hundredths / 100)


@given(st.text(max_size=30), st.none() | st.sampled_from(UNITS), st.sampled_from(["", ",", ":", ",:"]))
def test_any_text_is_a_finite_number_or_none(text: str, named: str | None, separators: str) -> None:
    found = read_number(text, 0, named, separators)
    assert found is None or not math.isnan(found.value)


@given(st.from_regex(r"[0-9.,'_]{1,12}[a-zµ%/]{0,4}", fullmatch=True), st.sampled_from(UNITS))
def test_a_plain_number_means_the_same_with_and_without_a_named_unit(text: str, named: str) -> None:
    plain, converted = number(text), number(text, named)
    if plain and converted:
        assert converted[0] == pytest.approx(plain[0] * factors(named)[plain[1]])
