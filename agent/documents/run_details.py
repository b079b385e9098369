"""What lies behind a recording's summary, as records of `jostle.summary/1`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waits:
    """How many waits of one cgroup fell into each bucket of `RunDetails.edges_ns`."""

    name: str
    waits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many tasks of one cgroup waited for a CPU at each point in time, on average."""

    name: str
    mean_waiting: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """One point of a time line: one window or several, in seconds from the recording's beginning."""

    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class RunMatrix:
    """Who waited for whom in the whole recording; for its own threads where its row meets its column."""

    waiting: tuple[str, ...]
    waited_for: tuple[str, ...]
    wait_ns: tuple[tuple[int, ...], ...]  # a row for each that waited


@dataclass(frozen=True, slots=True)
class RunDetails:
    """All of them, the cgroup that waited longest first.

    `edges_ns` are upper edges, ascending; null marks the open last bucket.
    """

    edges_ns: tuple[float | None, ...]
    by_length: tuple[Waits, ...]
    moments: tuple[Moment, ...]
    over_time: tuple[Waiting, ...]
    matrix: RunMatrix
