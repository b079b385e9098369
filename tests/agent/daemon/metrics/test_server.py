"""Scrapers that misbehave, addresses that are not to be had."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.daemon.metrics import server
from agent.daemon.metrics.server import LONGEST_S, MOST_CONNECTIONS, parse_address
from probes.errors import JostleError, UsageError
from tests.agent.analysis.trials import cgroup
from tests.agent.daemon.metrics.scrapes import connection, get, scraped, series, serving
from tests.agent.daemon.observations import observation
from tests.cli.running import eventually

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def server_threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the longest time of a connection pass."""

    def pass_time() -> None:
        monkeypatch.setattr(server, "monotonic", lambda: time.monotonic() + 2 * LONGEST_S)

    return pass_time


def test_a_scraper_that_never_reads_stops_nobody(later: Callable[[], None]) -> None:
    with serving(max_cgroups=1500) as metrics, ExitStack() as stack:
        crowd = [cgroup(1.0, path=f"/{'x' * 200}-{number}") for number in range(1500)]
        metrics.on_window(observation(1, *crowd))  # an answer of 12 MB, which no socket buffers whole
        for _ in range(MOST_CONNECTIONS - 1):
            silent = stack.enter_context(connection(metrics.address))
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.sendall(REQUEST)
        metrics.on_window(observation(2, cgroup(1.0)))  # the agent goes on
        assert get(metrics)[0] == 200  # and so do other scrapers
        assert server_threads() >= MOST_CONNECTIONS - 1
        later()
        assert eventually(lambda: server_threads() == 0)


@pytest.mark.parametrize(
    "said", [b"", b"GET /metr", b"GET / HTTP/1.1\r\nX: "], ids=["nothing", "half", "header"]
)
def test_a_scraper_that_never_asks_is_cut_off(later: Callable[[], None], said: bytes) -> None:
    with serving() as metrics, connection(metrics.address) as client:
        client.sendall(said)
        assert eventually(lambda: server_threads() == 1)
        later()
        client.settimeout(60)
        while client.recv(4096):  # until the other side closes
            pass
        assert get(metrics)[0] == 200


def test_too_many_at_once_are_turned_away() -> None:
    with serving() as metrics, ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS):
            stack.enter_context(connection(metrics.address))
        assert eventually(lambda: server_threads() == MOST_CONNECTIONS)
        with connection(metrics.address) as client:
            client.settimeout(60)
            assert client.recv(4096).startswith(b"HTTP/1.0 503 ")
        assert server_threads() == MOST_CONNECTIONS


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """Short, as an address holds 107 bytes."""
    path = Path(f"/tmp/jostle-test-{os.getpid()}.sock")  # noqa: S108  the path of a socket is short
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("unix", [False, True], ids=["port", "socket file"])
def test_an_address_in_use_is_told(socket_path: Path, *, unix: bool) -> None:
    with serving(f"unix:{socket_path}" if unix else "127.0.0.1:0") as first:
        message = rf"cannot serve metrics on {re.escape(first.address)} \(Address already in use\)"
        with pytest.raises(JostleError, match=message) as told, serving(first.address):
            pass
        assert told.value.exit_code == 1
        assert get(first)[0] == 200


def test_a_socket_file(socket_path: Path) -> None:
    with serving(f"unix:{socket_path}") as metrics:
        metrics.on_window(observation(1, cgroup(1.0, path="/a")))
        assert scraped(metrics)[series("jostle_cgroup_run_seconds_total", cgroup="/a")] == 1.0
    assert not socket_path.exists()


def test_a_socket_file_that_a_killed_agent_left_is_no_obstacle(socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(socket_path))
    with serving(f"unix:{socket_path}") as metrics:
        assert get(metrics)[0] == 200


def test_ipv6() -> None:
    with serving("[::1]:0") as metrics:
        assert metrics.address.startswith("[::1]:")
        assert get(metrics)[0] == 200


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:9756", ("127.0.0.1", 9756)), ("localhost:0", ("localhost", 0)), ("[::1]:1", ("::1", 1))],
)
def test_addresses(listen: str, address: tuple[str, int]) -> None:
    assert parse_address(listen) == address


@pytest.mark.parametrize(
    "listen", ["", "9756", ":9756", "host:", "host:port", "host:65536", "::1:9756", "a:²"]
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        parse_address(listen)


@pytest.mark.parametrize(
    "listen", ["192.0.2.1:9756", "no.such.host.invalid:9756", "unix:/no/such/place/socket"]
)
def test_what_is_not_to_be_had_is_told(listen: str) -> None:
    with pytest.raises(JostleError, match="cannot serve metrics on"), serving(listen):
        pass
