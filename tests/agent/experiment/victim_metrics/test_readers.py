"""Readers against recorded outputs; the expected values were read off those outputs by eye."""

import json
import statistics

import pytest

from agent.documents.metric import Sample
from agent.experiment.victim_metrics import MetricNotFoundError, MetricRefusedError, parse_spec, read_metrics
from agent.statistics.tails import quantile, requests_in
from tests.agent.experiment.victim_metrics.recorded import recorded, recorded_names, tool_of


def read(tool: str, text: str) -> list[Sample]:
    return read_metrics(parse_spec(tool), text, "")


def figures(name: str) -> dict[str, float]:
    return {sample.metric.name: sample.value for sample in read(tool_of(name), recorded(name))}


def units(name: str) -> dict[str, str]:
    return {sample.metric.name: sample.metric.unit for sample in read(tool_of(name), recorded(name))}


@pytest.mark.parametrize("name", recorded_names())
def test_every_recorded_output_is_read(name: str) -> None:
    samples = read(tool_of(name), recorded(name))
    assert samples[0].metric.better == "higher"
    assert len({sample.metric.name for sample in samples}) == len(samples)
    assert all(sample.value > 0 or sample.metric.is_failure_count for sample in samples)
    assert {sample.metric.better for sample in samples if sample.metric.unit == "ms"} <= {"lower"}


@pytest.mark.parametrize(
    ("name", "metric", "value"),
    [
        ("sysbench-cpu.txt", "events_per_s", 3422.81),
        ("sysbench-cpu-histogram.txt", "events_per_s", 3498.71),
        ("sysbench-memory.txt", "bandwidth", 8759.83),
        ("sysbench-threads.txt", "events_per_s", 5476 / 1.0002),
        ("sysbench-mutex.txt", "events_per_s", 1 / 0.0006),
        ("sysbench-fileio.txt", "events_per_s", 166668 / 1.0003),
        ("wrk-plain.txt", "requests_per_s", 2078.82),
        ("pgbench-plain.txt", "tps", 2349.869714),
        ("pgbench-connect.txt", "tps", 534.514661),
        ("pgbench-rate.txt", "tps", 204.525274),
        ("pgbench-report.txt", "tps", 36615.103693),
        ("pgbench-scripts.txt", "tps", 5768.098646),
        ("redis-quiet-command.txt", "requests_per_s", 25000.0),
        ("fio-read.txt", "iops", 14800.0),
        ("fio-rw.txt", "iops", 29200.0),
        ("fio-rw.json", "iops", 16353.646354 + 16341.658342),
        ("fio-two-jobs.txt", "iops", 579000.0),
        ("fio-group.txt", "iops", 483000.0),
        ("fio-both.txt", "iops", 10215.784216),
    ],
)
def test_the_primary_figure(name: str, metric: str, value: float) -> None:
    first = read(tool_of(name), recorded(name))[0]
    assert first.metric.name == metric
    assert first.value == pytest.approx(value)


def test_sysbench_latencies_that_print_as_zero_are_unknown() -> None:
    assert figures("sysbench-memory.txt") == {
        "bandwidth": 8759.83,
        "operations_per_s": 8970066.79,
        "latency_max": 0.09,
        "errors": 0,
    }


def test_sysbench_prints_the_percentile_that_was_asked_for() -> None:
    assert figures("sysbench-cpu.txt")["latency_p99"] == 0.37
    assert figures("sysbench-cpu-histogram.txt")["latency_p95"] == 0.31
    assert set(figures("sysbench-cpu-no-percentile.txt")) == {
        "events_per_s",
        "latency_avg",
        "latency_max",
        "errors",
    }


