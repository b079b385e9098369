"""Alerts reach a receiver that is well, and wait, in a bound, for one that is down, slow, or answers nonsense."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest
from msgspec.structs import replace

from agent.daemon import alerts as alerts_module
from agent.daemon.alerts import Alerts, alert, send
from agent.daemon.config import AlertsConfig, Config
from agent.documents.event import Event, EventState, Suspect
from tests.agent.analysis.trials import cgroup
from tests.agent.daemon.observations import EPOCH_NS, event, observation
from tests.cli.running import LONG_S, eventually
from tests.ports import held_port

RAISED = event("/web", suspects=(Suspect("/batch", 90.0),))
Answer = Callable[["Receiver"], None]


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is given; answers as the test says."""

    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tries += 1
        answer = self.server.answers.pop(0) if self.server.answers else good
        if answer is good:  # before it is answered, after which the next may come on another thread
            self.server.kept.append(json.loads(body))
        answer(self)

    def log_message(self, *_: object) -> None:
        pass


def good(receiver: Receiver) -> None:
    receiver.send_response(200)
    receiver.end_headers()


def status(code: int) -> Answer:
    def answer(receiver: Receiver) -> None:
        receiver.send_response(code)
        receiver.end_headers()

    return answer


def nonsense(receiver: Receiver) -> None:
    receiver.wfile.write(b"\x00\xffNO HTTP AT ALL\r\n\r\n")


def nothing(receiver: Receiver) -> None:
    receiver.connection.shutdown(socket.SHUT_RDWR)


def dribble(receiver: Receiver) -> None:
    """A byte now and then, for ever: no single read takes long."""
    receiver.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(100):
        try:
            receiver.wfile.write(b"x")
            receiver.wfile.flush()
        except OSError:
            return
        time.sleep(0.1)


@contextmanager
def receiver(*answers: Answer, port: int = 0) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    server.daemon_threads = True
    server.answers, server.kept, server.tries = list(answers), [], 0
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def sent_to(port: int, **more: Any) -> AlertsConfig:  # noqa: ANN401  its fields
    """With more patience than any receiver here needs, however busy the machine is."""
    url = f"http://127.0.0.1:{port}/api/v2/alerts"
    return replace(AlertsConfig(url=url, kind="alertmanager", timeout_s=LONG_S), **more)


@contextmanager
def sending(port: int, **more: Any) -> Iterator[tuple[Alerts, list[str]]]:  # noqa: ANN401  see sent_to
    config = sent_to(port, **more)
    said: list[str] = []
    alerts = Alerts(config, "node-1", said.append, said.append)
    try:
        yield alerts, said
    finally:
        alerts.close()


def test_alertmanager_is_told_the_begin_and_the_end() -> None:
    with receiver() as server, sending(server.server_port) as (alerts, said):
        assert alerts.on_window(observation(1, cgroup(1.0))) == ()
        alerts.on_event(RAISED)
        alerts.on_event(replace(RAISED, state=EventState.CLEARED, utc_ns=EPOCH_NS))
        assert eventually(lambda: len(server.kept) == 2)
        (begin,), (end,) = server.kept
    assert begin["labels"] == end["labels"]
    assert (begin["labels"]["victim"], begin["labels"]["suspect"]) == ("/web", "/batch")
    assert begin["startsAt"] == end["startsAt"] < end["endsAt"] < begin["endsAt"]
    assert said == []


def test_a_webhook_gets_the_event_itself() -> None:
    with receiver() as server, sending(server.server_port, kind="webhook") as (alerts, _):
        alerts.on_event(RAISED)
        assert eventually(lambda: len(server.kept) == 1)
        assert Event.from_document(server.kept[0]) == RAISED


