"""Observations to hand to a sink."""

from agent.daemon.sinks import Health, Observation
from agent.documents.event import Event, EventCause, EventState, Suspect
from collectors.windows.sched import CgroupWindow
from tests.agent.analysis.trials import window

WINDOW_S = 10
NS = 10**9
# Some time in 2026: what a window of number N ends at is N windows after it.
EPOCH_NS = 1_780_000_000 * NS
HEALTH = Health(
    uptime_s=1.0,
    cpu_pct=0.1,
    rss_bytes=40 * 2**20,
    descriptors=30,
    windows=1,
    lost_windows=0,
    probe=None,
    warnings=(),
    sinks=(),
)


def observation(number: int, *cgroups: CgroupWindow, health: Health = HEALTH) -> Observation:
    return Observation(
        number=number,
        end_utc_ns=EPOCH_NS + number * WINDOW_S * NS,
        sched=window(*cgroups, duration_s=WINDOW_S),
        health=health,
    )


def event(
    victim: str,
    *,
    state: EventState = EventState.RAISED,
    cause: EventCause = EventCause.NEIGHBOURS,
    suspects: tuple[Suspect, ...] = (),
) -> Event:
    return Event(
        utc_ns=EPOCH_NS,
        state=state,
        since_utc_ns=EPOCH_NS - WINDOW_S * NS,
        victim=victim,
        indicator="wait_per_run",
        unit="s/s",
        method="threshold",
        baseline=None,
        limit=1.0,
        value=2.0,
        cause=cause,
        suspects=suspects,
        findings=(),
    )
