"""The fleet with agents and servers that the test starts: S3 by moto, a Spark cluster of a master and two workers."""

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.documents.fleet import Shipped
from agent.fleet.ask import ALL, Asked, ask
from agent.fleet.compact import LATE_S, compact
from agent.fleet.engines import ENGINES
from agent.fleet.place import Folder, ObjectStore, place_of
from agent.fleet.questions import QUESTIONS
from agent.fleet.schema import DAY_S
from agent.sandbox.cgroups import Group, Workspace
from benchmarks.fleet_sim import BEGIN_S, CHANGE_DAY, SimulatedHost, simulate, write_history
from collectors.host.hierarchy import detect_layout
from tests.agent.fleet.days import changed_days
from tests.agent.fleet.histories import BEGIN_NS, HOUR_NS, each_minute, history
from tests.agent.fleet.servers import ELSEWHERE, PACKAGES, bucket_at, free_port, server, wait_for
from tests.cli.running import JOSTLE, ROOT, eventually, run
from tests.cli.test_agent import Place

LATER_NS = BEGIN_NS + 100 * HOUR_NS
WINDOWS, AGENTS = 8, 3
NEIGHBOUR = (sys.executable, "-m", "agent.selftest.workloads.neighbour", "spin", "--processes")
pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """An empty bucket's URL."""
    with bucket_at(tmp_path) as url:
        yield url


def test_hosts_ship_to_s3_and_the_review_names_the_planted_neighbour(bucket: str, tmp_path: Path) -> None:
    for number in range(6):
        host, path = SimulatedHost(number, 1), tmp_path / f"{number}.db"
        write_history(path, host, days=1, hours=1)
        assert run("ship", bucket, "--history-file", str(path)).code == 0
        assert "shipped 0 hours" in run("ship", bucket, "--history-file", str(path)).err
    review = run("fleet", "review", bucket, "-f", "md", "--cache", str(tmp_path / "cache"))
    assert review.code == 0, review.err
    assert "batch/crunch-1/worker costs others most" in review.out
    place = place_of(bucket)
    assert isinstance(place, ObjectStore)
    before = ask(place, Asked(ALL, limit=10**6))
    assert len(compact(place, BEGIN_S + DAY_S + LATE_S)) == 1
    after = ask(place, Asked(ALL, limit=10**6))
    assert after.coverage.files < before.coverage.files
    for a, b in zip(before.answers, after.answers, strict=True):
        assert sorted(map(texts, a.rows)) == sorted(map(texts, b.rows)), a.question


