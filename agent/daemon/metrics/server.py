"""Serves the metrics over HTTP, on localhost or a Unix socket, so that no scraper can harm the agent.

A few connections at a time, each in a thread of its own, each for a few seconds: whoever sends nothing, or reads
nothing, is cut off. More are turned away.
"""

import contextlib
import socket
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock, Thread
from time import monotonic
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import CollectorRegistry

from agent.store.files import own_directory
from probes.errors import JostleError, UsageError

MOST_CONNECTIONS = 4
# Prometheus gives up after 10 s by default.
LONGEST_S = 10.0
_UNIX = "unix:"
_POLL_S = 1.0
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"


class MetricsServer:
    """Listens from the moment it is made until it is closed."""

    def __init__(self, listen: str, registry: CollectorRegistry) -> None:
        """Listen on `HOST:PORT` or `unix:/PATH`.

        Raises:
            JostleError: It is in use, or is not to be had.
            UsageError: It is not an address.
        """
        try:
            self._server = _UnixServer(listen) if listen.startswith(_UNIX) else _server(listen)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise JostleError(
                f"cannot serve metrics on {listen} ({why})",
                "choose another [metrics] listen, or end what is there",
            ) from error
        self._server.set_app(make_wsgi_app(registry, disable_compression=True))
        self._thread = Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="metrics-server", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """The address that it listens on, written as `listen`; a port of 0 is the one that the kernel chose."""
        return self._server.shown

    def close(self) -> None:
        """Stop listening, and cut off who is connected."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(WSGIRequestHandler):
    timeout = LONGEST_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Do nothing: scrapes are not logged."""

    def address_string(self) -> str:
        """The same word for every client: no host name is looked up."""
        return "client"


class _Server(ThreadingMixIn, WSGIServer):
    """WSGI with a bound on connections and on the time of each."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16
    shown = ""

    def __init__(self, address: Any, family: socket.AddressFamily) -> None:  # noqa: ANN401  as the base class
        self.address_family = family
        self._open: dict[socket.socket, float] = {}
        self._open_lock = Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  as the base class
        """Begin a thread for it, or turn it away."""
        with self._open_lock:
            room = len(self._open) < MOST_CONNECTIONS
            if room:
                self._open[request] = monotonic() + LONGEST_S
        if room:
            super().process_request(request, client_address)
            return
        request.settimeout(0.0)
        with contextlib.suppress(OSError):
            request.send(_BUSY)
        super().shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  as the base class
        """Close a finished request's connection and forget its deadline."""
        with self._open_lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off the connections whose time is over, once a second. Their threads then fail, and end."""
        self._cut_off(monotonic())

    def server_close(self) -> None:
        """Stop listening and cut off every open connection."""
        super().server_close()
        self._cut_off(float("inf"))

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  as the base class
        """A scraper that went away, or was cut off, is nothing to tell."""

    def _cut_off(self, now_s: float) -> None:
        with self._open_lock:
            for request, deadline_s in self._open.items():
                if deadline_s <= now_s:
                    with contextlib.suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)


class _UnixServer(_Server):
    """The same on a socket in the file system, for whoever may reach its directory."""

    def __init__(self, listen: str) -> None:
        self._path = Path(listen.removeprefix(_UNIX))
        self._is_ours = False
        self.shown = listen
        own_directory(self._path.parent, "give another metrics.listen", make=False)
        _remove_stale(self._path)
        super().__init__(str(self._path), socket.AF_UNIX)

    def server_bind(self) -> None:
        """Bind to the path; HTTPServer takes every address for a host and a port."""
        TCPServer.server_bind(self)
        self._is_ours = True
        self._path.chmod(0o666)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        """WSGI wants a client's address as a pair."""
        request, _ = self.socket.accept()
        return request, ("localhost", 0)

    def server_close(self) -> None:
        """Leave no socket of its own behind."""
        super().server_close()
        if self._is_ours:
            self._path.unlink(missing_ok=True)


def _server(listen: str) -> _Server:
    host, port = parse_address(listen)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    server = _Server(address, family)
    name, number = server.socket.getsockname()[:2]
    server.shown = f"[{name}]:{number}" if ":" in name else f"{name}:{number}"
    return server


def parse_address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[V6]:PORT`.

    Raises:
        UsageError: It is neither.
    """
    host, _, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"{listen!r} is not an address to serve metrics on", "give HOST:PORT or unix:/PATH")
    return host, int(port)


def _remove_stale(path: Path) -> None:
    """Remove the socket of an agent that was killed; one on which somebody listens stays, and binding fails."""
    if not path.is_socket():
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
        trying.settimeout(1.0)
        try:
            trying.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