def test_whoever_hands_it_over_does_not_wait_for_the_receiver() -> None:
    handed_over = Flag()

    def late(receiver: Receiver) -> None:
        assert handed_over.wait(2 * LONG_S)
        good(receiver)

    with receiver(late) as server, sending(server.server_port) as (alerts, said):
        alerts.on_event(RAISED)
        assert said == []  # as it would not be, had it waited for as long as there is patience
        handed_over.set()
        assert eventually(lambda: not alerts._waiting)
    assert (server.tries, said) == (1, [])


@pytest.mark.parametrize("bad", [status(503), status(429), nonsense, nothing, dribble])
def test_what_cannot_be_sent_now_is_sent_later(bad: Answer) -> None:
    patience_s = 0.5 if bad is dribble else LONG_S
    with receiver(bad) as server, sending(server.server_port, timeout_s=patience_s) as (alerts, said):
        alerts.on_event(RAISED)
        assert eventually(lambda: bool(said))
        alerts.reload(Config(alerts=sent_to(server.server_port)))  # before it is tried again
        assert eventually(lambda: len(server.kept) == 1)
        assert server.tries == 2
        assert eventually(lambda: len(said) == 2)
    assert "they are kept" in said[0]
    assert said[0].isascii()
    assert said[0].isprintable()
    assert said[1].endswith("again")
    assert alerts.lost == 0


def test_an_answer_that_was_cut_off_is_none_though_the_thread_that_cuts_ends_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut_off = alerts_module._cut_off

    def late(*cut: Any) -> None:  # noqa: ANN401  its arguments
        cut_off(*cut)
        time.sleep(0.5)

    monkeypatch.setattr(alerts_module, "_cut_off", late)
    with receiver(dribble) as server, pytest.raises(TimeoutError):
        send(sent_to(server.server_port, timeout_s=0.2), b"{}")


def test_a_peer_that_resets_what_is_cut_off_was_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(_: http.client.HTTPConnection) -> None:
        time.sleep(0.6)  # until it is cut off
        raise ConnectionResetError

    monkeypatch.setattr(http.client.HTTPConnection, "getresponse", reset)
    with receiver() as server, pytest.raises(TimeoutError, match="no whole answer"):
        send(sent_to(server.server_port, timeout_s=0.2), b"{}")


def test_what_is_refused_for_good_is_lost_and_said_and_holds_up_nothing() -> None:
    with receiver(status(400)) as server, sending(server.server_port) as (alerts, said):
        alerts.on_event(RAISED)
        alerts.on_event(replace(RAISED, victim="/second"))
        assert eventually(lambda: len(server.kept) == 1)
        assert server.kept[0][0]["labels"]["victim"] == "/second"
    assert (alerts.lost, len(said)) == (1, 1)
    assert "refused" in said[0]


def test_who_is_down_gets_the_latest_of_what_waits_when_it_is_up() -> None:
    with held_port() as port, sending(port, max_waiting=3) as (alerts, said):
        for number in range(10):
            alerts.on_event(replace(RAISED, victim=f"/{number}"))
        assert eventually(lambda: any("they are kept" in text for text in said))
        with receiver(port=port) as server:
            assert eventually(lambda: len(server.kept) == 3)
            victims = [each[0]["labels"]["victim"] for each in server.kept]
    assert victims == ["/7", "/8", "/9"]
    assert alerts.lost == 7
    assert "7 alerts were lost" in said[-2] or "7 alerts were lost" in " ".join(said)


def test_what_is_not_sent_before_the_end_is_said() -> None:
    with held_port() as port, sending(port) as (alerts, said):
        alerts.on_event(RAISED)
        assert eventually(lambda: bool(said))
    assert said[-1].startswith("1 alerts were not sent")


def test_no_name_acts_on_who_reads_it() -> None:
    hostile = replace(RAISED, victim="/evil\x1b[2J\n\udcff")
    text = json.dumps(alert(hostile, "node", EPOCH_NS))
    labels = alert(hostile, "node", EPOCH_NS)["labels"]
    assert isinstance(labels, dict)
    assert labels["victim"].isascii()
    assert labels["victim"].isprintable()
    text.encode("utf-8")
