"""Each sink in a thread of its own: what one of them does or fails to do is nothing to the loop and the others."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread

from agent.daemon.config import Config
from agent.daemon.service import Service
from agent.daemon.sinks import Observation, Sink, SinkHealth
from agent.documents.event import Event
from probes.errors import JostleError

# What may wait for a sink that is busy: a window and its events, and the same once more.
_MOST_WAITING = 4
Events = Sequence[Event]


class Worker:
    """One sink, its thread, and how it is doing."""

    def __init__(self, sink: Sink, publish: Callable[[Events], None], service: Service) -> None:
        self._sink = sink
        self._publish = publish
        self._service = service
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._config: Config | None = None
        self._lock = Lock()
        self._taken = self._lost = 0
        self._trouble: str | None = None
        self._busy_since_s: float | None = None
        self._thread = Thread(target=self._work, name=sink.name, daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The name of the sink, for messages and metrics."""
        return self._sink.name

    def submit(self, observation: Observation) -> None:
        """Hand over one window; it is lost if the sink is still busy with those before it."""
        self._put(partial(self._take, observation))

    def on_events(self, events: Events) -> None:
        """Hand over events that some sink raised; lost as `submit` loses windows."""
        self._put(partial(self._hear, events))

    def ask(self, work: Callable[[], None]) -> None:
        """Let work be done after what waits; lost as `submit` loses windows."""
        self._put(work)

    def reload(self, config: Config) -> None:
        """Hand over a new configuration before the next window."""
        self._config = config

    def health(self) -> SinkHealth:
        """How many windows the sink took and lost so far, and what troubles it now."""
        with self._lock:
            return SinkHealth(self.name, self._taken, self._lost, self._trouble)

    def end(self) -> None:
        """Ask for the sink to be closed when it has taken the windows that wait."""
        self._inbox.put(None)

    def ended(self, within_s: float) -> bool:
        """Whether the sink is closed; waits that long."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _put(self, work: Callable[[], None]) -> None:
        if self._inbox.qsize() < _MOST_WAITING:
            self._inbox.put(work)
        else:
            busy_s = time.monotonic() - (self._busy_since_s or time.monotonic())
            self._lose(f"stuck for {busy_s:.0f} s")

    def _work(self) -> None:
        try:
            while (work := self._inbox.get()) is not None:
                self._busy_since_s = time.monotonic()
                self._guarded(work)
                self._busy_since_s = None
                work = None  # while it waits for the next window it need not hold this one
        finally:
            self._guarded(self._sink.close)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            config, self._config = self._config, None
            if config is not None:
                self._sink.reload(config)
            work()
        except Exception as error:  # noqa: BLE001  whatever a sink does wrong, the others go on
            self._lose(str(error) if isinstance(error, JostleError) else f"{type(error).__name__}: {error}")

    def _take(self, observation: Observation) -> None:
        events = tuple(self._sink.on_window(observation))
        with self._lock:
            self._taken += 1
            recovered = self._trouble is not None and self._inbox.empty()
            if recovered:
                self._trouble = None
        if recovered:
            self._service.inform(f"{self.name} works again; it lost {self._lost} windows or events so far")
        if events:
            self._publish(events)

    def _hear(self, events: Events) -> None:
        for event in events:
            self._sink.on_event(event)

    def _lose(self, why: str) -> None:
        """Count, and tell a trouble when it begins: not with each window."""
        with self._lock:
            self._lost += 1
            known, self._trouble = self._trouble is not None, why
        if not known:
            self._service.warn(f"{self.name} failed, the rest goes on: {why}")


class Workers:
    """All sinks of the agent, each with its own `Worker`."""

    def __init__(self, sinks: Iterable[Sink], service: Service) -> None:
        self._service = service
        self._workers: list[Worker] = []
        self._workers += [Worker(sink, self._publish, service) for sink in sinks]

    def submit(self, observation: Observation) -> None:
        """Hand one window to every sink."""
        for worker in self._workers:
            worker.submit(observation)

    def reload(self, config: Config) -> None:
        """Hand a new configuration to every sink."""
        for worker in self._workers:
            worker.reload(config)

    def ask(self, name: str, work: Callable[[], None]) -> None:
        """Let work be done in the thread of the sink of this name, if there is one, as if it was the sink's own."""
        for worker in self._workers:
            if worker.name == name:
                worker.ask(work)

    def health(self) -> tuple[SinkHealth, ...]:
        """The state of each sink, in the order in which they were given."""
        return tuple(worker.health() for worker in self._workers)

    def close(self, within_s: float) -> None:
        """End all sinks, in that time together; one that does not end is told, and left to the process's end."""
        deadline_s = time.monotonic() + within_s
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            if not worker.ended(max(0.0, deadline_s - time.monotonic())):
                self._service.warn(
                    f"{worker.name} did not end within {within_s:g} s: what it had not written is lost"
                )

    def _publish(self, events: Events) -> None:
        for worker in self._workers:
            worker.on_events(events)
