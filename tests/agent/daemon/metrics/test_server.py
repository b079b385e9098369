"""Scrapers that misbehave, addresses that are not to be had."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from agent.daemon.metrics import server
from agent.daemon.metrics.server import LONGEST_S, MOST_CONNECTIONS, MOST_REQUEST_BYTES, parse_address
from agent.daemon.metrics.sink import Metrics
from probes.errors import JostleError, UsageError
from tests.agent.analysis.trials import cgroup
from tests.agent.daemon.metrics.scrapes import connection, get, scraped, series, serving
from tests.agent.daemon.observations import observation
from tests.cli.running import eventually

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the longest time of a connection pass."""

    def pass_time() -> None:
        monkeypatch.setattr(server, "monotonic", lambda: time.monotonic() + 2 * LONGEST_S)

    return pass_time


@pytest.fixture
def large() -> Iterator[Metrics]:
    """An answer of 12 MB, which no socket buffers whole."""
    with serving(max_cgroups=1500) as metrics:
        metrics.on_window(observation(1, *(cgroup(1.0, path=f"/{'x' * 200}-{n}") for n in range(1500))))
        yield metrics


def silent(stack: ExitStack, metrics: Metrics, said: bytes) -> socket.socket:
    """A client that says something, and reads nothing."""
    client = stack.enter_context(connection(metrics.address))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(said)
    return client


def test_a_scraper_that_never_reads_stops_nobody(large: Metrics, later: Callable[[], None]) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            silent(stack, large, REQUEST)
        large.on_window(observation(2, cgroup(1.0)))  # the agent goes on
        assert get(large)[0] == 200  # and so do other scrapers
        assert eventually(lambda: large.connections() == 3)
        later()
        assert eventually(lambda: large.connections() == 0)


@pytest.mark.parametrize(
    "said", [b"", b"GET /metr", b"GET / HTTP/1.1\r\nX: "], ids=["nothing", "half", "header"]
)
def test_a_scraper_that_never_asks_is_cut_off(later: Callable[[], None], said: bytes) -> None:
    with serving() as metrics, connection(metrics.address) as client:
        client.sendall(said)
        assert eventually(lambda: metrics.connections() == 1)
        later()
        client.settimeout(60)
        while client.recv(4096):  # until the other side closes
            pass
        assert get(metrics)[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET /", REQUEST], ids=["nothing", "half", "all"])
def test_one_that_asks_and_reads_is_answered_in_any_crowd(large: Metrics, said: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(3 * MOST_CONNECTIONS):
            silent(stack, large, said)
        assert get(large)[0] == 200
        assert eventually(lambda: large.connections() <= MOST_CONNECTIONS)


@pytest.mark.parametrize(
    "said",
    [b"POST / HTTP/1.1\r\n\r\n", b"\xff\0\r\n\r\n", b"x" * 2 * MOST_REQUEST_BYTES],
    ids=["POST", "bytes", "long"],
)
def test_what_is_no_request_for_metrics_is_refused(said: bytes) -> None:
    with serving() as metrics, connection(metrics.address) as client:
        client.settimeout(60)
        answer = b""
        with suppress(ConnectionError):
            client.sendall(said)
            answer = client.recv(4096)
        assert answer == b"" or answer.startswith(b"HTTP/1.0 405 ")
        assert get(metrics)[0] == 200


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
