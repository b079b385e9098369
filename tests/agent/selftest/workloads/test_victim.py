import os
import re
import signal
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiment.victim_metrics import parse_spec, read_metrics
from agent.selftest.workloads import victim
from tests.agent.selftest.workloads.running import becomes_true, children, command, has_ended, neighbour


def run_victim(*arguments: str) -> str:
    done = subprocess.run(command("victim", *arguments), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def printed(output: str) -> dict[str, float]:
    return {key: float(value) for key, value in re.findall(r"^(\w+)=(\S+) \S+$", output, re.MULTILINE)}


def test_the_metric_reader_reads_what_it_prints() -> None:
    output = run_victim("--operations", "20")
    samples = read_metrics(parse_spec("jostle-victim"), output, "")
    own = printed(output)
    assert [sample.metric.name for sample in samples] == [
        "operations_per_s", "work_duration", "latency_p50", "latency_p95", "latency_p99", "latency_max",
    ]  # fmt: skip
    assert all(sample.value == own[sample.metric.name] for sample in samples)


@pytest.mark.parametrize("processes", [1, 3])
def test_the_figures_hang_together(processes: int) -> None:
    found = printed(run_victim("--operations", "50", "--processes", f"{processes}"))
    duration_ms = found["work_duration"] * 1e3
    assert found["processes"] == processes
    assert duration_ms >= found["latency_sum"] / processes
    assert found["operations_per_s"] == pytest.approx(50 / found["work_duration"], rel=1e-3)
    assert 0 < found["latency_p50"] <= found["latency_p95"] <= found["latency_p99"] <= found["latency_max"]
    assert found["latency_max"] * 50 >= found["latency_sum"] >= found["latency_p50"] * 25


def test_the_work_is_the_same_whatever_the_load() -> None:
    arguments = ("--operations", "50", "--processes", "2")
    alone = printed(run_victim(*arguments))
    with neighbour("spin"):
        beside = printed(run_victim(*arguments))
    assert alone["operations"] == beside["operations"] == 50


def test_the_work_is_done_on_a_cpu() -> None:
    process = subprocess.Popen(command("victim", "--operations", "50"), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_utime > 0


def test_think_time_is_part_of_the_duration_and_not_of_the_latencies() -> None:
    found = printed(run_victim("--operations", "10", "--think-ms", "5"))
    assert found["work_duration"] * 1e3 >= 10 * 5 + found["latency_sum"]


def test_a_working_set_is_walked_line_by_line_and_wholly() -> None:
    read: set[int] = set()

    class Watched(bytearray):
        def __getitem__(self, key: slice) -> bytearray:  # type: ignore[override]  # it is only ever sliced here
            read.update(range(*key.indices(len(self))))
            return bytearray()

    size = 64 * 4096
    victim._walk(Watched(size))
    assert read == set(range(0, size, 64))


def test_operations_with_a_working_set_run() -> None:
    assert printed(run_victim("--operations", "4", "--working-set-kib", "256"))["operations"] == 4


def test_more_processes_than_operations() -> None:
    assert printed(run_victim("--operations", "1", "--processes", "3"))["operations"] == 1


@given(st.integers(1, 10_000), st.integers(1, 100))
def test_shares_are_fair_and_whole(operations: int, processes: int) -> None:
    shares = victim.shares(operations, processes)
    assert (sum(shares), len(shares)) == (operations, processes)
    assert max(shares) - min(shares) <= 1


@given(st.lists(st.integers(0, 10**12), min_size=1), st.sampled_from([0, 50, 95, 99, 100]))
def test_percentiles_are_those_of_numpy(values: list[int], percent: int) -> None:
    expected = np.percentile(values, percent, method="inverted_cdf")
    assert victim.percentile(sorted(values), percent) == expected


def test_a_worker_that_ends_early_fails_the_run() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(command("victim", "--operations", "1000000"), stderr=pipe, text=True) as process:
        assert becomes_true(lambda: len(children(process)) == 1)
        children(process)[0].kill()
        _, stderr = process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(r"victim: process \d+ ended early, with code -9\n", stderr)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_its_workers_die_with_it(signum: signal.Signals) -> None:
    arguments = ("--operations", "1000000", "--processes", "2")
    with subprocess.Popen(command("victim", *arguments), stderr=subprocess.PIPE, text=True) as process:
        assert becomes_true(lambda: len(children(process)) == 2)
        workers = children(process)
        process.send_signal(signum)
        assert process.wait() == -signum
        assert becomes_true(lambda: all(has_ended(worker) for worker in workers))
