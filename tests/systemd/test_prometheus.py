"""The dashboard and the alert rules, by Debian's Prometheus: it scrapes the metrics and answers every query."""

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.metrics.sink import Metrics
from agent.daemon.sinks import SinkHealth
from agent.documents.event import EventCause, Suspect
from agent.documents.verdict import SelfCost
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import CgroupWindow
from reports.escape import for_terminal
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup
from tests.agent.daemon.metrics.scrapes import serving
from tests.agent.daemon.observations import HEALTH, event, observation
from tests.cli.running import eventually
from tests.ports import held_port

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "systemd/dashboard.json"
FLEET = ROOT / "systemd/fleet-dashboard.json"
DOCUMENTED = ROOT / "docs/fleet.md"
RULES = (ROOT / "systemd/alerts.yml", ROOT / "systemd/fleet-rules.yml")
HOSTILE = '/pod "quoted"\n\x1b[31m{le="1"} \\ \udcff' + "ü" * 100
HEALTHY = replace(
    HEALTH,
    probe=SelfCost(ns_per_switch=250.0, switches_per_s=1000.0, cpu_pct=0.5),
    sinks=(SinkHealth("history", 5, 2, None), SinkHealth("metrics", 7, 0, None)),
)
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: {rules}
scrape_configs:
  - job_name: jostle
    static_configs: [{{targets: ['{target}']}}]
"""


def test_promtool_finds_nothing_wrong() -> None:
    found = subprocess.run(
        ["promtool", "check", "rules", *map(str, RULES)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_alerts_fire_on_what_they_are_for() -> None:
    tests = Path(__file__).with_name("alerts.test.yml")
    found = subprocess.run(
        ["promtool", "test", "rules", str(tests)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_promtool_likes_the_names_of_the_metrics() -> None:
    """Units, suffixes and help, as its linter wants them."""
    with serving() as metrics:
        metrics.on_window(observation(1, busy(VICTIM), health=HEALTHY))
        host = f"http://{metrics.address}/metrics"
        with urllib.request.urlopen(host) as answer:
            text = answer.read()
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()


def busy(path: str) -> CgroupWindow:
    counts = [0] * len(EDGES_NS)
    counts[60] = 100
    return replace(cgroup(2.0, {NEIGHBOUR: 1.0}, throttled_s=0.5, path=path), histogram=tuple(counts))


class Prometheus:
    """One that runs and scrapes one target."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    def get(self, path: str, **words: str) -> Any:  # noqa: ANN401  whatever it answers
        url = f"{self.base}{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(url) as answer:  # noqa: S310  our own
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def is_ready(self) -> bool:
        try:
            return bool(self.query("vector(1)"))
        except (OSError, AssertionError):
            return False


@contextmanager
def started(directory: Path, config: str, port: int, *words: str) -> Iterator[None]:
    """A Prometheus with this configuration, and its files in a directory."""
    (directory / "prometheus.yml").write_text(config)
    command = ["prometheus", f"--config.file={directory / 'prometheus.yml'}", "--log.level=warn"]
    command += [f"--web.listen-address=127.0.0.1:{port}", *words]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def prometheus(directory: Path, config: str, *words: str) -> Iterator[Prometheus]:
    store = f"--storage.tsdb.path={directory / 'tsdb'}"
    with held_port() as port, started(directory, config, port, store, *words):
        running = Prometheus(port)
        assert eventually(running.is_ready), (directory / "log").read_text()
        yield running


