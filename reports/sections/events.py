"""What detection found in a part of the agent's history, as sentences: when, who, what, and who is to blame."""

from collections.abc import Iterator

from agent.documents.event import Episode, Event, EventCause, Suspect
from reports.figures import counted, percent, quantity, seconds
from reports.sections.model import Listing

# What each indicator measures, around its value; docs/detection.md.
_WORDS = {
    "wait_per_run": ("waited", "s per second on a CPU"),
    "wait_p99": ("had waits with a p99 of", "ms"),
    "preempted_per_s": ("was preempted by others", "times a second"),
    "throttled_share": ("was kept from running by a quota for", "of the time it wanted to run"),
    "ipc": ("ran at", "instructions per cycle"),
}
# A crowded host raises hundreds in a day.
MOST_EVENTS = 50
# Beyond this share of the wait it would be wrong to say that nobody else is to blame.
_GREATER_HALF_PCT = 50.0
_NONE = "Nothing was out of the ordinary, or nobody watched: no event is stored for this time."


def event_listing(events: tuple[Episode, ...]) -> Listing:
    """One sentence for each event, the first first, of MOST_EVENTS at most."""
    left = len(events) - MOST_EVENTS
    more = [f"{counted(left, 'event')} more; the JSON form of this report has all."] if left > 0 else []
    return Listing(
        "Events", (*map(_sentence, events[:MOST_EVENTS]), *more) or (_NONE,), numbered=bool(events)
    )


def _sentence(episode: Episode) -> str:
    event = episode.event
    lasted = seconds(episode.duration_s) if episode.over else f"at least {seconds(episode.duration_s)}"
    usual = "" if event.baseline is None else f"usually {_figure(event, event.baseline)}, "
    return (
        f"{episode.since}, for {lasted}: {event.victim} {_what(event)} "
        f"({usual}limit {_figure(event, event.limit)}), {_why(event)}."
    )


def _what(event: Event) -> str:
    if event.value is None:  # what raised it is no longer kept
        return f"was beyond its limit of {event.indicator}"
    before, after = _WORDS.get(event.indicator, (f"had a {event.indicator} of", event.unit))
    return f"{before} {_figure(event, event.value)} {after}".rstrip()


def _figure(event: Event, value: float | None) -> str:
    if event.indicator == "throttled_share":
        return percent(None if value is None else 100 * value)
    return quantity(value)


def _why(event: Event) -> str:
    return "; ".join((_cause(event), *(each.text for each in event.findings if each.gate == "blame")))


def _cause(event: Event) -> str:
    if event.cause is EventCause.NEIGHBOURS:
        suspects = ", ".join(
            f"{each.cgroup} ({percent(each.share_pct)}{_within(each)})" for each in event.suspects
        )
        return f"which its neighbours explain: {suspects}"
    if (event.others_pct or 0.0) > _GREATER_HALF_PCT:
        return _beside_others(event)
    if event.cause is EventCause.UNKNOWN:
        return "which nothing that was seen explains"
    return f"for which nobody else is to blame ({event.cause}: {'; '.join(_told(event))})"


def _within(suspect: Suspect) -> str:
    """The two busiest of the root cgroup's processes, or of the kernel's threads."""
    busiest = (f"{task.name} {percent(task.share_pct)}" for task in (suspect.within or ())[:2])
    return f"; by CPU time mostly {', '.join(busiest)}" if suspect.within else ""


def _beside_others(event: Event) -> str:
    """Where a gate or nothing explains it, and yet most of the wait was for others."""
    waits = [each.text for each in event.findings if each.gate == "others"]
    if event.cause is EventCause.UNKNOWN:
        waits.append("for none of them much longer than usual")
        return f"while {', '.join(waits)}"
    return f"and {event.cause} has a part in it ({'; '.join(_told(event))}), while {', '.join(waits)}"


def _told(event: Event) -> Iterator[str]:
    """What the gates found that explains it.

    A quota's doing is the throttling gate's to tell, also where most of the wait was for something else.
    """
    quota = event.cause is EventCause.THROTTLED
    return (each.text for each in event.findings if each.explains or (quota and each.gate == "throttling"))