def test_wrk_times_and_bytes_come_in_one_unit() -> None:
    assert figures("wrk-404.txt") == pytest.approx(
        {
            "requests_per_s": 2282.58,
            "latency_avg": 0.84919,
            "latency_p50": 0.817,
            "latency_p75": 1.0,
            "latency_p90": 1.2,
            "latency_p99": 1.72,
            "latency_max": 5.71,
            "transfer": 1.13,
            "errors": 2510,
        }
    )
    assert figures("wrk-plain.txt") == pytest.approx(
        {
            "requests_per_s": 2078.82,
            "latency_avg": 0.94,
            "latency_max": 8.90,
            "transfer": 761.29 / 1024,
            "errors": 0,
        }
    )


@pytest.mark.parametrize(
    ("printed", "milliseconds"), [("250.00us", 0.25), ("1.50s", 1500), ("2.00m", 120_000), ("1.00h", 3.6e6)]
)
def test_wrk_prints_times_in_units_from_us_to_h(printed: str, milliseconds: float) -> None:
    text = recorded("wrk-latency.txt").replace("1.78ms", printed)
    assert milliseconds in [sample.value for sample in read("wrk", text)]


def test_wrk2_prints_latencies_twice_and_the_corrected_are_read() -> None:
    found = figures("wrk2-both.txt")
    assert {name: found[name] for name in ("latency_p50", "latency_p99", "latency_p100")} == {
        "latency_p50": 1.02,  # 0.248 uncorrected
        "latency_p99": 5.88,
        "latency_p100": 12.81,
    }


def test_units() -> None:
    assert set(units("sysbench-memory.txt").values()) == {"MiB/s", "operations/s", "ms", "errors"}
    assert set(units("wrk-404.txt").values()) == {"requests/s", "ms", "MiB/s", "errors"}
    assert set(units("pgbench-plain.txt").values()) == {"transactions/s", "ms", "errors", "transactions"}
    assert set(units("redis-text.txt").values()) == {"requests/s", "ms", "errors"}
    assert set(units("fio-rw.json").values()) == {"IO/s", "MiB/s", "ms", "errors"}


def test_pgbench_progress_is_no_result() -> None:
    with pytest.raises(MetricNotFoundError):
        read("pgbench", recorded("pgbench-report.stderr.txt"))


def test_pgbench_before_14_prints_the_rate_without_connecting_last() -> None:
    text = (
        "latency average = 0.4 ms\n"
        "tps = 85.1 (including connections establishing)\n"
        "tps = 85.3 (excluding connections establishing)\n"
    )
    assert [sample.value for sample in read("pgbench", text)] == [85.3, 0.4, 0, 0]


REDIS_RATES = {
    "redis-text.txt": {"SET": 71428.57, "GET": 56022.41},
    "redis-quiet.txt": {"SET": 58309.04, "GET": 50890.59, "LPUSH": 51679.59},
    "redis-csv.txt": {"SET": 50761.42, "GET": 53763.44, "MSET-10-keys": 53050.40},
}


@pytest.mark.parametrize(("name", "rates"), REDIS_RATES.items())
def test_redis_tests_count_alike(name: str, rates: dict[str, float]) -> None:
    read_rates = {name: rate for name, rate in figures(name).items() if name.endswith("requests_per_s")}
    assert read_rates == pytest.approx(
        {
            "requests_per_s": statistics.geometric_mean(rates.values()),
            **{f"{test}.requests_per_s": rate for test, rate in rates.items()},
        }
    )


def test_redis_latencies() -> None:
    text, quiet, table = figures("redis-text.txt"), figures("redis-quiet.txt"), figures("redis-csv.txt")
    labels = ("avg", "p50", "p95", "p99", "max")
    assert [text[f"SET.latency_{label}"] for label in labels] == [0.042, 0.047, 0.079, 0.127, 0.447]
    assert [table[f"GET.latency_{label}"] for label in labels] == [0.057, 0.055, 0.079, 0.119, 0.495]
    assert quiet["GET.latency_p50"] == 0.055
    assert "GET.latency_p99" not in quiet


def test_redis_custom_commands_may_hold_the_delimiter() -> None:
    assert "lpush-a-b-c.requests_per_s" in figures("redis-quiet-command.txt")