@pytest.fixture(scope="module")
def scraping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped a few windows with all there is to see."""
    directory = tmp_path_factory.mktemp("prometheus")
    with serving() as metrics:
        config = CONFIG.format(rules=[*map(str, RULES)], target=metrics.address)
        with prometheus(directory, config) as running:
            feed(metrics, running)
            yield running


def test_what_a_node_sends_on_reaches_the_fleets_rules(tmp_path: Path) -> None:
    """As documented: a Prometheus as agent on each node, and one that receives and evaluates the rules."""
    documented = re.search(r"```yaml\n(# Prometheus as agent.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    assert documented
    for name in ("node", "fleet"):
        (tmp_path / name).mkdir()
    rules = f"global: {{evaluation_interval: 1s}}\nrule_files: {[*map(str, RULES)]}\n"
    receiving = prometheus(tmp_path / "fleet", rules, "--web.enable-remote-write-receiver")
    with serving() as metrics, receiving as fleet:
        sending = documented[1].replace("https://prometheus.example", fleet.base)
        sending = f"global: {{scrape_interval: 1s}}\n{sending.replace('127.0.0.1:9756', metrics.address)}"
        words = ("--enable-feature=agent", f"--storage.agent.path={tmp_path / 'wal'}")
        with held_port() as port, started(tmp_path / "node", sending, port, *words):
            feed(metrics, fleet)
            waited = "sum(workload:jostle_wait_others:rate5m) > 0"
            assert eventually(lambda: bool(fleet.query(waited)))  # each rule is evaluated in its own time


def feed(metrics: Metrics, running: Prometheus) -> None:
    """Windows until each has been scraped a few times, so that every counter has a rate."""
    metrics.on_event(event(VICTIM, suspects=(Suspect(NEIGHBOUR, 90.0),)))
    metrics.on_event(event(HOSTILE, cause=EventCause.THROTTLED))
    for number in range(1, 5):
        metrics.on_window(
            observation(number, busy(VICTIM), busy(HOSTILE), health=replace(HEALTHY, windows=number))
        )
        assert eventually(lambda number=number: newest(running) == number)  # type: ignore[misc]  # it is an int
    assert eventually(lambda: bool(running.query("aggressor:jostle_blame_wait:rate5m")))


def newest(running: Prometheus) -> float | None:
    found = running.query("jostle_agent_windows_total")
    return float(found[0]["value"][1]) if found else None


def panels(dashboard: Path = DASHBOARD) -> list[Any]:
    return [panel for panel in json.loads(dashboard.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    return [
        target["expr"] for each in (DASHBOARD, FLEET) for panel in panels(each) for target in panel["targets"]
    ]


def answered(running: Prometheus, query: str) -> list[Any]:
    """The answer; there is none after a scrape that took longer than its second, until the next one."""
    result: list[Any] = []

    def is_answered() -> bool:
        result[:] = running.query(query)
        return bool(result)

    assert eventually(is_answered), query
    return result


def filled_in(query: str) -> str:
    """As Grafana does: every host, every cgroup, an interval of four scrapes."""
    return re.sub(r"\$(instance|cgroup|namespace)", ".*", query.replace("$__rate_interval", "60s"))


@pytest.mark.parametrize("query", queries())
def test_every_query_of_the_dashboard_has_an_answer(scraping: Prometheus, query: str) -> None:
    result = answered(scraping, filled_in(query))
    assert all(float(sample["value"][1]) >= 0 for sample in result)  # also: no NaN


def test_every_variable_of_the_dashboard_has_values(scraping: Prometheus) -> None:
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    asked = [re.fullmatch(r"label_values\((.+), (\w+)\)", each["definition"]) for each in variables[1:]]
    assert len(asked) == 2
    for each in asked:
        assert each
        result = answered(scraping, f"count by ({each[2]}) ({filled_in(each[1])})")
        assert all(sample["metric"][each[2]] for sample in result)


def test_no_panel_overlaps_another_or_hides_its_name() -> None:
    cells = [
        (x, y)
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(0 <= x < 24 for x, _ in cells)
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))


def test_a_hostile_name_arrives_harmless_and_whole(scraping: Prometheus) -> None:
    shown = {sample["metric"]["cgroup"] for sample in answered(scraping, "jostle_cgroup_run_seconds_total")}
    assert shown == {VICTIM, for_terminal(HOSTILE), "other"}


def test_it_reads_openmetrics(scraping: Prometheus) -> None:
    def is_read() -> bool:
        (target,) = scraping.get("/api/v1/targets")["activeTargets"]
        return (target["health"], target["lastError"]) == ("up", "")

    assert eventually(is_read)  # whatever became of the last scrape
    (kind,) = scraping.get("/api/v1/metadata", metric="jostle_cgroup_wait_seconds")[
        "jostle_cgroup_wait_seconds"
    ]
    assert kind["type"] == "histogram"
    # The older text calls a counter by its name with _total, OpenMetrics by that without.
    assert scraping.get("/api/v1/metadata", metric="jostle_cgroup_run_seconds")


def test_the_rules_are_evaluated(scraping: Prometheus) -> None:
    def health() -> set[str]:
        groups = scraping.get("/api/v1/rules")["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    assert eventually(lambda: health() == {"ok"})
