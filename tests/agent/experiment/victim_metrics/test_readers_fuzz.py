"""Whatever a victim prints, a reader answers with samples or with one of our errors."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import Sample
from agent.experiment.victim_metrics import MetricError, parse_spec, read_metrics
from agent.experiment.victim_metrics.readers import READERS
from tests.agent.experiment.victim_metrics.recorded import recorded, recorded_names, tool_of

# Numbers and words that have a meaning to some reader, beside text without any.
HOSTILE = st.text() | st.sampled_from(
    [
        "nan",
        "-nan",
        "inf",
        "0",
        "-1",
        "1e999",
        "9" * 400,
        "\r",
        "\n",
        "\x1b[2J",
        "\x00",
        '"',
        "{",
        "}",
        "\udc80",
    ]
)


@st.composite
def damaged_outputs(draw: st.DrawFn) -> tuple[str, str]:
    """A recorded output with a few of its slices replaced, and the tool that printed it."""
    name = draw(st.sampled_from(recorded_names()))
    text = recorded(name)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 40))
        text = text[:start] + draw(HOSTILE) + text[end:]
    return tool_of(name), text


def check(tool: str, text: str) -> None:
    try:
        samples = read_metrics(parse_spec(tool), text, "")
    except MetricError as error:
        assert str(error).isprintable()  # noqa: PT017  an output with a figure raises nothing
    else:
        check_samples(samples)


def check_samples(samples: list[Sample]) -> None:
    assert samples
    assert all(math.isfinite(sample.value) for sample in samples)
    assert all(
        sample.value > 0 or (sample.metric.is_failure_count and sample.value == 0) for sample in samples
    )
    assert len({sample.metric.name for sample in samples}) == len(samples)


@given(st.sampled_from(sorted(READERS)), st.text())
def test_arbitrary_text(tool: str, text: str) -> None:
    check(tool, text)


@given(damaged_outputs())
def test_damaged_outputs(tool_and_text: tuple[str, str]) -> None:
    check(*tool_and_text)


@pytest.mark.parametrize("tool", sorted(READERS))
@pytest.mark.parametrize("character", ["9", " ", '"', "=", "|", "{", "[", "\n", "\r", "."])
def test_a_flood_of_one_character(tool: str, character: str) -> None:
    began_s = time.process_time()
    with pytest.raises(MetricError):
        read_metrics(parse_spec(tool), character * 300_000, "")
    assert (
        time.process_time() - began_s < 5
    )  # in time that grows with the length: 0.1 s; with its square: a minute


@given(
    st.sampled_from(
        [
            ("sysbench", "    events per second:  {}"),
            ("wrk", "Requests/sec:   {}"),
            ("pgbench", "tps = {} (without initial connection time)"),
            ("redis-benchmark", "SET: {} requests per second, p50=0.1 msec"),
            ("jostle-victim", "operations_per_s={} operations/s"),
        ]
    ),
    st.decimals(min_value="0.01", max_value="1e12", places=2),
)
def test_a_formatted_rate_is_read_back(tool_and_line: tuple[str, str], rate: object) -> None:
    tool, line = tool_and_line
    samples = read_metrics(parse_spec(tool), f"noise\n{line.format(rate)}\nnoise\n", "")
    assert samples[0].value == float(f"{rate}")
