"""Failures are always read, 0 where there are none, and a surplus beside the neighbours is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import DURATION, Metric, Sample
from agent.experiment.victim_metrics import failure_counts, more_failures, parse_spec, read_metrics
from agent.experiment.victim_metrics.figures import ERRORS
from tests.agent.experiment.victim_metrics.recorded import recorded, recorded_names, tool_of

SKIPPED = Metric("skipped", "transactions", "lower", is_failure_count=True)


def read(tool: str, text: str) -> dict[str, float]:
    return {sample.metric.name: sample.value for sample in read_metrics(parse_spec(tool), text, "")}


@pytest.mark.parametrize("name", recorded_names())
def test_every_tool_counts_its_failures(name: str) -> None:
    assert "errors" in read(tool_of(name), recorded(name))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("wrk-plain.txt", {"errors": 0}),
        ("wrk-404.txt", {"errors": 2510}),
        ("wrk-twice.txt", {"errors": 7461}),
        ("wrk-sockets.txt", {"errors": 581}),
        ("wrk2-plain.txt", {"errors": 666}),
        ("pgbench-plain.txt", {"errors": 0, "skipped": 0}),
        ("pgbench-failed.txt", {"errors": 2315, "latency_avg": 2.695}),  # (including failures)
        ("pgbench-limit.txt", {"errors": 1211, "skipped": 2187}),
        ("sysbench-cpu.txt", {"errors": 0}),
        ("redis-csv.txt", {"errors": 0}),
        ("fio-rw.json", {"errors": 0}),
        ("fio-rw.txt", {"errors": 0}),
    ],
)
def test_failures_are_counted(name: str, counts: dict[str, float]) -> None:
    found = read(tool_of(name), recorded(name))
    assert {metric: found[metric] for metric in counts} == counts


def test_all_kinds_of_socket_errors_and_of_responses_are_added() -> None:
    sockets = "  Socket errors: connect 1, read 20, write 300, timeout 4000\n"
    text = recorded("wrk-404.txt").replace("  Non-2xx", f"{sockets}  Non-2xx")
    assert read("wrk", text)["errors"] == 4321 + 2510


def test_a_count_that_cannot_be_read_is_unknown_and_not_0() -> None:
    assert "errors" not in read("wrk", recorded("wrk-404.txt").replace(": 2510", ": many"))


def test_sysbench_counts_the_errors_it_ignores() -> None:
    # As src/sysbench.c prints them behind the queries of a database.
    ignored = "    ignored errors:                      17     (0.85 per sec.)\n"
    text = recorded("sysbench-threads.txt").replace("General statistics:", f"{ignored}\nGeneral statistics:")
    assert read("sysbench", text)["errors"] == 17


@pytest.mark.parametrize(
    ("before", "after", "errors"),
    [
        ("err= 0:", "err= 5 (file:io_u.c:1876, func=io_u error, error=Input/output error):", 1),
        (
            "     latency   :",
            "     errors    : total=12, first_error=28/<No space left>\n     latency   :",
            12,
        ),
    ],
)
def test_fio_counts_errors_it_went_on_after_and_jobs_that_ended_with_one(
    before: str, after: str, errors: int
) -> None:
    assert read("fio", recorded("fio-read.txt").replace(before, after))["errors"] == errors


@pytest.mark.parametrize(
    ("before", "after", "errors"),
    [('"error" : 0', '"error" : 28', 1), ('"error" : 0', '"error" : 28, "total_err" : 12', 12)],
)
def test_fio_says_so_in_json_too(before: str, after: str, errors: int) -> None:
    assert read("fio", recorded("fio-rw.json").replace(before, after))["errors"] == errors


def test_redis_shows_errors_where_it_is_asked_to() -> None:
    text = "Error from server: ERR no\n" + recorded("redis-text.txt")
    assert read("redis-benchmark", text)["errors"] == 1
    assert read("redis-benchmark", text + recorded("redis-text.txt"))["errors"] == 0


counts = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=5)


@given(counts)
def test_a_surplus_beside_the_neighbours_is_told_with_its_counts(pairs: list[tuple[int, int]]) -> None:
    without, with_ = (sum(values) for values in zip(*pairs, strict=True))
    warnings = more_failures([([Sample(ERRORS, a)], [Sample(ERRORS, b)]) for a, b in pairs])
    assert bool(warnings) is (with_ > without)
    assert all(f"errors {without:,} without them, {with_:,} with them" in warning for warning in warnings)


def test_each_kind_of_failure_has_its_own_warning_and_others_have_none() -> None:
    without = [Sample(DURATION, 1.0), Sample(ERRORS, 0), Sample(SKIPPED, 5)]
    with_ = [Sample(DURATION, 9.0), Sample(ERRORS, 3), Sample(SKIPPED, 6)]
    assert [warning.partition(": ")[2][:7] for warning in more_failures([(without, with_)])] == [
        "errors ",
        "skipped",
    ]


def test_what_one_arm_does_not_count_was_0_there() -> None:
    """Many tools name an error only where there was one."""
    assert failure_counts([([], [Sample(ERRORS, 3)]), ([Sample(ERRORS, 1)], [])]) == {
        "errors": [(0, 3), (1, 0)]
    }
    assert len(more_failures([([], [Sample(ERRORS, 3)])])) == 1
