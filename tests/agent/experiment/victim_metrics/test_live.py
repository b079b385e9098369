"""The tools themselves, as installed: their output is still what the readers know."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.documents.metric import Sample
from agent.experiment.victim_metrics import parse_spec, read_metrics

START_TIMEOUT_S = 30


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def samples(tool: str, *arguments: str) -> dict[str, Sample]:
    read = read_metrics(parse_spec(tool), output(tool, *arguments), "")
    return {sample.metric.name: sample for sample in read}


@pytest.fixture
def redis_socket(tmp_path: Path) -> Iterator[str]:
    socket = tmp_path / "redis.sock"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield str(socket)
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize(
    ("arguments", "primary"),
    [
        (["cpu", "--events=50"], "events_per_s"),
        (["memory", "--memory-total-size=16M"], "bandwidth"),
        (["threads", "--events=50"], "events_per_s"),
        (["mutex", "--mutex-locks=5000"], "events_per_s"),
    ],
)
def test_sysbench(arguments: list[str], primary: str) -> None:
    assert next(iter(samples("sysbench", *arguments, "run"))) == primary


@pytest.mark.parametrize("style", [[], ["-q"], ["--csv"]])
def test_redis_benchmark(redis_socket: str, style: list[str]) -> None:
    found = samples("redis-benchmark", "-s", redis_socket, "-t", "set,get", "-n", "1000", "-c", "2", *style)
    assert next(iter(found)) == "requests_per_s"
    assert {"SET.requests_per_s", "SET.latency_p50", "GET.requests_per_s", "GET.latency_p50"} <= set(found)


def test_fio_counts_as_its_own_json_does(tmp_path: Path) -> None:
    work = ("--name=tiny", "--size=256k", "--bs=4k", "--rw=randrw", "--ioengine=sync")
    text = output("fio", *work, f"--directory={tmp_path}", "--output-format=json")
    (job,) = json.loads(text[text.index("{") :])["jobs"]
    found = read_metrics(parse_spec("fio"), text, "")
    assert found[0].value == pytest.approx(job["read"]["iops"] + job["write"]["iops"])
