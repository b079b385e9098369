import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiment.victim_metrics import (
    MetricError,
    MetricNotFoundError,
    MetricRefusedError,
    parse_spec,
    read_metrics,
)
from tests.agent.experiment.victim_metrics.recorded import recorded, tool_of

SPEC = parse_spec(r"took=^took (\S*):lower")


def value_of(stdout: str, stderr: str) -> float:
    return read_metrics(SPEC, stdout, stderr)[0].value


def test_standard_output_goes_first() -> None:
    assert value_of("took 1", "took 2") == 1


def test_standard_error_is_read_when_standard_output_does_not_say() -> None:
    assert value_of("nothing\n", "took 2") == 2


def test_the_last_match_counts() -> None:
    assert value_of("took 1\ntook 2\ntook 3\nbye\n", "") == 3


def test_a_group_that_took_no_part_is_no_match() -> None:
    spec = parse_spec(r"x=a(\d)|b:lower")
    assert read_metrics(spec, "a1 b", "")[0].value == 1
    with pytest.raises(MetricNotFoundError):
        read_metrics(spec, "b", "")


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_formatted_number_is_read_back(value: float) -> None:
    assert value_of(f"took {value!r}\n", "") == value


@pytest.mark.parametrize("printed", ["0", "-1.5", "nan", "inf", "1,5", "fast", ""])
def test_a_figure_that_cannot_be_compared_is_refused(printed: str) -> None:
    with pytest.raises(MetricRefusedError, match=f"printed took as '{printed}'"):
        value_of(f"took {printed}", "")


def test_the_message_says_what_was_searched_and_for_what() -> None:
    with pytest.raises(MetricNotFoundError) as missing:
        value_of("".join(f"line {number}\n" for number in range(1, 13)), "")
    assert str(missing.value) == (
        r"no figure for the metric 'took=^took (\\S*):lower': looked for '^took (\\S*)' in the victim's "
        r"stdout (lines: 12, the last: 'line 10\nline 11\nline 12') and stderr (empty)"
        ": run the victim alone and compare its output with the metric"
    )


@given(st.text(), st.text())
def test_hostile_output_neither_breaks_the_message_nor_floods_it(stdout: str, stderr: str) -> None:
    try:
        read_metrics(SPEC, stdout, stderr)
    except MetricError as error:
        assert str(error).isprintable()  # noqa: PT017  an output with a figure raises nothing


def test_a_long_line_is_cut_at_its_start() -> None:
    with pytest.raises(MetricNotFoundError) as missing:
        value_of("x" * 100_000 + "end", "")
    assert "xxxend'" in str(missing.value)
    assert len(str(missing.value)) < 500


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("redis-refused.stderr.txt", "Could not connect to Redis at nowhere.sock"),
        ("wrk-refused.stderr.txt", r"stderr \(lines: 1, the last: 'unable to connect to 127.0.0.1:1"),
    ],
)
def test_the_message_shows_why_a_tool_gave_up(name: str, why: str) -> None:
    with pytest.raises(MetricNotFoundError, match=why):
        read_metrics(parse_spec(tool_of(name)), "", recorded(name))
