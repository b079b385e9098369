"""Series carry the names of workloads, there are few by default, and health is told to who asks."""

import http.client
import time
from dataclasses import replace

import pytest

from agent.daemon.config import MetricsConfig
from agent.daemon.metrics.collector import Gathered
from agent.daemon.metrics.sink import Metrics
from agent.daemon.sinks import Health, Observation, SinkHealth
from agent.documents.event import Suspect
from collectors.host.workloads import Workload
from collectors.windows.signals import HostSignals, SignalWindow
from reports.escape import for_terminal
from tests.agent.analysis.trials import cgroup
from tests.agent.daemon.metrics.scrapes import connection, scraped, series, serving
from tests.agent.daemon.observations import HEALTH, event, observation

POD, BATCH = "/kubepods/pod1/" + "a" * 64, "/docker/" + "b" * 64
API = Workload(
    "container",
    POD,
    "shop/api-7d9f8c6b5d-x2x4z/app",
    namespace="shop",
    pod_name="api-7d9f8c6b5d-x2x4z",
    container_name="app",
)
NOISY = Workload("container", BATCH, "batch", container_name="batch\x1b[31m")
LABELS = {"namespace": "shop", "pod": "api-7d9f8c6b5d-x2x4z", "container": "app", "workload": "api"}


def named(number: int, names: dict[str, Workload]) -> Observation:
    seen = observation(number, cgroup(1.0, {BATCH: 0.5}, path=POD), cgroup(1.0, path=BATCH))
    signals = SignalWindow({}, HostSignals({}, {}), names=names)
    return replace(seen, sched=replace(seen.sched, signals=signals))


def test_series_say_whose_cgroup_it_is_and_pairs_say_both() -> None:
    with serving() as metrics:
        metrics.on_window(named(1, {POD: API, BATCH: NOISY}))
        metrics.on_event(event(POD, suspects=(Suspect(BATCH, 90.0),)))
        found = scraped(metrics)
    assert found[series("jostle_cgroup_run_seconds_total", cgroup=POD, **LABELS)] == 1.0
    other = {"container": r"batch\x1b[31m", "workload": r"batch\x1b[31m"}
    both = {f"victim_{name}": value for name, value in LABELS.items()}
    pair = {**both, **{f"aggressor_{name}": value for name, value in other.items()}}
    assert found[series("jostle_blame_wait_seconds_total", victim=POD, aggressor=BATCH, **pair)] == 0.5
    (active,) = (dict(labels) for name, labels in found if name == "jostle_event_active")
    assert (active["victim_pod"], active["suspect_workload"]) == (LABELS["pod"], other["workload"])


def test_a_series_follows_a_new_name_and_the_names_of_the_gone_are_forgotten() -> None:
    gathered = Gathered(MetricsConfig(max_cgroups=2, max_pairs=1), for_terminal)
    gathered.add(named(1, {POD: API, BATCH: NOISY}))
    gathered.add(named(2, {POD: replace(API, container_name="new"), BATCH: NOISY}))
    assert gathered._totals.named(POD)[2] == "new"
    for number in range(100):
        gathered.add(observation(3 + number, cgroup(1.0, path=f"/gone-{number}")))
    assert len(gathered._totals._named) < 20


def test_a_crowded_node_has_400_series_at_most_by_default() -> None:
    gathered = Gathered(MetricsConfig(), for_terminal)
    health = replace(HEALTH, sinks=tuple(SinkHealth(name, 1, 0, None) for name in "abcd"))
    crowd = [cgroup(1.0, {f"/{n + 1}": 0.5, f"/{n + 2}": 0.5}, path=f"/{n}") for n in range(300)]
    for number in (1, 2):
        gathered.add(observation(number, *crowd, health=health))
    for number in range(300):
        gathered.add_event(event(f"/{number}"))
    made = sum(len(family.samples) for family in gathered.collect())
    assert 300 < made <= 400


def asked(metrics: Metrics, path: str) -> tuple[int, str]:
    client = http.client.HTTPConnection("localhost")
    client.sock = connection(metrics.address)
    with client.sock:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize(
    ("health", "ago_s", "why"),
    [
        (HEALTH, 0, None),
        (replace(HEALTH, lost_windows=HEALTH.lost_windows + 2), 0, "2 windows were lost"),
        (replace(HEALTH, sinks=(SinkHealth("history", 1, 0, "disk full"),)), 0, "history: disk full"),
        (HEALTH, 600, "the latest window ended 600 s ago"),
    ],
)
def test_ready_is_who_measures(health: Health, ago_s: int, why: str | None) -> None:
    with serving() as metrics:
        assert asked(metrics, "/readyz") == (503, "no window has been read yet\n")
        assert asked(metrics, "/healthz") == (200, "ok\n")
        for number, each in enumerate((HEALTH, health)):
            now = replace(observation(number, health=each), end_utc_ns=time.time_ns() - ago_s * 10**9)
            metrics.on_window(now)
        status, text = asked(metrics, "/readyz")
    assert status == (503 if why else 200)
    assert text.startswith(why or "ok")
