"""One incident, one message: what one aggressor does to several victims in the same minutes is told once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.documents.event import Event, EventState, VictimCost
from collectors.host.hierarchy import is_within
from collectors.windows.sched import SchedWindow

DEFAULT_COOLDOWN_S = 300.0
# Of an incident's victims, those that it cost most.
MOST_VICTIMS = 10
_NS_PER_S = 10**9

_Aggressor = tuple[str, ...]
_SeriesKey = tuple[str, str, str, int]


@dataclass(slots=True)
class _Incident:
    """One that was told and is not over: what raised it, what is raised within, since when nothing is, and its cost."""

    told: Event
    raised: dict[_SeriesKey, str] = field(default_factory=dict)
    quiet_since_ns: int = 0
    value: float | None = None
    cost_ns: dict[str, int] = field(default_factory=dict)

    def add(self, window: SchedWindow) -> None:
        """What it costs each of its victims in one more window."""
        for victim in set(self.raised.values()):
            self.cost_ns[victim] = self.cost_ns.get(victim, 0) + _cost_ns(self.told, victim, window)

    def over(self) -> Event:
        """The event that tells its end."""
        ranked = sorted(self.cost_ns.items(), key=lambda item: (-item[1], item[0]))
        return replace(
            self.told,
            utc_ns=self.quiet_since_ns,
            state=EventState.CLEARED,
            value=self.value,
            cost_cpu_s=round(sum(self.cost_ns.values()) / _NS_PER_S, 3),
            victims=tuple(
                VictimCost(name, round(cost / _NS_PER_S, 3)) for name, cost in ranked[:MOST_VICTIMS]
            ),
            victim_count=len(ranked),
        )


class IncidentGrouper:
    """Tells the first event of each aggressor, whoever else becomes its victim meanwhile, and the end of all.

    The end is told when nothing was raised of that aggressor for `length_s`, with the time at which the last was
    cleared, and what it cost. Where nobody is suspected, the victim, the indicator and the cause take its place.
    """

    def __init__(self, length_s: float) -> None:
        """`length_s` may be changed; 0 tells each end at once."""
        self.length_s = length_s
        self._open: dict[_Aggressor, _Incident] = {}

    def group(
        self, events: Iterable[Event], utc_ns: int, window: SchedWindow | None = None
    ) -> Iterator[Event]:
        """Those of one window's events, which ended at `utc_ns`, that are told, and the ends that are due."""
        for event in events:
            aggressor = _aggressor(event)
            incident = self._open.get(aggressor)
            if event.state is EventState.RAISED:
                if incident is None:
                    incident = self._open[aggressor] = _Incident(event)
                    yield event
                incident.raised[_key(event)] = event.victim
                lost_ns = round((event.cost_cpu_s or 0) * _NS_PER_S)
                incident.cost_ns[event.victim] = max(incident.cost_ns.get(event.victim, 0), lost_ns)
            elif incident is not None:
                _clear(incident, event)
        due_ns = utc_ns - round(self.length_s * _NS_PER_S)
        for aggressor, incident in list(self._open.items()):
            if incident.raised:
                if window is not None:
                    incident.add(window)
            elif incident.quiet_since_ns <= due_ns:
                del self._open[aggressor]
                yield incident.over()


def _clear(incident: _Incident, event: Event) -> None:
    incident.raised.pop(_key(event), None)
    incident.quiet_since_ns = event.utc_ns
    if (event.victim, event.indicator) == (incident.told.victim, incident.told.indicator):
        incident.value = event.value


def _aggressor(event: Event) -> _Aggressor:
    if event.suspects:
        return (event.suspects[0].cgroup,)
    return event.victim, event.indicator, event.method, event.cause


def _key(event: Event) -> _SeriesKey:
    return event.victim, event.indicator, event.method, event.since_utc_ns


def _cost_ns(event: Event, victim: str, window: SchedWindow) -> int:
    """The CPU time that a victim lost to the aggressor in a window, or to a quota; no more than the aggressor ran."""
    cgroup = window.cgroups.get(victim)
    if cgroup is None:
        return 0
    if not event.suspects:
        return cgroup.throttled_ns or cgroup.others_ns
    first = event.suspects[0].cgroup
    lost_ns = 0
    for name, wait in cgroup.waited_for.items():
        if name == first or is_within(name, first):
            ran = window.cgroups.get(name)
            lost_ns += wait.wait_ns if ran is None else min(wait.wait_ns, ran.run_ns)
    return lost_ns
