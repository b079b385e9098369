"""The flight recorder: the last 15 minutes by the second, packed, in so much memory and no more.

It stands between the probe and the loop. Each second it reads the probe and keeps what grew, and when the loop reads,
it hands out what all these readings tell as one: so windows are what they are without it. Nothing is made of what is
kept unless somebody asks.
"""

import time
from collections import deque
from dataclasses import dataclass, field, replace
from threading import Lock

from collectors.sources.tiers import Source
from collectors.windows.readings import Readings
from collectors.windows.seconds import Flight, Kept, kept
from probes.snapshot import ProbeCost, Snapshot

EVERY_S = 1.0
LONGEST_S = 15 * 60
# Of one CPU. Where 300 cgroups all wait for one another a second takes 54 ms: then one in six is read.
MOST_CPU_PART = 0.01
# The last second of a window may be so much longer, as there is a reading at its end in any case.
LEAST_S = 0.5
_NS = 10**9
# Of each second, beside what is packed: two numbers, two objects and a place.
_ENTRY_BYTES = 200


@dataclass(slots=True)
class FlightRecorder:
    """A source that remembers; the loop calls `tick` between its own readings. Any thread may ask for the `flight`."""

    source: Source
    most_bytes: int
    _lock: Lock = field(default_factory=Lock)
    _kept: deque[Kept] = field(default_factory=deque)
    _bytes: int = 0
    _paths: dict[int, str] = field(default_factory=dict)
    _gone: deque[tuple[int, int]] = field(default_factory=deque)  # when, and which key
    _last: Snapshot | None = None
    _spent_s: float = 0.0  # CPU time, for the latest second
    _since: Readings = field(default_factory=Readings)  # the loop's last reading

    def __enter__(self) -> "FlightRecorder":
        self.source.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.source.__exit__(*error)

    def cost(self) -> ProbeCost | None:
        """As the source's."""
        return self.source.cost()

    def shed(self, level: int) -> None:
        """As the source's."""
        self.source.shed(level)

    def read(self) -> Snapshot:
        """What was read since this was last called, as one reading."""
        self.tick()
        return self._since.take()

    def tick(self) -> None:
        """A second is over."""
        began_s = time.thread_time()
        after = self.source.read()
        if self._last is None:
            self._paths.update(after.paths)
        else:
            self._keep(kept(self._last, after), self._last, after)
        self._last = replace(after, waits={}, rings=())
        self._since.add(after)
        self._spent_s = time.thread_time() - began_s

    def next_s(self) -> float:
        """When the next second is over, by CLOCK_MONOTONIC; later where that costs more than MOST_CPU_PART."""
        every_s = max(EVERY_S, self._spent_s / MOST_CPU_PART)
        return self._last.monotonic_ns / _NS + every_s if self._last else 0.0

    def flight(self, after_ns: int = 0) -> Flight:
        """Those seconds that are kept and end after this moment, by CLOCK_MONOTONIC."""
        with self._lock:
            return Flight(tuple(each for each in self._kept if each.end_ns > after_ns), dict(self._paths))

    def _keep(self, second: Kept, before: Snapshot, after: Snapshot) -> None:
        with self._lock:
            self._kept.append(second)
            self._bytes += len(second.packed) + _ENTRY_BYTES
            oldest_ns = second.end_ns - LONGEST_S * _NS
            while self._kept and (self._bytes > self.most_bytes or self._kept[0].end_ns <= oldest_ns):
                self._bytes -= len(self._kept.popleft().packed) + _ENTRY_BYTES
            self._paths.update(after.paths)
            self._gone += [(second.end_ns, key) for key in before.paths.keys() - after.paths.keys()]
            first_ns = self._kept[0].end_ns if self._kept else second.end_ns
            while self._gone and self._gone[0][0] < first_ns:
                _, key = self._gone.popleft()
                if key not in after.paths:
                    self._paths.pop(key, None)
