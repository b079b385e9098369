"""Figures of a victim that runs on: what they read, and what they say of an endpoint or a log that fails."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agent.documents.metric import Metric, Ratio
from agent.experiment.prober import INTERVALS_S
from agent.experiment.victim_metrics import live
from agent.experiment.victim_metrics.live import LiveFigure, Probed, parse_live
from agent.experiment.victim_metrics.reader import MetricError
from probes.errors import UsageError
from tests.cli.running import LONG_S, eventually

PAGE = """# HELP requests_total Of all kinds.
requests_total{{code="200"}} {good}
requests_total{{code="500"}} 2 1700000000000
latency_seconds_sum {seconds}
latency_seconds_count {good}
requests_total_not 1
"""


class Endpoint(BaseHTTPRequestHandler):
    """Serves what the test puts there; a page `slow` takes longer than anybody waits."""

    text = ""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.4)
        self.send_response(503 if self.path == "/broken" else 200)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(live, "SCRAPE_S", LONG_S)  # however busy this machine is
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def figure(text: str) -> LiveFigure:
    found = parse_live(text)
    assert found is not None
    return found


def probing(text: str) -> Probed:
    """A probe that has begun to ask."""
    probe = figure(text)
    assert isinstance(probe, Probed)
    probe.start()
    assert eventually(lambda: bool(probe.mark()) and probe._began_s > 0)
    return probe


def test_a_counter_is_a_rate_over_all_its_series(url: str) -> None:
    counter = figure(f"prom:{url}/#requests_total")
    assert counter.metric == Metric("requests_total", "1/s", "higher")
    Endpoint.text = PAGE.format(good=10, seconds=1)
    (_, first), begin = counter.mark(), (5.0, 12.0)
    assert first == 12
    Endpoint.text = PAGE.format(good=30, seconds=1)
    assert counter.amount(begin, (7.0, counter.mark()[1])) == Ratio(20, 2)


def test_the_mean_of_a_histogram_is_per_observation(url: str) -> None:
    mean = figure(f"p=prom:{url}/#latency_seconds:mean")
    assert mean.metric == Metric("p", "", "lower")
    Endpoint.text = PAGE.format(good=10, seconds=1)
    begin = mean.mark()
    Endpoint.text = PAGE.format(good=14, seconds=3)
    assert mean.amount(begin, mean.mark()) == Ratio(2, 4)


def test_an_endpoint_that_fails_is_told_by_what_it_did(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Endpoint.text = PAGE.format(good=10, seconds=1)
    counter = figure(f"prom:{url}/#requests_total")
    begin = counter.mark()
    Endpoint.text = PAGE.format(good=1, seconds=1)
    with pytest.raises(MetricError, match="counts backwards"):
        counter.amount(begin, counter.mark())
    with monkeypatch.context() as patch:
        patch.setattr(live, "SCRAPE_S", 0.1)
        with pytest.raises(MetricError, match="did not answer"):
            figure(f"prom:{url}/slow#requests_total").start()
    for text, told in (
        (f"prom:{url}/broken#requests_total", "did not answer"),
        (f"prom:{url}/#nosuch_total", "has no counter nosuch_total"),
        ("prom:http://127.0.0.1:1/#requests_total", "did not answer"),
    ):
        with pytest.raises(MetricError, match=told):
            figure(text).start()


def test_a_log_is_read_from_its_end_and_through_its_rotation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("took 99 ms\n")
    tail = figure(f"tail:{log}#took ([0-9.]+)")
    tail.start()
    begin = tail.mark()
    with log.open("a") as file:
        file.write("took 1.5 ms\nsomething else\ntook 2.5 ms\ntook 7")
    assert tail.amount(begin, middle := tail.mark()) == Ratio(4, 2)
    log.rename(tmp_path / "log.1")
    log.write_text(" ms\ntook 3 ms\n")
    assert tail.amount(middle, tail.mark()) == Ratio(10, 2)
    log.unlink()
    with pytest.raises(MetricError, match="cannot be read any more"):
        tail.mark()
    tail.stop()
    with pytest.raises(MetricError, match="cannot be read"):
        tail.start()


def test_a_probe_asks_when_it_is_due_and_waits_for_late_answers() -> None:
    probe = probing("probe:sleep 0.1")
    try:
        begin = probe.mark()
        time.sleep(10 * INTERVALS_S["command"])
        asked = probe.amount(begin, probe.mark())
    finally:
        probe.stop()
    # Some are due before the first can be asked; each takes what it sleeps, and longer on a busy machine.
    assert 1 <= asked.under <= 11
    assert asked.value > 100


def test_a_probe_whose_requests_fail_says_why() -> None:
    for text, told in (
        ("probe:exit 3", "exit code 3"),
        ("probe-http:http://127.0.0.1:1/", "(?i)refused|connect"),
    ):
        probe = probing(text)
        try:
            begin = probe.mark()
            with pytest.raises(MetricError, match=told):
                probe.amount(begin, (begin[0] + 0.5,))
        finally:
            probe.stop()


@pytest.mark.parametrize(
    "text",
    [
        "prom:#a",
        "prom:ftp://x#a",
        "prom:http://x",
        "probe:",
        "probe-http:x",
        "tail:/x",
        "tail:/x#a",
        "tail:/x#(a)(b)",
    ],
)
def test_what_lacks_a_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="metric"):
        parse_live(text)


@pytest.mark.parametrize("text", ["duration", "wrk", r"a=(\d):lower", "prom"])
def test_what_is_of_another_kind_is_left_alone(text: str) -> None:
    assert parse_live(text) is None
