"""What detection found in a part of the agent's history, as sentences: when, who, what, and who is to blame."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from agent.documents.event import Episode, Event, EventCause, Incidents, Suspect
from agent.documents.summary import CgroupSummary
from reports.figures import counted, percent, quantity, seconds
from reports.sections.model import (
    Kind,
    Listing,
    Prose,
    Report,
    ReportSection,
    ShellCommand,
    Table,
    TableColumn,
    figure_columns,
)

_LONG_ID = re.compile("[0-9a-f]{64}")
# What each indicator measures, around its value; docs/detection.md.
_WORDS = {
    "contention": ("waited behind others for", "of the CPU time it wanted"),
    "wait_per_run": ("waited", "s per second on a CPU"),
    "wait_p99": ("had waits with a p99 of", "ms"),
    "preempted_per_s": ("was preempted by others", "times a second"),
    "throttled_share": ("was kept from running by a quota for", "of the time it wanted to run"),
    "ipc": ("ran at", "instructions per cycle"),
}
# Where nobody is suspected, in a column of those who are.
_REASONS = {
    EventCause.NEIGHBOURS: "neighbours",
    EventCause.THROTTLED: "a quota",
    EventCause.OWN_LOAD: "its own load",
    EventCause.STEAL: "hypervisor, interrupts",
    EventCause.UNKNOWN: "not known",
}
# A crowded host raises hundreds in a day.
MOST_EVENTS = 50
# Beyond this share of the wait it would be wrong to say that nobody else is to blame.
_GREATER_HALF_PCT = 50.0
_NONE = "Nothing was out of the ordinary, or nobody watched: no event is stored for this time."


def called(cgroups: Iterable[CgroupSummary]) -> Callable[[str], str]:
    """What people call the cgroup of a path; what is not among them is called by its path."""
    known = {cgroup.path: cgroup.name for cgroup in cgroups}
    return lambda path: known.get(path, path)


def event_listing(events: tuple[Episode, ...], name_of: Callable[[str], str] = str) -> Listing:
    """One sentence for each event, the first first, of MOST_EVENTS at most; `name_of` a path is what people call it."""
    left = len(events) - MOST_EVENTS
    more = [f"{counted(left, 'event')} more; the JSON form of this report has all."] if left > 0 else []
    told = [_sentence(each, name_of) for each in events[:MOST_EVENTS]]
    return Listing("Events", (*told, *more) or (_NONE,), numbered=bool(events))


def incidents_report(found: Incidents) -> Report:
    """All that was told in a period, a row each, by the numbers that `jostle events NUMBER` takes."""
    count = counted(len(found.incidents), "incident")
    lost_s = sum(each.event.cost_cpu_s or 0.0 for each in found.incidents)
    sentence = f"{found.since} to {found.until}: {count}" + (
        f", {seconds(lost_s)} of CPU time lost." if lost_s else "."
    )
    if not found.incidents:
        return Report("Incidents", sentence, (Prose("Events", _NONE),))
    rows = tuple(_row(number, each) for number, each in enumerate(found.incidents, 1))
    columns = (
        *(
            *figure_columns("#"),
            TableColumn("Since"),
            *figure_columns("For"),
            TableColumn("Victim", Kind.NAME),
        ),
        *(*figure_columns("More"), TableColumn("Behind", Kind.NAME), *figure_columns("Of its due", "Lost")),
    )
    note = (
        "More is how many other victims there were. Of its due: how much the first suspect ran, in times of what its "
        "weight entitles it to. Lost is CPU time that the victims wanted and it, or a quota, had. To explain one, add "
        "its number (#) to the command."
    )
    return Report("Incidents", sentence, (Table("Told", columns, rows, note=note),))


def _row(number: int, episode: Episode) -> tuple[str, ...]:
    event = episode.event
    worst = event.victims[0] if event.victims else None
    first = event.suspects[0] if event.suspects else None
    times = None if first is None else first.entitled_times
    return (
        str(number),
        episode.since[5:16],  # to the minute; the sentence above has year and zone
        f"{seconds(episode.duration_s)}{'' if episode.over else ' so far'}",
        (worst.name or worst.cgroup) if worst else (event.victim_name or event.victim),
        f"+{event.victim_count - 1}" if event.victim_count > 1 else "",
        _behind(first) if first else _REASONS[event.cause],
        "" if times is None else f"{times:g} ×",
        "" if event.cost_cpu_s is None else f"{quantity(event.cost_cpu_s)} s",
    )


def _behind(suspect: Suspect) -> str:
    """Its name; of the root cgroup and the kernel the busiest within, where somebody looked: `/: python`."""
    name = suspect.name or suspect.cgroup
    return f"{name}: {suspect.within[0].name}" if suspect.within else name


def incident_report(episode: Episode, history_file: Path | None = None) -> Report:
    """One incident explained: what, behind whom and how that is known, what it cost whom, what to do.

    `history_file` is where it was found, where that is not the agent's own place.
    """
    event = episode.event
    findings = tuple(f"{each.gate}: {each.text}" for each in event.findings)
    sections: list[ReportSection] = [Listing("What the gates found", findings)] if findings else []
    if event.victims:
        rows = tuple(
            (each.name or each.cgroup, each.cgroup, f"{quantity(each.cost_cpu_s)} s")
            for each in event.victims
        )
        columns = (TableColumn("Victim", Kind.NAME), TableColumn("Path", Kind.NAME), *figure_columns("Lost"))
        left = event.victim_count - len(event.victims)
        sections.append(
            Table("Worst victims", columns, rows, note=f"{counted(left, 'victim')} more." if left > 0 else "")
        )
    # A container by its name, which it has after a restart as well; others by their paths, as names may be of several.
    wanted = (_LONG_ID.search(event.victim) and event.victim_name) or event.victim
    file = () if history_file is None else ("--history-file", str(history_file))
    words = ("jostle", "blame", wanted, "--at", episode.since, *file)
    sections.append(ShellCommand("Look closer", tuple(map(shlex.quote, words))))
    called = {event.victim: event.victim_name, **{each.cgroup: each.name for each in event.suspects}}
    return Report("Incident", _sentence(episode, lambda path: called.get(path) or path), tuple(sections))


def _sentence(episode: Episode, name_of: Callable[[str], str]) -> str:
    event = episode.event
    lasted = seconds(episode.duration_s) if episode.over else f"at least {seconds(episode.duration_s)}"
    usual = "" if event.baseline is None else f"usually {_figure(event, event.baseline)}, "
    return (
        f"{episode.since}, for {lasted}: {name_of(event.victim)} {_what(event)} "
        f"({usual}limit {_figure(event, event.limit)}), {_why(event, name_of)}."
        + (f" To do: {event.advice}." if event.advice else "")
    )


def _what(event: Event) -> str:
    if event.value is None:  # what raised it is no longer kept
        return f"was beyond its limit of {event.indicator}"
    before, after = _WORDS.get(event.indicator, (f"had a {event.indicator} of", event.unit))
    return f"{before} {_figure(event, event.value)} {after}".rstrip()


def _figure(event: Event, value: float | None) -> str:
    if event.indicator in {"contention", "throttled_share"}:
        return percent(None if value is None else 100 * value)
    return quantity(value)


def _why(event: Event, name_of: Callable[[str], str]) -> str:
    return "; ".join(
        (_cause(event, name_of), *(each.text for each in event.findings if each.gate == "blame"))
    )


def _cause(event: Event, name_of: Callable[[str], str]) -> str:
    if event.cause is EventCause.NEIGHBOURS:
        suspects = ", ".join(
            f"{name_of(each.cgroup)} ({percent(each.share_pct)}{_within(each)})" for each in event.suspects
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
