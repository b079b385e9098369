"""Events of the agent's history: one that blames, one that does not, one that nothing explains; and hostile ones."""

from msgspec.structs import replace

from agent.detection.gates import BLAME_LEFT_OUT
from agent.documents.event import Episode, Event, EventCause, EventState, GateFinding, Suspect

_EVENT = Event(
    utc_ns=1_780_000_000_000_000_000,
    state=EventState.RAISED,
    since_utc_ns=1_779_999_980_000_000_000,
    victim="/system.slice/web.service",
    indicator="wait_per_run",
    unit="s/s",
    method="sigma",
    baseline=0.02512,
    limit=0.1,
    value=2.25,
    cause=EventCause.NEIGHBOURS,
    suspects=(Suspect("/system.slice/batch.service", 88.8), Suspect("kernel", 5.1)),
    findings=(GateFinding("throttling", explains=False, text="it did not wait for a quota"),),
)
_BLAMED = Episode("2026-05-28T20:26:20+00:00", 130.0, over=True, event=_EVENT)
_THROTTLED = Episode(
    "2026-05-28T20:27:00+00:00",
    60.0,
    over=False,
    event=replace(
        _EVENT,
        indicator="throttled_share",
        unit="",
        method="threshold",
        baseline=None,
        value=0.531,
        cause=EventCause.THROTTLED,
        suspects=(),
        findings=(
            GateFinding("throttling", explains=True, text="99 % of its wait was for its own quota, 0.2 CPUs"),
        ),
    ),
)
_UNKNOWN = replace(
    _BLAMED,
    event=replace(
        _EVENT,
        value=None,
        cause=EventCause.UNKNOWN,
        suspects=(),
        findings=(*_EVENT.findings, BLAME_LEFT_OUT),
    ),
)
EPISODES = (_BLAMED, _THROTTLED, _UNKNOWN)


def hostile_episodes(evil: str) -> tuple[Episode, ...]:
    """With this wherever a tenant's name stands."""
    blamed = replace(_BLAMED.event, victim=evil, suspects=(Suspect(evil, 90.0),))
    throttled = replace(
        _THROTTLED.event, victim=evil, findings=(GateFinding("throttling", explains=True, text=evil),)
    )
    return replace(_BLAMED, event=blamed), replace(_THROTTLED, event=throttled)
