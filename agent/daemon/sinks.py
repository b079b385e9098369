"""What the loop hands on, and what takes it: history, detector, metrics.

The loop makes one `Observation` per window and gives it to every sink. What a sink raises as an event is told to
all of them. Each sink has a thread of its own, so one that is slow, stuck or failing stops none of the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.daemon.config import Config
from agent.documents.event import Event
from agent.documents.verdict import SelfCost
from collectors.windows.sched import SchedWindow


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """How one sink is doing: windows it took and lost since the start, and what is wrong with it just now."""

    name: str
    taken: int
    lost: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """What the agent itself costs, and what it lost.

    `cpu_pct` is of one CPU, over the latest window, without the probe; `probe` is the cost of the BPF programs as
    last measured, None until then or where the kernel does not account for it. `lost_windows` were never read: the
    probe failed, or was slow. `warnings` are what the overhead budget did, each once.
    """

    uptime_s: float
    cpu_pct: float
    rss_bytes: int
    descriptors: int
    windows: int
    lost_windows: int
    probe: SelfCost | None
    warnings: tuple[str, ...]
    sinks: tuple[SinkHealth, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """All that is known of one window. `number` counts from 1 since the agent's start."""

    number: int
    end_utc_ns: int
    sched: SchedWindow
    health: Health


class Sink(Protocol):
    """Takes every window and hears every event, in a thread of its own, one call at a time.

    Any exception is counted, told once in the journal and shown in `Health`; the next window comes all the same.
    """

    @property
    def name(self) -> str:
        """One word, for messages and labels."""

    def on_window(self, observation: Observation) -> Iterable[Event]:
        """One window; the events that it raises."""

    def on_event(self, event: Event) -> None:
        """An event that another sink, or this one, raised."""

    def reload(self, config: Config) -> None:
        """Take over what may change while the agent runs; what may not is the same in both."""

    def close(self) -> None:
        """The last call, also after a failure."""