def test_a_store_that_is_away_for_a_day_loses_nothing(bucket: str, tmp_path: Path) -> None:
    path, told = tmp_path / "history.db", tmp_path / "jostle.prom"
    history(path, each_minute(BEGIN_NS, 24 * 60))
    words = ("ship", bucket, "--history-file", str(path), "--metrics", str(told), "--json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        for _ in range(3):  # of its 24 attempts
            away = run(*words)
            assert (away.code, away.err.count("\n")) == (1, 1), away.err
            assert not told.exists()  # so that the last success keeps its time
    done = Shipped.from_document(json.loads(run(*words).out))
    assert (done.hours, done.windows, done.lost_windows) == (24, 24 * 60, 0)
    assert "jostle_ship_windows 1440\n" in told.read_text()
    dataset = place_of(bucket)
    hours = [name for name in dataset.names("v1/hosts") if name.endswith(".parquet")]
    assert len(hours) == 24
    (row,) = ask(dataset, Asked(("coverage",))).answers[0].rows
    assert row["hours"] == pytest.approx(24 * 60 * 10 / 3600)
    assert row["lost_windows"] == 0


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet of 20 hosts for 14 days, all compacted but for the last: with every truth that `fleet_sim` plants."""
    path = tmp_path_factory.mktemp("fleet")
    simulate(path, hosts=20, days=14, hours=2, fillers=2)
    assert len(compact(Folder(path), BEGIN_S + 13 * DAY_S + LATE_S)) == 13
    return path


def test_a_spark_cluster_gives_the_same_rows(
    fortnight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    assert shutil.which("java"), "packaging/setup.sh fleet installs it"
    monkeypatch.setattr(sys, "path", [*sys.path, str(PACKAGES)])  # what .venv has comes first
    monkeypatch.setenv("PYTHONPATH", str(PACKAGES))
    master = f"spark://127.0.0.1:{port}"
    monkeypatch.setenv("SPARK_MASTER", master)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("SPARK_WORKER_DIR", str(tmp_path / "work"))
    deploy = (str(PACKAGES / "pyspark/bin/spark-class"), "org.apache.spark.deploy")
    listening = ("--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
    limits = ("--cores", "1", "--memory", "1g", "--webui-port", "0")
    worker = (deploy[0], f"{deploy[1]}.worker.Worker", *limits, master)
    with server(deploy[0], f"{deploy[1]}.master.Master", *listening, log=tmp_path / "master"):
        wait_for(port)
        with server(*worker, log=tmp_path / "w1"), server(*worker, log=tmp_path / "w2"):
            assert_same(fortnight, "spark")


def test_clickhouse_gives_the_same_rows(fortnight: Path) -> None:
    assert_same(fortnight, "clickhouse")


def assert_same(dataset: Path, engine: str) -> None:
    """All questions have the same rows on DuckDB and on another engine, and the truths are in them."""
    assert engine in ENGINES
    assert set(ALL) == set(QUESTIONS)
    asked = Asked(ALL, limit=10**6, objective_ms=5.0)
    one, other = ask(Folder(dataset), asked), ask(Folder(dataset), replace(asked, engine=engine))
    for a, b in zip(one.answers, other.answers, strict=True):
        assert len(a.rows) == len(b.rows) > 0, a.question
        for left, right in zip(sorted(a.rows, key=texts), sorted(b.rows, key=texts), strict=True):
            assert texts(left) == texts(right), a.question
            assert [name for name in left if not is_same(left[name], right[name])] == [], a.question
    assert_truths({answer.question: answer.rows for answer in other.answers})


def texts(row: Mapping[str, Any]) -> list[str]:
    """Rows whose figures are equal but for rounding stand in either order."""
    return [
        value if isinstance(value, str) else f"{value:03.0f}"
        for name, value in row.items()
        if isinstance(value, str) or name == "util_pct"
    ]


def is_same(one: Any, other: Any) -> bool:  # noqa: ANN401  a cell
    if isinstance(one, str) or one is None or other is None:
        return bool(one == other)
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


OTAVA = """
import json, sys
from otava.analysis import compute_change_points
series = json.load(sys.stdin)
found = [compute_change_points(each, window_len=len(each) // 2, max_pvalue=0.001)[0] for each in series]
json.dump([[int(point.index) for point in points] for points in found], sys.stdout)
"""


def test_a_change_is_told_of_the_day_that_apache_otava_finds() -> None:
    """Of 200 workloads of four weeks, each of which waits for half as long again from some day on."""
    draws = np.random.default_rng(1)
    days = 20 * (1 + 0.1 * draws.standard_normal((200, 28)))
    for each, day in zip(days, draws.integers(5, 24, 200), strict=True):
        each[day:] *= 1.5
    told = subprocess.run(
        [ELSEWHERE / "bin/python", "-c", OTAVA],
        input=json.dumps(days.tolist()),
        capture_output=True,
        text=True,
        check=True,
    )
    oracle = dict(enumerate(json.loads(told.stdout)))
    ours = changed_days(days)
    both = [number for number, points in oracle.items() if points and ours[number] is not None]
    assert len(both) >= 180  # of 200 that changed
    assert sum(ours[number] in oracle[number] for number in both) >= 0.9 * len(both)


def assert_truths(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """What `benchmarks.fleet_sim` says that it plants, each in the rows of its question."""
    batch = [row["aggressor"] for row in found["aggressors"] if row["aggressor_owner"] == "batch"]
    assert batch == [f"batch/crunch-{number}/worker" for number in range(1, 6)]
    assert found["aggressors"][0]["aggressor"] == batch[0]
    assert found["victims"][0]["workload"] == "shop/web/nginx"
    slow = [row["host"] for row in found["slower"] if row["workload"] == "shop/web/nginx"]
    assert slow[0] == "host-00007"
    assert {(row["cpu_model"], row["knee_pct"]) for row in found["knee"]} == {("Early", 60.0), ("Late", 85.0)}
    worst = found["moves"][0]
    assert (worst["victim"], worst["aggressor"]) == ("shop/web/nginx", batch[0])
    assert found["above"][0]["owner"] == "batch"
    assert [row["owner"] for row in found["limits"]] == ["payments"]
    changed = found["change"][0]
    assert changed["arm"] == "6.9-bad"
    assert changed["low"] > 20
    assert found["weeks"][0]["workload"] == "shop/cart/app"
    assert found["weeks"][0]["changed_s"] == BEGIN_S + CHANGE_DAY * DAY_S
    (told,) = found["incidents"]
    assert (told["victim"], told["suspect"]) == ("shop/web/nginx", "batch/crunch-4/worker")
    assert found["coverage"][0]["host"] == "host-00005"


@contextmanager
def busy(group: Group, processes: int, cpu: int) -> Iterator[None]:
    """So many processes in a cgroup that always want the same CPU."""
    joined = "".join(f"echo $$ >{directory}/cgroup.procs; " for directory in group.directories)
    words = ("taskset", "-c", str(cpu), *NEIGHBOUR, str(processes))
    with subprocess.Popen(
        ["sh", "-c", f"{joined}exec {shlex.join(words)}"], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def recorded_by_an_agent(place: Place, host: str, directory: str) -> Iterator[None]:
    """An agent in a UTS namespace of its own, which sees the cgroups below a directory."""
    place.configure(window_s=1.0, tier="ebpf", more=f'agent.cgroups = ["{directory}/*"]\n')
    words = shlex.join([*JOSTLE, "agent", "--config", str(place.config)])
    with subprocess.Popen(
        ["unshare", "--uts", "sh", "-c", f"hostname {host} && exec {words}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0


@pytest.mark.kernel
def test_three_agents_ship_to_s3_and_the_review_names_the_planted_neighbour(
    bucket: str, tmp_path: Path
) -> None:
    """`web.service` has four tasks that wait behind the one of `crunch.service`, each half of the time.

    So it waits four times as long as the other way round. Cgroups of others on this machine are on none of the three
    hosts; what is in the root cgroup is nobody's workload.
    """
    cpus = sorted(os.sched_getaffinity(0))
    places = []
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace(detect_layout()))
        for number in range(AGENTS):
            directory = workspace.make(f"host-{number}")
            for name, processes in (("web", 4), ("crunch", 1)):
                group = workspace.make(f"host-{number}/{name}.service")
                stack.enter_context(busy(group, processes, cpus[number % len(cpus)]))
            (tmp_path / str(number)).mkdir()
            places.append(Place(tmp_path / str(number)))
            stack.enter_context(recorded_by_an_agent(places[-1], f"node-{number}", directory.path))
        for place in places:
            assert eventually(partial(place.has, WINDOWS))
    for place in places:
        done = run("ship", bucket, "--history-file", str(place.history), "--partial")
        assert done.code == 0, done.err
    here = ("--where", f"aggressor_owner={workspace.name}")
    review = run("fleet", "review", bucket, "-f", "md", "--cache", str(tmp_path / "cache"), *here)
    assert review.code == 0, review.err
    assert "crunch.service costs others most" in review.out
    assert f"on {AGENTS} hosts" in review.out
    assert all(f"node-{number}" in review.out for number in range(AGENTS))