@pytest.mark.parametrize(
    "text",
    [
        '"SET","100.0"\n"GET","400.0"\n',
        "SET: 100.0 requests per second\nGET: 400.0 requests per second\n",
        "====== SET ======\n\n100.0 requests per second\n\n====== GET ======\n\n400.0 requests per second\n",
    ],
)
def test_redis_5_prints_rates_alone(text: str) -> None:
    assert [sample.value for sample in read("redis-benchmark", text)] == pytest.approx([200, 100, 400, 0])


def test_redis_progress_alone_is_no_result() -> None:
    progress = recorded("redis-quiet.txt").split("\r")[1]
    assert progress.startswith("SET: rps=0.0 (overall: inf)")
    with pytest.raises(MetricNotFoundError):
        read("redis-benchmark", progress)


def test_fio_directions_stay_apart() -> None:
    found = figures("fio-rw.txt")
    labels = ("iops", "bandwidth", "clat_p50", "clat_p95", "clat_p99", "clat_max")
    reads, writes = ([found[f"{direction}.{label}"] for label in labels] for direction in ("read", "write"))
    assert reads == pytest.approx([14600, 57.1, 0.056576, 0.07936, 0.305152, 2.4717])
    assert writes == pytest.approx([14600, 56.9, 0.001528, 0.002768, 0.00392, 0.045183])
    assert found["bandwidth"] == pytest.approx(57.1 + 56.9)


def test_fio_units_are_those_of_the_line() -> None:
    assert figures("fio-read.txt")["read.clat_p99"] == pytest.approx(0.306)
    assert figures("fio-two-jobs.txt")["one.write.bandwidth"] == pytest.approx(18.3 * 1024)
    assert figures("fio-rw.json")["write.bandwidth"] == pytest.approx(66935432 / 2**20)


@pytest.mark.parametrize(
    ("printed", "mib"), [("6.0MB/s", 6e6 / 2**20), ("512KiB/s", 0.5), ("100B/s", 100 / 2**20)]
)
def test_fio_bandwidth_may_be_decimal(printed: str, mib: float) -> None:
    text = recorded("fio-read.txt").replace("BW=57.7MiB/s", f"BW={printed}")
    assert read("fio", text)[1].value == pytest.approx(mib)


def test_fio_latency_of_fsync_is_not_that_of_the_write() -> None:
    assert figures("fio-fsync.txt")["write.clat_p99"] == pytest.approx(0.005344)


def test_fio_jobs_are_named_only_where_there_are_several() -> None:
    assert "write.clat_p99" in figures("fio-fsync.txt")
    assert {"one.write.clat_p99", "two.write.clat_p99"} <= set(figures("fio-two-jobs.txt"))
    assert figures("fio-two-jobs.json").keys() == figures("fio-two-jobs.txt").keys()


def test_fio_report_agrees_with_its_json_up_to_rounding() -> None:
    document, _, report = recorded("fio-both.txt").partition("\n}\n")
    from_json, from_report = (read("fio", text) for text in (f"{document}\n}}\n", report))
    assert [sample.metric for sample in from_json] == [sample.metric for sample in from_report]
    assert [sample.value for sample in from_json] == pytest.approx(
        [sample.value for sample in from_report], rel=0.01
    )


def test_fio_json_cut_short_is_no_result() -> None:
    with pytest.raises(MetricNotFoundError):
        read("fio", recorded("fio-rw.json")[:-20])


@pytest.mark.parametrize("hostile", ['{"jobs":' * 100_000, '{"jobs": [{"read": 3}, 4, null]}', "{", "{}"])
def test_fio_survives_other_json(hostile: str) -> None:
    with pytest.raises(MetricNotFoundError):
        read("fio", hostile)


@pytest.mark.parametrize("iops", ["NaN", "Infinity", "-1", "0", "true", '"fast"', "9" * 400, "null"])
def test_fio_json_rates_that_cannot_be_compared_are_refused(iops: str) -> None:
    with pytest.raises(MetricRefusedError):
        read("fio", f'{{"jobs": [{{"jobname": "a", "read": {{"total_ios": 1, "iops": {iops}}}}}]}}')


