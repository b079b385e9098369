"""The metrics as a sink: windows and events go in, a scraper gets the sums since the agent's start."""

from collections.abc import Callable

from prometheus_client.registry import CollectorRegistry

from agent.daemon.config import Config, MetricsConfig
from agent.daemon.metrics.collector import Gathered
from agent.daemon.metrics.server import MetricsServer
from agent.daemon.sinks import Observation
from agent.documents.event import Event


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
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._gathered)
        self._server = MetricsServer(config.listen, registry)

    @property
    def address(self) -> str:
        """Where it listens, with the port that it was given where it asked for any."""
        return self._server.address

    def on_window(self, observation: Observation) -> tuple[Event, ...]:
        """One more window; raises no event."""
        self._gathered.add(observation)
        return ()

    def on_event(self, event: Event) -> None:
        """Add one event to what scrapers see."""
        self._gathered.add_event(event)

    def reload(self, config: Config) -> None:
        """The new limits hold from the next window on."""
        self._gathered.limit(config.metrics)

    def close(self) -> None:
        """Close the metrics server."""
        self._server.close()
