"""Alerts, by Debian's Alertmanager: it takes them, groups and ends them, and has them all when it was away or slow."""

import json
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.daemon.alerts import Alerts
from agent.daemon.config import AlertsConfig
from agent.documents.event import Event, EventState, Suspect
from tests.agent.daemon.observations import event
from tests.cli.running import LONG_S, eventually
from tests.ports import held_port

CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
HOSTILE = '/pod "quoted"\n\x1b[31m{le="1"} \\ \udcff' + "ü" * 100
NS_PER_S = 10**9


class Alertmanager:
    """One that runs, and what it says it has."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}/api/v2"

    def get(self, path: str, **words: str) -> Any:  # noqa: ANN401  whatever it answers
        url = f"{self.base}{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=LONG_S) as answer:  # noqa: S310  our own
            return json.load(answer)

    def is_ready(self) -> bool:
        try:
            return bool(self.get("/status"))
        except OSError:
            return False

    def victims(self, **which: str) -> set[str]:
        """Whose alerts it has now; over are those that it has no more."""
        return {alert["labels"]["victim"] for alert in self.get("/alerts", **which)}


@contextmanager
def alertmanager(directory: Path, port: int) -> Iterator[tuple[Alertmanager, "subprocess.Popen[bytes]"]]:
    (directory / "config.yml").write_text(CONFIG)
    command = [
        "prometheus-alertmanager",
        f"--config.file={directory / 'config.yml'}",
        "--cluster.listen-address=",
    ]
    command += [f"--storage.path={directory}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
    try:
        running = Alertmanager(port)
        assert eventually(running.is_ready), (directory / "log").read_text(errors="replace")
        yield running, process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


@contextmanager
def sending(port: int, **more: Any) -> Iterator[tuple[Alerts, list[str]]]:  # noqa: ANN401  its fields
    said: list[str] = []
    url = f"http://127.0.0.1:{port}/api/v2/alerts"
    config = replace(AlertsConfig(url=url, kind="alertmanager", timeout_s=LONG_S), **more)
    alerts = Alerts(config, "node-1", said.append, said.append)
    try:
        yield alerts, said
    finally:
        alerts.close()


def raised(victim: str) -> Event:
    """An incident that goes on, and began a minute ago."""
    now_ns = time.time_ns()
    suspects = (Suspect("/batch", 90.0),)
    return replace(event(victim, suspects=suspects), since_utc_ns=now_ns - 60 * NS_PER_S, utc_ns=now_ns)


def over(event: Event) -> Event:
    return replace(event, state=EventState.CLEARED, utc_ns=time.time_ns())


def test_an_incident_is_one_alert_from_its_begin_to_its_end(tmp_path: Path) -> None:
    with held_port() as port, alertmanager(tmp_path, port) as (running, _), sending(port) as (alerts, said):
        first, second = raised("/web"), raised("/db")
        alerts.on_event(first)
        alerts.on_event(second)
        assert eventually(lambda: running.victims() == {"/web", "/db"})
        (found,) = [each for each in running.get("/alerts") if each["labels"]["victim"] == "/web"]
        alerts.on_event(over(first))
        assert eventually(lambda: running.victims() == {"/db"})
    assert said == []
    assert found["labels"]["alertname"] == "JostleIncident"
    assert (found["labels"]["suspect"], found["labels"]["instance"]) == ("/batch", "node-1")
    assert found["status"]["state"] in {"active", "unprocessed"}
    assert "/web waits behind /batch" in found["annotations"]["summary"]


def test_it_takes_whatever_tenants_are_called_and_who_has_no_suspect(tmp_path: Path) -> None:
    with held_port() as port, alertmanager(tmp_path, port) as (running, _), sending(port) as (alerts, said):
        alerts.on_event(raised(HOSTILE))
        alerts.on_event(replace(raised("/throttled"), suspects=()))
        assert eventually(lambda: len(running.victims()) == 2)
        names = running.victims()
    assert said == []
    assert all(name.isprintable() for name in names)


@pytest.mark.parametrize("away", ["stopped", "down"])
def test_what_happened_while_it_was_away_is_there_when_it_is_back(tmp_path: Path, away: str) -> None:
    with held_port() as port, sending(port, timeout_s=1.0) as (alerts, said):
        if away == "stopped":
            with alertmanager(tmp_path, port) as (running, process):
                process.send_signal(signal.SIGSTOP)
                alerts.on_event(raised("/web"))
                assert eventually(lambda: any("they are kept" in text for text in said))
                process.send_signal(signal.SIGCONT)
                assert eventually(lambda: running.victims() == {"/web"})
                assert eventually(lambda: said[-1].endswith("again"))
        else:
            alerts.on_event(raised("/web"))
            assert eventually(lambda: any("they are kept" in text for text in said))
            with alertmanager(tmp_path, port) as (running, _):
                assert eventually(lambda: running.victims() == {"/web"})
                assert eventually(lambda: said[-1].endswith("again"))
    assert alerts.lost == 0