def test_fio_does_not_total_what_it_could_not_read() -> None:
    with pytest.raises(MetricRefusedError):
        read("fio", recorded("fio-rw.txt").replace("write: IOPS=14.6k", "write: IOPS=many"))


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        ("sysbench", "    events per second:  {}"),
        ("sysbench", "1 MiB transferred ({} MiB/sec)"),
        ("sysbench", "    total time:    {}s\n    total number of events:     5"),
        ("wrk", "Requests/sec:   {}"),
        ("pgbench", "tps = {} (without initial connection time)"),
        ("redis-benchmark", "SET: {} requests per second, p50=0.1 msec"),
        ("redis-benchmark", '"SET","{}"'),
        ("jostle-victim", "operations_per_s={} operations/s"),
    ],
)
@pytest.mark.parametrize("printed", ["0.00", "-1", "nan", "inf"])
def test_rates_that_cannot_be_compared_are_refused(tool: str, line: str, printed: str) -> None:
    with pytest.raises(MetricRefusedError, match="not a positive, finite number"):
        read(tool, line.format(printed) + "\n")


@pytest.mark.parametrize("name", recorded_names())
def test_lines_that_end_as_on_windows_read_as_those_of_unix(name: str) -> None:
    text = recorded(name)
    assert read(tool_of(name), text.replace("\n", "\r\n")) == read(tool_of(name), text)


def test_a_pattern_finds_the_end_of_such_a_line() -> None:
    spec = parse_spec("total=total ([0-9]+)$:lower")
    assert [read_metrics(spec, f"total 42{end}\nmore\r\n", "")[0].value for end in ("", "\r", "\r\r")] == [
        42
    ] * 3


def samples_of(name: str) -> dict[str, Sample]:
    return {sample.metric.name: sample for sample in read(tool_of(name), recorded(name))}


def test_histograms_are_read_and_agree_with_the_percentiles_that_are_printed() -> None:
    """wrk2's spectrum holds 1,501 requests; sysbench's histogram all of its events."""
    wrk2 = samples_of("wrk2-both.txt")
    p99 = wrk2["latency_p99"]
    assert not p99.closed_loop
    assert quantile(p99.counts, 99) == pytest.approx(p99.value, rel=0.02)
    sysbench = samples_of("sysbench-cpu-histogram.txt")
    assert requests_in(sysbench["latency_p99"].counts) == 3511
    assert quantile(sysbench["latency_p95"].counts, 95) == pytest.approx(
        sysbench["latency_p95"].value, rel=0.02
    )
    assert sysbench["latency_p95"].closed_loop


@pytest.mark.parametrize("name", ["wrk-latency.txt", "pgbench-plain.txt", "redis-csv.txt", "fio-rw.json"])
def test_who_waits_for_the_answer_before_the_next_request(name: str) -> None:
    assert {each.closed_loop for each in samples_of(name).values() if each.metric.unit == "ms"} == {True}


@pytest.mark.parametrize("name", ["wrk2-both.txt", "pgbench-rate.txt"])
def test_who_sends_at_a_rate_of_its_own(name: str) -> None:
    assert not any(each.closed_loop for each in samples_of(name).values())


def test_fios_bins_are_the_histogram() -> None:
    bins = {"1000000": 990, "2000000": 9, "70000000": 1}
    clat = {"max": 70000000, "bins": bins, "percentile": {"50.000000": 1000000, "99.000000": 1000000}}
    read = {"total_ios": 1000, "iops": 1000.0, "bw_bytes": 4096000, "clat_ns": clat}
    text = json.dumps({"jobs": [{"jobname": "j", "error": 0, "read": read}]})
    found = {each.metric.name: each for each in read_metrics(parse_spec("fio"), text, "")}
    assert found["read.clat_p99.9"].value == 2.0
    assert found["read.clat_p99"].counts == ((1.0, 990.0), (2.0, 9.0), (70.0, 1.0))
