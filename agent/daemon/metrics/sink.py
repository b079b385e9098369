"""The metrics as a sink: windows and events go in, a scraper gets the sums since the agent's start."""

from collections.abc import Callable

from prometheus_client.openmetrics import exposition as openmetrics

from agent.daemon.config import Config, MetricsConfig
from agent.daemon.metrics.collector import Gathered
from agent.daemon.metrics.server import MetricsServer, Response
from agent.daemon.sinks import Observation
from agent.documents.event import Event

_OPENMETRICS = "application/openmetrics-text"


class Metrics:
    """A sink that serves what it has summed up."""

    name = "metrics"

    def __init__(self, config: MetricsConfig, escape: Callable[[str], str]) -> None:
        """Listen; `escape` makes a tenant's name harmless.

        Raises:
            JostleError: The address is in use, or is not to be had.
            UsageError: It is not an address.
        """
        self._gathered = Gathered(config, escape)
        self._texts: dict[bool, Response] = {}
        self._server = MetricsServer(config.listen, self._response)

    @property
    def address(self) -> str:
        """Where it listens, with the port that it was given where it asked for any."""
        return self._server.address

    def connections(self) -> int:
        """How many scrapers are connected."""
        return self._server.connections()

    def on_window(self, observation: Observation) -> tuple[Event, ...]:
        """One more window; raises no event."""
        self._gathered.add(observation)
        self._texts = {}
        return ()

    def on_event(self, event: Event) -> None:
        """Add one event to what scrapers see."""
        self._gathered.add_event(event)
        self._texts = {}

    def reload(self, config: Config) -> None:
        """The new limits hold from the next window on."""
        self._gathered.limit(config.metrics)

    def close(self) -> None:
        """Close the metrics server."""
        self._server.close()

    def _response(self, path: str, accept: str) -> Response:
        """The metrics; for /healthz that the process answers, for /readyz that it measures, or why it does not."""
        if path not in {"/healthz", "/readyz"}:
            return self._metrics(of_old=_OPENMETRICS not in accept)
        why = self._gathered.not_ready() if path == "/readyz" else None
        status = "503 Service Unavailable" if why else "200 OK"
        return Response(status, "text/plain", f"{why or 'ok'}\n".encode())

    def _metrics(self, *, of_old: bool) -> Response:
        """Made once a window for each of the two formats, however many scrape."""
        texts = self._texts
        if of_old not in texts:
            texts[of_old] = self._in_old_format() if of_old else self._in_openmetrics()
        return texts[of_old]

    def _in_openmetrics(self) -> Response:
        kind = f"{openmetrics.CONTENT_TYPE_LATEST}; escaping={openmetrics.UNDERSCORES}"
        text = openmetrics.generate_latest(self._gathered)  # type: ignore[no-untyped-call]  # it has no hints
        return Response("200 OK", kind, text)

    def _in_old_format(self) -> Response:
        """Prometheus' text format 0.0.4. Its module is the one with the servers; see the head of this package."""
        from prometheus_client import exposition  # noqa: PLC0415  see above

        return Response(
            "200 OK", exposition.CONTENT_TYPE_PLAIN_0_0_4, exposition.generate_latest(self._gathered)
        )
