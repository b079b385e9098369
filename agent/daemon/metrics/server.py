"""Serves the metrics over HTTP, on localhost or a Unix socket, so that no scraper harms the agent or other scrapers.

One thread, which waits for nobody: who has asked is answered at once, from a text that is made once a window; whoever
sends nothing, or reads nothing, stays for as long as there is room. Where there is none, who has not asked goes first,
then who does not read, the oldest first: however many are slow, one that asks and reads has its answer.
"""

import contextlib
import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from time import monotonic

from agent.store.files import own_directory
from probes.errors import JostleError, UsageError

MOST_CONNECTIONS = 128
# Prometheus gives up after 10 s by default.
LONGEST_S = 10.0
MOST_REQUEST_BYTES = 8192
_UNIX = "unix:"
_POLL_S = 1.0
_BACKLOG = 1024
# A crowd that comes again and again takes no more than so many rounds a second of the agent's time.
_REST_S = 0.002


@dataclass(frozen=True, slots=True)
class Response:
    """What a client is answered."""

    status: str
    kind: str
    text: bytes

    @property
    def head(self) -> bytes:
        """What HTTP has before the text."""
        head = (
            f"HTTP/1.0 {self.status}\r\nContent-Type: {self.kind}\r\nContent-Length: {len(self.text)}\r\n\r\n"
        )
        return head.encode("ascii")


_REFUSED = Response("405 Method Not Allowed", "text/plain", b"")


class MetricsServer:
    """Listens from the moment it is made until it is closed."""

    def __init__(self, listen: str, response: Callable[[str, str], Response]) -> None:
        """Listen on `HOST:PORT` or `unix:/PATH`; `response` is for a path and an Accept header.

        Raises:
            JostleError: It is in use, or is not to be had.
            UsageError: It is not an address.
        """
        self._path = Path(listen.removeprefix(_UNIX)) if listen.startswith(_UNIX) else None
        try:
            self._socket = _listening(self._path) if self._path else _listening_on(*parse_address(listen))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise JostleError(
                f"cannot serve metrics on {listen} ({why})",
                "choose another [metrics] listen, or end what is there",
            ) from error
        self.address = listen if self._path else _shown(self._socket)
        """Where it listens, written as `listen`; a port of 0 is the one that the kernel chose."""
        self._response = response
        self._open: dict[int, _Connection] = {}
        self._waker, self._woken = os.pipe2(os.O_CLOEXEC)
        self._thread = Thread(target=self._serve, name="metrics-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and cut off who is connected."""
        os.close(self._woken)
        self._thread.join()
        os.close(self._waker)
        if self._path:
            self._path.unlink(missing_ok=True)

    def connections(self) -> int:
        """How many are connected."""
        return len(self._open)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector, self._socket:
            selector.register(self._waker, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            ends = False
            while not ends:
                ready = selector.select(_POLL_S)
                ends = any(key.fd == self._waker for key, _ in ready)
                for key, _ in ready:
                    if key.fileobj is self._socket:
                        self._accept(selector)
                    elif key.fd in self._open:
                        self._go_on(selector, self._open[key.fd])
                if self._make_room(selector):
                    time.sleep(_REST_S)
            for connection in list(self._open.values()):
                self._drop(selector, connection)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        """All who have come since, but for so many that those before them would wait for long."""
        with contextlib.suppress(OSError):  # none is left, or no descriptor
            for _ in range(MOST_CONNECTIONS // 2):
                client, _ = self._socket.accept()
                client.setblocking(False)  # noqa: FBT003  its only parameter
                connection = self._open[client.fileno()] = _Connection(client, monotonic())
                selector.register(client, selectors.EVENT_READ)
                self._go_on(selector, connection)

    def _go_on(self, selector: selectors.BaseSelector, connection: "_Connection") -> None:
        """Read and send what can be at once."""
        try:
            if connection.read():
                connection.answer(self._response)
                selector.modify(connection.socket, selectors.EVENT_WRITE)
            if connection.send():
                self._drop(selector, connection)
        except BlockingIOError:
            return
        except Exception:  # noqa: BLE001  whatever is wrong with one, the others are served
            self._drop(selector, connection)

    def _make_room(self, selector: selectors.BaseSelector) -> bool:
        """Cut off those whose time is over, and those too many; whether there were."""
        now_s = monotonic()
        first = sorted(self._open.values(), key=lambda each: (each.has_asked, each.since_s))
        surplus = len(first) - MOST_CONNECTIONS
        for number, connection in enumerate(first):
            if number < surplus or connection.begun_s <= now_s - LONGEST_S:
                self._drop(selector, connection)
        return surplus > 0

    def _drop(self, selector: selectors.BaseSelector, connection: "_Connection") -> None:
        del self._open[connection.socket.fileno()]
        selector.unregister(connection.socket)
        connection.socket.close()


@dataclass(slots=True)
class _Connection:
    """One client: what it has sent, what is left to send to it, and since when neither has moved."""

    socket: socket.socket
    begun_s: float
    request: bytes = b""
    left: list[memoryview] | None = None
    since_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.since_s = self.begun_s

    @property
    def has_asked(self) -> bool:
        return self.left is not None

    def read(self) -> bool:
        """Whether the request is whole now.

        Raises:
            BlockingIOError: It is not, by now.
            ValueError: It will not be.
        """
        if self.has_asked:
            return False
        while b"\r\n\r\n" not in self.request:
            more = self.socket.recv(MOST_REQUEST_BYTES)
            self.request += more
            if not more or len(self.request) > MOST_REQUEST_BYTES:
                raise ValueError
        return True

    def answer(self, response: Callable[[str, str], Response]) -> None:
        """From now on the answer to the request is sent; a method other than GET and HEAD is refused.

        Raises:
            ValueError: It is not a request.
        """
        first, *lines = self.request.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(":") for line in lines)}
        given = response(target.partition("?")[0], headers.get("accept", ""))
        given = given if method in {"GET", "HEAD"} else _REFUSED
        self.left = [memoryview(given.head), memoryview(b"" if method == "HEAD" else given.text)]
        self.since_s = monotonic()

    def send(self) -> bool:
        """Whether all has been sent.

        Raises:
            BlockingIOError: It has not been, by now.
        """
        while self.left:
            self.left[0] = self.left[0][self.socket.send(self.left[0]) :]
            self.since_s = monotonic()
            if not self.left[0]:
                del self.left[0]
        return self.has_asked


def _listening(path: Path) -> socket.socket:
    """On a socket in the file system, for whoever may reach its directory."""
    own_directory(path.parent, "give another metrics.listen", make=False)
    _remove_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o666)
        return _ready(made)
    except OSError:
        made.close()
        raise


def _listening_on(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        return _ready(made)
    except OSError:
        made.close()
        raise


def _ready(made: socket.socket) -> socket.socket:
    made.listen(_BACKLOG)
    made.setblocking(False)  # noqa: FBT003  its only parameter
    return made


def _shown(listening: socket.socket) -> str:
    name, number = listening.getsockname()[:2]
    return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"


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
