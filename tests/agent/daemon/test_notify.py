"""systemd's side of the notification socket, played by the test; and lines that the journal understands."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon.journal import Journal, level, line, shortened
from agent.daemon.notify import INFO, NOTICE, WARNING, Systemd, is_journal, supervisor, watchdog_s
from agent.daemon.service import Unsupervised
from agent.documents.event import EventCause, EventState, Suspect
from tests.agent.daemon.observations import event


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


def said(manager: socket.socket) -> dict[str, str]:
    return dict(part.split("=", 1) for part in manager.recv(4096).decode().splitlines())


def test_systemd_hears_of_a_whole_life(manager: socket.socket) -> None:
    service = supervisor(print, {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "60000000"})
    assert service.alive_every_s == 15
    service.ready()
    assert said(manager)["READY"] == "1"
    service.alive()
    assert said(manager) == {"WATCHDOG": "1"}
    service.reloading()
    reloading = said(manager)
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    service.stopping()
    assert said(manager)["STOPPING"] == "1"


def test_an_abstract_socket_is_reached() -> None:
    name = f"jostle-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(60)
        Systemd(f"@{name}", None, lambda _level, _text: None).ready()
        assert said(listening)["READY"] == "1"


def test_a_manager_that_is_gone_or_full_stops_nothing(manager: socket.socket) -> None:
    service = Systemd(manager.getsockname(), None, lambda _level, _text: None)
    for _ in range(10_000):  # more than a socket buffers
        service.alive()
    Path(manager.getsockname()).unlink()
    service.alive()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_a_person_is_told(environ: dict[str, str]) -> None:
    assert isinstance(supervisor(print, environ), Unsupervised)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_the_watchdog_is_ours_or_nobodys(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_s(environ, 7) == seconds


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journal(stream, {})


def test_an_event_is_one_line_of_json_with_a_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stream"
    with path.open("w") as stream:
        status = os.fstat(stream.fileno())
        Journal(stream).on_event(event("/a"))
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        Journal(stream).on_event(event("/b"))
    plain, leveled = path.read_text().splitlines()
    assert json.loads(plain) == event("/a").to_document()
    assert leveled[:3] == WARNING
    assert json.loads(leveled[3:]) == event("/b").to_document()


@pytest.mark.parametrize(
    ("state", "cause", "expected"),
    [
        (EventState.RAISED, EventCause.NEIGHBOURS, WARNING),
        (EventState.RAISED, EventCause.THROTTLED, NOTICE),
        (EventState.CLEARED, EventCause.NEIGHBOURS, INFO),
    ],
)
def test_only_a_neighbour_is_a_warning(state: EventState, cause: EventCause, expected: str) -> None:
    assert level(event("/a", state=state, cause=cause)) == expected


@given(st.text(st.characters() | st.characters(categories=["Cs", "Cc"]), max_size=5000))
def test_no_name_breaks_the_line(name: str) -> None:
    printed = line(event(f"/{name}", suspects=(Suspect(f"/{name}", 50.0),) * 5))
    assert printed.isascii()
    assert printed.isprintable()
    assert len(printed) < 48 * 1024  # the journal's LineMax
    assert json.loads(printed)["victim"] == visible(shortened(f"/{name}"))


def visible(text: str) -> str:
    r"""The text with its surrogates in pairs as characters, and each half of one as the six characters `\udcff`."""
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return "".join(f"\\u{ord(each):04x}" if "\ud800" <= each <= "\udfff" else each for each in joined)


def test_a_long_name_keeps_both_ends() -> None:
    name = "/begin" + "x" * 4000 + "end"
    assert shortened(name).startswith("/beginx")
    assert shortened(name).endswith("xend")
    assert len(shortened(name)) < 300
    assert shortened("/short") == "/short"
