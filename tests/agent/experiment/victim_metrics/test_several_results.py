"""An output with several results: the last complete one is read, and nothing of the others."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import Sample
from agent.experiment.victim_metrics import MetricNotFoundError, parse_spec, read_metrics
from agent.experiment.victim_metrics.readers import READERS
from tests.agent.experiment.victim_metrics.recorded import recorded, recorded_names, tool_of

DOCUMENT = Path(__file__).parents[4] / "docs/experiments.md"


def read(tool: str, text: str) -> list[Sample]:
    return read_metrics(parse_spec(tool), text, "")


def figures(name: str) -> dict[str, float]:
    return {sample.metric.name: sample.value for sample in read(tool_of(name), recorded(name))}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fio-status.txt", {"iops": 7141 + 7130, "bandwidth": 27.9 + 27.9, "read.clat_max": 11.706}),
        ("fio-status.json", {"iops": 7341.886038 + 7320.226591}),
        ("fio-status-numjobs.txt", {"iops": 8540 + 8732, "read.iops": 8540, "read-2.iops": 8732}),
        ("fio-client.txt", {"iops": 14600, "bandwidth": 57.1, "errors": 0}),
        ("fio-client.json", {"iops": 14628.571429}),
        ("wrk-interrupted.txt", {"requests_per_s": 4366.92, "latency_avg": 1.54, "latency_max": 12.94}),
        ("wrk-twice.txt", {"requests_per_s": 11123.04, "latency_max": 8.65, "latency_p99": 4.41}),
        ("pgbench-twice.txt", {"tps": 293.234968, "latency_avg": 3.735}),
        ("sysbench-checkpoints.txt", {"events_per_s": 1632.84, "latency_avg": 0.62, "latency_max": 9.63}),
        ("redis-twice.txt", {"SET.requests_per_s": 18867.93, "GET.requests_per_s": 17985.61}),
        ("redis-quiet-twice.txt", {"SET.requests_per_s": 16949.15, "GET.requests_per_s": 15822.78}),
        ("redis-csv-twice.txt", {"requests_per_s": 14534.88, "GET.latency_max": 6.807}),
    ],
)
def test_the_last_result_is_read(name: str, expected: dict[str, float]) -> None:
    found = figures(name)
    assert {metric: found[metric] for metric in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "of_the_first"),
    [
        ("wrk-interrupted.txt", "latency_p99"),  # the second run was not asked for percentiles
        ("sysbench-two-tests.txt", "bandwidth"),  # memory, then cpu
        ("redis-csv-twice.txt", "SET.requests_per_s"),  # SET and GET, then GET
        ("redis-twice.txt", "SET-2.requests_per_s"),
        ("redis-quiet-twice.txt", "SET-2.requests_per_s"),
        ("fio-status.txt", "tiny.read.iops"),
        ("fio-client.txt", "one.read.iops"),
    ],
)
def test_nothing_of_the_others_is_read(name: str, of_the_first: str) -> None:
    assert of_the_first not in figures(name)


def of_one_tool() -> list[tuple[str, str]]:
    """Outputs of one tool in one form, of which the second begins a result of its own."""
    return [
        (first, second)
        for first in recorded_names()
        for second in recorded_names()
        if tool_of(first) == tool_of(second) and form(first) == form(second)
    ]


def form(name: str) -> str:
    """A redis-benchmark without the report's titles says only by its tests' names where a run begins."""
    if tool_of(name) == "redis-benchmark":
        return name if name.startswith("redis-quiet") else name.split("-")[1].removesuffix(".txt")
    return "json" if name.endswith("json") or name == "fio-both.txt" else "text"


@pytest.mark.parametrize(("first", "second"), of_one_tool())
def test_a_run_behind_a_warm_up_is_read_as_if_alone(first: str, second: str) -> None:
    tool = tool_of(first)
    assert read(tool, f"{recorded(first)}\n{recorded(second)}") == read(tool, recorded(second))


@given(st.sampled_from(of_one_tool()), st.floats(0, 1))
def test_a_run_that_was_cut_short_is_not_mixed_with_the_one_before(
    pair: tuple[str, str], kept: float
) -> None:
    first, second = map(recorded, pair)
    tool = tool_of(pair[0])
    if pair[0].startswith("redis"):  # a run of fewer tests is a run
        return
    cut = second[: int(kept * len(second))].rpartition("\n")[0]
    try:
        alone = [read(tool, f"{cut}\n")]
    except MetricNotFoundError:
        alone = []
    assert read(tool, f"{first}\n{cut}\n") in [read(tool, first), *alone]


def test_the_victim_of_jostle_itself_is_read_in_one_piece() -> None:
    run = "operations={0} operations\noperations_per_s={0} operations/s\n"
    text = run.format(1) + "latency_p99=5 ms\n" + run.format(2)
    assert [sample.value for sample in read("jostle-victim", text)] == [2]


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_reader_says_what_one_result_is(name: str) -> None:
    assert "One result" in READERS[name].about
    assert f"| `{name}` | {READERS[name].about} |" in DOCUMENT.read_text()
