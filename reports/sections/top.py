"""One window of the live table as sections: the answer of `jostle top --once`."""

from collections.abc import Iterator, Sequence

from agent.documents.blame import WaitPart
from agent.documents.top import LiveRow, LiveTable, Lot, Usual
from reports.figures import counted, quantity, seconds, time_ns
from reports.sections.blame import waited_for
from reports.sections.model import (
    NAME,
    Kind,
    Listing,
    Report,
    ReportSection,
    Table,
    TableColumn,
    by_column,
    figure_columns,
    names,
    times,
)
from reports.sections.origin import unavailable_listing

FARES = {
    Lot.SUFFERS: "suffers",
    Lot.STARVED: "is starved",
    Lot.QUOTA: "is held back by a quota",
    Lot.CROWDED: "is crowded by its own threads",
}
"""How a cgroup fares that does not do well."""

WORDS = {
    "wait_p50_ns": "p50 of the waits",
    "wait_p99_ns": "p99 of the waits",
    "waited_for": "waited for",
    "ipc": "instructions per cycle",
}


def top_report(table: LiveTable) -> Report:
    """Every cgroup of the window, in its order."""
    sentence = _sentence(table)
    return Report("Top", sentence, tuple(_sections(table)), (sentence, *to_try(table.advice)))


def _sentence(table: LiveTable) -> str:
    of = f"{seconds(table.duration_s)} of {counted(len(table.cgroups), 'cgroup')} on {table.hostname}"
    told = (row for row in table.cgroups if row.cgroup == table.sufferer)
    worst = next(told, None) or max(table.cgroups, key=lambda row: row.lost_cpus, default=None)
    if worst is None or not worst.wait_ns:
        return f"{of}; nobody waited for a CPU."
    word = FARES.get(worst.lot, "lost most, which is little")
    return (
        f"{of}; {worst.name} {word}: wanted {cpus(worst.wanted_cpus)} CPUs, got {cpus(worst.got_cpus)}, "
        f"lost {cpus(worst.lost_cpus)} to others."
    )


def behind(part: WaitPart | None) -> str:
    """Who was waited for longest, and the share of the wait."""
    return "" if part is None else f"{waited_for(part)} {part.share_pct:.0f} %"


def to_try(advice: Sequence[str]) -> tuple[str, ...]:
    """The first piece of advice as the last line of an answer; none where there is nothing to do."""
    return tuple(f"try: {each}" for each in advice[:1])


def usually(usual: Usual | None) -> str:
    """What a cgroup loses no more than in 95 % of the windows; nothing where that is not known."""
    return "" if usual is None else cpus(usual.p95_cpus)


def about_usual(history: str, *, known: bool) -> str:
    """What the column of it is, or why there is none."""
    known_from = f"Usual is what Lost was below for 95 % of {history}."
    return known_from if known else f"{history[0].upper()}{history[1:]}."


def contention(ratio: float | None) -> str:
    """The part of what a cgroup wanted that it waited behind others, in whole per cent; empty: it is not known."""
    return "" if ratio is None else f"{100 * ratio:.0f} %"


def cpus(number: float) -> str:
    """A mean number of CPUs."""
    return f"{number:.2f}"


def _sections(table: LiveTable) -> Iterator[ReportSection]:
    counted = any(row.ipc is not None for row in table.cgroups)
    throttled = any(row.throttled_ns_per_s for row in table.cgroups)
    known = any(row.usual for row in table.cgroups)
    stopped = ", Thr/s how long a quota stopped it" if throttled else ""
    yield Table(
        f"By {table.sort}",
        (
            NAME,
            TableColumn("Lot"),
            *figure_columns("Want", "Got", "Lost", *(["Usual"] if known else []), "Ratio"),
            TableColumn("Behind", Kind.NAME),
            *figure_columns("p99", "Pre/s", *(["IPC"] if counted else []), *(["Thr/s"] if throttled else [])),
        ),
        tuple(_cells(row, counted=counted, throttled=throttled, known=known) for row in table.cgroups),
        note="In CPUs: Want, tasks that ran or waited; Got; Lost, what others had of it. Ratio is the contention "
        "ratio: of what it wanted, quotas apart, the part it waited for others. Behind is who was waited for longest, "
        f"with its part of the wait. Pre/s is how often others preempted it{stopped}, per second. "
        f"{about_usual(table.history, known=known)}",
    )
    had = [row for row in table.cgroups if row.disk_behind_ns_per_s or row.network_behind_ns_per_s]
    if had:
        yield by_column(
            "Behind others on disks and in network queues",
            names(row.name for row in had),
            times("Disk", (row.disk_behind_ns_per_s or 0.0 for row in had)),
            times("Network", (row.network_behind_ns_per_s or 0.0 for row in had)),
            note="How long its requests and packets waited while others' were served, summed over them, per second.",
        )
    if table.warnings:
        yield Listing("Warnings", table.warnings)
    if table.unavailable:
        yield unavailable_listing(table.unavailable, WORDS)


def _cells(row: LiveRow, *, counted: bool, throttled: bool, known: bool) -> tuple[str, ...]:
    return (
        row.name,
        "" if row.lot is Lot.FINE else row.lot,
        cpus(row.wanted_cpus),
        cpus(row.got_cpus),
        cpus(row.lost_cpus),
        *([usually(row.usual)] if known else []),
        contention(row.contention_ratio),
        behind(row.waited_for),
        time_ns(row.wait_p99_ns),
        quantity(round(row.preempted_per_s, 1)),
        *([quantity(row.ipc)] if counted else []),
        *([time_ns(row.throttled_ns_per_s)] if throttled else []),
    )
