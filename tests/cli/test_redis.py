"""A real service as the victim: Redis under its own benchmark, beside neighbours that Debian packages."""

import json
from pathlib import Path

import pytest

from agent.documents.verdict import Verdict
from reports.escape import for_markdown
from tests.cli.running import Ended, left_behind, start

# Server and clients are the victim, on one CPU: what the benchmark counts is what they get done together.
BENCHMARK = (
    "redis-server --port 0 --unixsocket {0} --save '' --dir {1} --logfile {1}/log & "
    "until redis-cli -s {0} ping >/dev/null 2>&1; do sleep 0.02; done; "
    "redis-benchmark -s {0} -t set,get -n 20000 -c 10 --csv"
)
BACKUP = "while :; do head -c 20M /dev/urandom | xz -T2 -0 -c; done >/dev/null"


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("neighbour", "name"),
    [
        ("stress-ng --cpu 4 -q", "neighbour-1 stress-ng"),
        pytest.param("stress-ng --switch 4 -q", "neighbour-1 stress-ng", marks=pytest.mark.slow),
        pytest.param(BACKUP, "neighbour-1 while", marks=pytest.mark.slow),
    ],
)
def test_redis_waits_for_its_neighbour(tmp_path: Path, neighbour: str, name: str) -> None:
    victim = BENCHMARK.format(tmp_path / "socket", tmp_path)
    words = ("--metric", "redis-benchmark", "--pairs", "4", "--max-pairs", "12", "--cpus", "0")
    process = start(
        *("experiment", "--victim", victim, "--neighbour", neighbour, *words),
        *("-o", str(tmp_path / "out"), "--json"),
    )
    out, err = process.communicate()  # as long as a busy machine takes
    assert process.returncode == 0, err
    verdict = Verdict.from_document(json.loads(out))
    assert verdict.verdict == "interference", verdict.reason
    assert max(verdict.causes, key=lambda cause: cause.share_pct).cause == "cpu-wait"
    assert verdict.aggressors[0].name == name
    assert for_markdown("SET.latency_p99") in (tmp_path / "out/report.md").read_text()
    assert left_behind(Ended(process.pid, process.returncode, out, err)) == []
