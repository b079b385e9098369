"""Incidents sent to Alertmanager (its v2 API) or to any webhook, with retries and a bound; a sink with a sender thread.

What waits is at most `max_waiting` messages, of which the oldest are lost first, and told. An unreachable, slow or
nonsensical receiver is tried again, in 1 s and then in twice as many each time up to 60; a message that it refuses
(4xx) is not. An alert that goes on is sent to Alertmanager again each minute, which takes it as over otherwise.
"""

import http.client
import json
import socket
import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread, Timer
from threading import Event as Flag
from urllib.parse import urlsplit

from agent.daemon.config import AlertsConfig, Config
from agent.daemon.journal import line, shortened
from agent.daemon.sinks import Observation
from agent.documents.event import Event, EventCause, EventState
from agent.documents.strict_json import strict_json
from agent.documents.times import moment

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
RESEND_S = 60.0
# What an alert that is not sent again is over after; a few are missed before.
_ENDS_AFTER_S = 5 * RESEND_S
# What is left is sent for so long when the agent ends.
_CLOSING_S = 3.0
_NS_PER_S = 10**9
_TRY_AGAIN = frozenset({408, 429})

Say = Callable[[str], None]


class Alerts:
    """A sink that sends events; windows are nothing to it."""

    name = "alerts"

    def __init__(self, config: AlertsConfig, hostname: str, warn: Say, inform: Say) -> None:
        """Begin to send. `warn` is told when sending begins to fail and what was lost, `inform` that it works again."""
        self._config = config
        self._hostname = hostname
        self._warn, self._inform = warn, inform
        self._waiting: deque[bytes] = deque()
        self._active: dict[tuple[str, ...], Event] = {}
        self._sent_s = time.monotonic()
        self._changed = Condition()
        self._ending = False
        self.lost = 0
        self._thread = Thread(target=self._send_all, name="alerts-sender", daemon=True)
        self._thread.start()

    def on_window(self, observation: Observation) -> tuple[Event, ...]:  # noqa: ARG002  its time alone matters
        """Send what goes on again, when it is time; raises no event."""
        is_time = time.monotonic() - self._sent_s >= RESEND_S
        if self._config.kind == "alertmanager" and is_time and self._active:
            self._sent_s = time.monotonic()
            self._put(self._alerts(*self._active.values()))
        return ()

    def on_event(self, event: Event) -> None:
        """Send one event."""
        key = event.victim, event.indicator, event.method, str(event.since_utc_ns)
        if event.state is EventState.RAISED and len(self._active) < self._config.max_waiting:
            self._active[key] = event
        elif event.state is EventState.CLEARED:
            self._active.pop(key, None)
        self._put(self._alerts(event) if self._config.kind == "alertmanager" else line(event).encode())

    def reload(self, config: Config) -> None:
        """Send to the receiver of this configuration from the next message on."""
        self._config = config.alerts

    def close(self) -> None:
        """Send what waits, for a few seconds."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(_CLOSING_S)
        if left := len(self._waiting):
            self._warn(f"{left} alerts were not sent before the agent ended")

    def _put(self, body: bytes) -> None:
        with self._changed:
            while len(self._waiting) >= self._config.max_waiting:
                self._waiting.popleft()
                self.lost += 1
                self._warn(f"{self.lost} alerts were lost so far: {self._config.max_waiting} wait to be sent")
            self._waiting.append(body)
            self._changed.notify()

    def _send_all(self) -> None:
        pause_s = 0.0
        while True:
            with self._changed:
                if (
                    not self._changed.wait_for(lambda: self._waiting or self._ending, None)
                    or not self._waiting
                ):
                    return
                body = self._waiting[0]
            try:
                refused = send(self._config, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                if not pause_s:
                    why = _text(str(error) or type(error).__name__)  # it may hold what the receiver said
                    self._warn(f"alerts cannot be sent to {self._config.url}, they are kept: {why}")
                pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause_s))
                if self._ending:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._ending, pause_s)
                continue
            if pause_s:
                pause_s = 0.0
                self._inform(f"alerts can be sent to {self._config.url} again")
            with self._changed:
                if self._waiting and self._waiting[0] is body:
                    self._waiting.popleft()
            if refused:
                self.lost += 1
                self._warn(f"an alert was refused by {self._config.url} ({refused}) and is lost")

    def _alerts(self, *events: Event) -> bytes:
        return json.dumps([alert(event, self._hostname, time.time_ns()) for event in events]).encode()


def alert(event: Event, hostname: str, now_ns: int) -> dict[str, object]:
    """One alert as Alertmanager's API v2 takes it."""
    first = event.suspects[0] if event.suspects else None
    suspect = "" if first is None else first.cgroup
    over = event.state is EventState.CLEARED
    ends_ns = event.utc_ns if over else now_ns + round(_ENDS_AFTER_S * _NS_PER_S)
    victim = _text(event.victim_name or event.victim)
    behind = "" if first is None else f" behind {_text(first.name or suspect)}"
    return {
        "labels": {
            "alertname": "JostleIncident",
            "instance": hostname,
            "victim": _text(event.victim),
            "suspect": _text(suspect),
            "indicator": event.indicator,
            "cause": str(event.cause),
            "severity": "warning" if event.cause is EventCause.NEIGHBOURS else "info",
        },
        "annotations": {
            "summary": f"{victim} waits{behind}" if first else f"{victim} waits ({event.cause})",
            "description": f"{event.advice or 'jostle events explains it'}; on {hostname}",
            "cost_cpu_s": "" if event.cost_cpu_s is None else f"{event.cost_cpu_s:g}",
        },
        "startsAt": moment(event.since_utc_ns / _NS_PER_S),
        "endsAt": moment(ends_ns / _NS_PER_S),
        "generatorURL": "",
    }


def _text(name: str) -> str:
    """A tenant's name: what is no character, or moves a cursor, as an escape."""
    return (
        shortened(strict_json(name)[1:-1])
        if not name.isascii() or not name.isprintable()
        else shortened(name)
    )


def send(config: AlertsConfig, body: bytes) -> str | None:
    """Post one message; None, or how the receiver refused it for good.

    However slowly it answers, it takes no longer than twice `timeout_s`.

    Raises:
        OSError: It cannot be reached, or is too slow.
        http.client.HTTPException: It answered what is no HTTP, or that it cannot now.
    """
    url = urlsplit(config.url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=config.timeout_s)
    is_cut_off = Flag()  # before it is cut off: the timer's thread ends some time after
    limit = Timer(2 * config.timeout_s, _cut_off, (connection, is_cut_off))
    limit.daemon = True
    limit.start()
    try:
        target = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        if is_cut_off.is_set():  # whatever the peer made of that
            raise _too_slow(config) from error
        raise
    else:
        if is_cut_off.is_set():  # such an answer may look like a whole one
            raise _too_slow(config)
    finally:
        limit.cancel()
        connection.close()
    if 200 <= response.status < 300:
        return None
    if 400 <= response.status < 500 and response.status not in _TRY_AGAIN:
        return f"HTTP {response.status}"
    raise http.client.HTTPException(f"HTTP {response.status}")


def _too_slow(config: AlertsConfig) -> TimeoutError:
    return TimeoutError(f"no whole answer in {2 * config.timeout_s:g} s")


def _cut_off(connection: http.client.HTTPConnection, is_cut_off: Flag) -> None:
    is_cut_off.set()
    if connection.sock is not None:
        connection.sock.shutdown(socket.SHUT_RDWR)
