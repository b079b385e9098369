"""What a detector found, schema `jostle.event/1`: for the journal, the history and the metrics."""

from enum import StrEnum

from agent.documents.codec import Document, Record
from agent.documents.tasks import TaskShare


class EventCause(StrEnum):
    """What an event is put down to. Only `neighbours` blames anybody."""

    NEIGHBOURS = "neighbours"
    THROTTLED = "throttled"
    OWN_LOAD = "own-load"
    STEAL = "steal"
    UNKNOWN = "unknown"


class EventState(StrEnum):
    """Whether it begins or ends."""

    RAISED = "raised"
    CLEARED = "cleared"


class Suspect(Record, frozen=True):
    """A neighbour, and its share of what the victim waited for neighbours.

    `within` names the busiest processes of the root cgroup, or kernel threads, by CPU time in the latest window; left
    out where it is neither, or nobody looked.
    """

    cgroup: str
    share_pct: float
    within: tuple[TaskShare, ...] | None = None
    # Whether it ran clearly more than its weight entitles it to; left out: there are no weights between the two.
    above_entitlement: bool | None = None
    entitled_times: float | None = None  # how many times that it ran; left out as above_entitlement
    name: str | None = None  # what people call it; left out: nobody told


class Entitlement(StrEnum):
    """What the weights say of a wait for neighbours."""

    ABOVE = "aggressor-above"  # the first suspect ran more than it is entitled to
    BELOW = "victim-below"  # it did not, but has the larger weight: the victim is owed less than it wants
    NOBODY = "nobody-above"  # each has what it is owed: the host is too full for them


class GateFinding(Record, frozen=True):
    """What one gate found, as a sentence. `explains`: it explains the event, so that no neighbour is blamed.

    None: it could not be told.
    """

    gate: str
    explains: bool | None
    text: str


class VictimCost(Record, frozen=True):
    """One victim of an incident, and the CPU time that it lost to the aggressor while it was beyond its limit."""

    cgroup: str
    cost_cpu_s: float  # what it lost
    name: str | None = None  # what people call it; left out: nobody told


class Event(Document, frozen=True):
    """One cgroup's indicator has left where it belongs, for long enough to be told, or has come back.

    `baseline` is what is usual, by the method; None where it compares with a fixed limit. `limit` is what `value`
    went beyond. `suspects`, the first first, are empty when a gate explains the event. When it is cleared, cause,
    suspects and findings are those that it was raised with. `others_pct` is how much of its wait in the windows beyond
    the limit was for others, whether or not that is unusual; left out where it never waited.
    """

    SCHEMA = "jostle.event/1"

    utc_ns: int  # end of the window that raised or cleared it
    state: EventState
    since_utc_ns: int  # begin of the first window beyond the limit
    victim: str
    indicator: str
    unit: str
    method: str
    baseline: float | None
    limit: float
    value: float | None  # None: cleared by silence
    cause: EventCause
    suspects: tuple[Suspect, ...]
    findings: tuple[GateFinding, ...]
    others_pct: float | None = None
    entitlement: Entitlement | None = None  # left out: nobody is suspected, or there are no weights
    advice: str | None = None  # what to do; left out: nobody is suspected
    victim_name: str | None = None  # what people call the victim; left out: nobody told
    # What the victims lost to the aggressor in CPU time, until it was raised or in all; left out: not known.
    cost_cpu_s: float | None = None
    victims: tuple[VictimCost, ...] = ()  # of a whole incident, when it is over; the worst first, ten at most
    victim_count: int = 1  # how many there were


_NS = 10**9


class Episode(Record, frozen=True):
    """One event, from the first window beyond the limit on.

    `over` is false when it was not cleared before the agent ended, or the history does; it lasted until then at least.
    """

    since: str  # ISO 8601, in the host's time zone
    duration_s: float
    over: bool
    event: Event

    @property
    def until_utc_ns(self) -> int:
        """When it ended, or was last seen."""
        return self.event.since_utc_ns + round(self.duration_s * _NS)


class Incidents(Document, frozen=True):
    """What the agent told in a part of its history, the first begun first."""

    SCHEMA = "jostle.events/1"

    since: str  # ISO 8601, in the host's time zone
    until: str  # the same
    incidents: tuple[Episode, ...]
