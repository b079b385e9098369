import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import Metric, Sample
from agent.experiment.victim_metrics import parse_spec, read_metrics
from agent.experiment.victim_metrics.readers import READERS
from probes.errors import UsageError


def test_duration_is_not_read_from_output() -> None:
    spec = parse_spec("duration")
    assert spec.reader is None
    assert read_metrics(spec, "duration=1 s", "") == []


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_named_reader(name: str) -> None:
    assert parse_spec(name).reader is READERS[name]


def test_a_pattern_may_hold_the_characters_that_delimit_it() -> None:
    spec = parse_spec(r"p99=^rt:p=0\.99: (?:took=)?(\S+) ms$:lower")
    samples = read_metrics(spec, "start\nrt:p=0.99: took=12.5 ms\nend\n", "")
    assert samples == [Sample(Metric("p99", "ms", "lower"), 12.5)]


def test_the_direction_is_the_last_word() -> None:
    spec = parse_spec("rate=lower:(.*):higher")
    assert read_metrics(spec, "lower:7", "") == [Sample(Metric("rate", "", "higher"), 7.0)]


def test_specs_are_told_apart_by_their_text() -> None:
    assert parse_spec("x=(.):lower") == parse_spec("x=(.):lower")
    assert parse_spec("x=(.):lower") != parse_spec("x=(.):higher")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown metric ''"),
        ("wkr", "unknown metric 'wkr': use duration, stretch, fio, jostle-victim, pgbench, redis-benchmark"),
        ("=(.):lower", "'' is not a name"),
        ("a b=(.):lower", "'a b' is not a name"),
        ("wrk=(.):lower", "'wrk' is built in"),
        ("duration=(.):lower", "'duration' is built in"),
        ("x=(.)", "end it in :lower or :higher"),
        ("x=(.):Lower", "end it in :lower or :higher"),
        ("x=(:lower", "not a regular expression"),
        ("x=a{99999999999999999999}:lower", "not a regular expression"),
        ("x=" + "(" * 5000 + ":lower", "not a regular expression"),
        ("x=:lower", "has 0 capture groups"),
        ("x=[0-9]+:lower", "has 0 capture groups"),
        ("x=(.)(.):lower", r"has 2 capture groups.*\(\?: \)"),
    ],
)
def test_a_bad_spec_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_spec(text)


def test_a_pattern_that_python_warns_about_is_used_quietly() -> None:
    assert parse_spec("x=[[a](.):lower").text == "x=[[a](.):lower"  # warnings are errors in these tests


@given(st.text() | st.text().map(lambda text: f"x={text}:lower"))
def test_any_text_is_a_spec_or_a_usage_error(text: str) -> None:
    try:
        assert parse_spec(text).text == text
    except UsageError as error:
        assert str(error).isprintable()  # noqa: PT017  a text that is a spec raises nothing
