"""Scrapes of a metrics sink over HTTP, read by the client's own parser."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agent.daemon.config import MetricsConfig
from agent.daemon.metrics.sink import Metrics
from reports.escape import for_terminal

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SECONDS = 60.0  # to give up after, never to wait for

Series = tuple[str, tuple[tuple[str, str], ...]]


@contextmanager
def serving(listen: str = "127.0.0.1:0", max_cgroups: int = 100, max_pairs: int = 50) -> Iterator[Metrics]:
    metrics = Metrics(
        MetricsConfig(listen=listen, detail="all", max_cgroups=max_cgroups, max_pairs=max_pairs), for_terminal
    )
    try:
        yield metrics
    finally:
        metrics.close()


def connection(address: str) -> socket.socket:
    """A connection to it on which nothing has been said yet."""
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(address.removeprefix("unix:"))
        except BaseException:
            client.close()
            raise
        return client
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), SECONDS)


def read(address: str, accept: str = OPENMETRICS) -> tuple[int, str]:
    """Status and text of one scrape."""
    client = http.client.HTTPConnection("localhost")
    client.sock = connection(address)
    with client.sock:
        client.sock.settimeout(SECONDS)
        client.request("GET", "/metrics", headers={"Accept": accept})
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def get(metrics: Metrics, accept: str = OPENMETRICS) -> tuple[int, str]:
    """Status and text of one scrape of a sink."""
    return read(metrics.address, accept)


def parsed(text: str) -> dict[Series, float]:
    """Every sample of an OpenMetrics text by name and labels; no series may occur twice."""
    found: dict[Series, float] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]  # the client has no hints there
        for sample in family.samples:
            series = (sample.name, tuple(sorted(sample.labels.items())))
            assert series not in found
            found[series] = sample.value
    return found


def scraped(metrics: Metrics) -> dict[Series, float]:
    status, text = get(metrics)
    assert status == 200
    return parsed(text)


def series(name: str, **labels: str) -> Series:
    return name, tuple(sorted(labels.items()))
