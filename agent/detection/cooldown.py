"""One situation is one episode: what is raised and cleared again and again of the same pair is told once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.documents.event import Event, EventState

DEFAULT_COOLDOWN_S = 300.0
_NS_PER_S = 10**9

_Pair = tuple[str, ...]
_SeriesKey = tuple[str, str, int]


@dataclass(slots=True)
class _Open:
    """An episode that was told and is not over: what raised it, what is raised within, and since when nothing is."""

    told: Event
    raised: set[_SeriesKey] = field(default_factory=set)
    quiet_since_ns: int = 0
    value: float | None = None


class Cooldown:
    """Tells the first event of each pair of victim and first suspect, whatever the indicator, and its end.

    The end is told when nothing was raised of the pair for `length_s`, with the time at which the last was cleared.
    Where nobody is suspected, the indicator and the cause take the suspect's place.
    """

    def __init__(self, length_s: float) -> None:
        """`length_s` may be changed; 0 tells each end at once."""
        self.length_s = length_s
        self._open: dict[_Pair, _Open] = {}

    def told(self, events: Iterable[Event], utc_ns: int) -> Iterator[Event]:
        """Those of one window's events, which ended at `utc_ns`, that are told, and the ends that are due."""
        for event in events:
            pair = _pair(event)
            if event.state is EventState.RAISED:
                if pair not in self._open:
                    self._open[pair] = _Open(event)
                    yield event
                self._open[pair].raised.add(_key(event))
            elif pair in self._open:
                _clear(self._open[pair], event)
        due_ns = utc_ns - round(self.length_s * _NS_PER_S)
        for pair, episode in list(self._open.items()):
            if not episode.raised and episode.quiet_since_ns <= due_ns:
                del self._open[pair]
                yield replace(
                    episode.told,
                    utc_ns=episode.quiet_since_ns,
                    state=EventState.CLEARED,
                    value=episode.value,
                )


def _clear(episode: _Open, event: Event) -> None:
    episode.raised.discard(_key(event))
    episode.quiet_since_ns = event.utc_ns
    if event.indicator == episode.told.indicator:
        episode.value = event.value


def _pair(event: Event) -> _Pair:
    if event.suspects:
        return event.victim, event.suspects[0].cgroup
    return event.victim, event.indicator, event.method, event.cause


def _key(event: Event) -> _SeriesKey:
    return event.indicator, event.method, event.since_utc_ns
