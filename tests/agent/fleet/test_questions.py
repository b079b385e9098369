"""Each question finds what is planted in a simulated fleet, and its sums are those of the rows, added by pyarrow."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from agent.fleet.ask import Asked, ask
from agent.fleet.place import Folder
from agent.fleet.schema import WAITS
from benchmarks.fleet_sim import BEGIN_S, CHANGE_DAY, simulate
from collectors.windows.histogram import OCTAVES_NS
from probes.errors import HostError, UsageError
from tests.agent.fleet.days import changed_days

Rows = tuple[Mapping[str, Any], ...]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet")
    simulate(path, hosts=20, hours=2, fillers=3)
    return path


def rows(dataset: Path, question: str, **more: Any) -> Rows:  # noqa: ANN401  fields of Asked
    asked = Asked((question,), limit=10**6, objective_ms=5.0, **more)
    return ask(Folder(dataset), asked).answers[0].rows


def column(dataset: Path, table: str, *names: str) -> dict[str, Any]:
    files = sorted(dataset.glob(f"v1/{table}/*/*/*.parquet"))
    found = pq.ParquetDataset(files, partitioning=None).read(columns=list(names))
    return {name: found.column(name) for name in names}


def test_who_costs_most_and_the_hours_are_those_of_the_pairs(fleet: Path) -> None:
    found = [row for row in rows(fleet, "aggressors") if row["aggressor_owner"] == "batch"]
    assert [row["aggressor"] for row in found] == [f"batch/crunch-{n}/worker" for n in range(1, 6)]
    pairs = column(fleet, "pairs", "aggressor", "victim", "wait_ns")
    waited = pc.filter(pairs["wait_ns"], pc.equal(pairs["aggressor"], "batch/crunch-1/worker"))
    assert found[0]["cost_cpu_h"] == pytest.approx(pc.sum(waited).as_py() / 3.6e12, rel=1e-12)
    assert sum(row["share_pct"] for row in rows(fleet, "aggressors")) == pytest.approx(100)


def test_who_suffers_and_from_what_and_the_percentile_is_of_added_buckets(fleet: Path) -> None:
    found = {row["workload"]: row for row in rows(fleet, "victims")}
    assert next(iter(found)) == "shop/web/nginx"
    assert found["payments/ledger/app"]["mostly"] == "own limits"
    web = column(fleet, "cgroups", "workload", *WAITS)
    is_web = pc.equal(web["workload"], "shop/web/nginx")
    counts = [pc.sum(pc.filter(web[name], is_web)).as_py() for name in WAITS]
    below, rank = 0, 0.99 * sum(counts)
    for place, count in enumerate(counts):
        if below + count >= rank and count:
            low, high = OCTAVES_NS[place : place + 2]
            wanted = (low + (high - low) * (rank - below) / count) / 1e6
            break
        below += count
    assert found["shop/web/nginx"]["p99_ms"] == pytest.approx(wanted)


def test_the_host_on_which_a_workload_is_slower(fleet: Path) -> None:
    found = rows(fleet, "slower", conditions=("workload=shop/web/*",))
    assert (found[0]["host"], found[0]["workload"]) == ("host-00007", "shop/web/nginx")
    assert {row["host"] for row in found} <= {
        "host-00007",
        "host-00002",
        "host-00009",
        "host-00016",
    }  # the bad kernel's


def test_from_which_utilisation_on_the_objective_is_missed(fleet: Path) -> None:
    knees = {(row["cpu_model"], row["knee_pct"]) for row in rows(fleet, "knee")}
    assert knees == {("Early", 60.0), ("Late", 85.0)}


def test_what_moving_gives_back_is_at_most_what_was_waited(fleet: Path) -> None:
    found = next(row for row in rows(fleet, "moves", cpu_hour_cost=1.0) if row["aggressor_owner"] == "batch")
    assert (found["victim"], found["aggressor"]) == ("shop/web/nginx", "batch/crunch-1/worker")
    assert found["cpus"] == pytest.approx(found["wait_h"] / 2)  # of two hours
    assert found["money_a_month"] == pytest.approx(found["cpus"] * 730)


def test_who_is_above_its_share_and_whose_limits_are_too_small(fleet: Path) -> None:
    assert rows(fleet, "above")[0]["owner"] == "batch"
    (found,) = rows(fleet, "limits")
    assert (found["owner"], found["throttled_pct"], found["limit_cpus"]) == ("payments", 40.0, 1.0)
    assert found["most_wanted_cpus"] > 1.2


def test_a_bad_kernel_is_told_and_pools_that_are_alike_are_not(fleet: Path) -> None:
    bad = rows(fleet, "change")[0]
    assert (bad["arm"], bad["hosts"], bad["other_hosts"]) == ("6.9-bad", 3, 17)
    assert bad["low"] > 20
    pools = rows(fleet, "change", by="label:pool", conditions=("kernel=6.1", "workload=shop/cart/*"))
    assert {row["arm"] for row in pools} == {"a", "b"}
    assert all(row["low"] < 0 < row["high"] for row in pools)
    (after,) = rows(fleet, "change", by=float(BEGIN_S + 3600), conditions=("workload=shop/cart/*",))
    assert after["low"] < 0 < after["high"]


def test_the_day_of_a_change(tmp_path: Path) -> None:
    simulate(tmp_path, hosts=2, days=14, hours=1, fillers=1)
    found, *others = rows(tmp_path, "weeks")
    assert (found["workload"], found["days"]) == ("shop/cart/app", 14)
    assert found["changed_s"] == BEGIN_S + CHANGE_DAY * 86400
    assert found["after_pct"] > 2 * found["before_pct"]
    assert others
    assert {(row["changed_s"], row["before_pct"]) for row in others} == {
        (None, None)
    }  # nothing is planted there
    # Before that day nothing had changed, and of few days nothing is said.
    for days, text in ((CHANGE_DAY, "too few days"), (14, "shop/cart/app changed most")):
        asked = Asked(("weeks",), until_s=BEGIN_S + days * 86400)
        assert text in ask(Folder(tmp_path), asked).answers[0].sentence


def test_days_without_a_change_have_none() -> None:
    """Of 400 workloads whose days differ by chance, and like their neighbours: one in a hundred may have one."""
    draws = np.random.default_rng(1)
    noise = draws.standard_normal((400, 21))
    for day in range(1, 21):
        noise[:, day] = 0.5 * noise[:, day - 1] + np.sqrt(0.75) * noise[:, day]
    found = changed_days(np.clip(20 + 6 * noise, 1, 99))
    assert len(found) == 400
    assert sum(day is not None for day in found.values()) <= 8


def test_incidents_and_coverage(fleet: Path) -> None:
    (found,) = rows(fleet, "incidents")
    assert (found["victim"], found["suspect"], found["hours"]) == (
        "shop/web/nginx",
        "batch/crunch-4/worker",
        1.0,
    )
    assert found["cost_cpu_h"] > 0
    least, *others = rows(fleet, "coverage")
    assert (least["host"], least["reported_pct"]) == ("host-00005", 50.0)
    assert {row["reported_pct"] for row in others} == {100.0}


def test_only_what_was_asked_for(fleet: Path) -> None:
    half = ask(Folder(fleet), Asked(("victims",), conditions=("label:pool=a",), since_s=BEGIN_S + 3600))
    assert (half.coverage.hosts, half.coverage.host_hours) == (10, 10.0)
    for wrong in ("nosuch=x", "owner", "host=a*b"):
        with pytest.raises(UsageError, match="condition"):
            ask(Folder(fleet), Asked(("victims",), conditions=(wrong,)))
    with pytest.raises(UsageError, match="no host"):
        ask(Folder(fleet), Asked(("victims",), conditions=("host=nosuch'; DROP",)))
    with pytest.raises(UsageError, match="nothing of that time"):
        ask(Folder(fleet), Asked(("victims",), since_s=BEGIN_S + 10**6))
    with pytest.raises(UsageError, match="no question"):
        ask(Folder(fleet), Asked(("nosuch",)))


def test_an_engine_that_is_not_installed_is_told(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(HostError, match="not installed"):
        ask(Folder(fleet), Asked(("victims",)))
