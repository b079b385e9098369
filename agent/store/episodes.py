"""Events in pairs: how long an indicator was off, and what was found when it was raised."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from agent.documents.event import _NS, Episode, Event, EventState
from agent.documents.times import moment


def episodes(told: Iterable[tuple[int, Event]], ends_utc_ns: Mapping[int, int]) -> list[Episode]:
    """The episodes of (recording, event) in the order they were told, the first begun first.

    `ends_utc_ns` says when each recording ended.
    """
    return sorted(_paired(told, ends_utc_ns), key=lambda episode: episode.event.since_utc_ns)


def _paired(told: Iterable[tuple[int, Event]], ends_utc_ns: Mapping[int, int]) -> Iterator[Episode]:
    raised: dict[tuple[int, str, str, str, int], Event] = {}
    for recording, event in told:
        # Of one series several may be open: an end is told after a cool-down, and another suspect's begin before it.
        key = recording, event.victim, event.indicator, event.method, event.since_utc_ns
        if event.state is EventState.RAISED:
            raised[key] = event
        else:
            # Without what raised it, which is too old to be kept, it still says all but the value.
            first = raised.pop(key, event)
            whole = replace(
                first,
                cost_cpu_s=first.cost_cpu_s if event.cost_cpu_s is None else event.cost_cpu_s,
                victims=event.victims,
                victim_count=event.victim_count,
            )
            yield _episode(whole, event.utc_ns, over=True)
    for (recording, *_), event in raised.items():
        yield _episode(event, ends_utc_ns[recording], over=False)


def _episode(event: Event, until_utc_ns: int, *, over: bool) -> Episode:
    return Episode(
        since=moment(event.since_utc_ns // _NS),
        duration_s=max(0, until_utc_ns - event.since_utc_ns) / _NS,
        over=over,
        event=event,
    )
