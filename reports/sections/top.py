"""One window of the live table as sections: the answer of `jostle top --once`."""

from collections.abc import Iterator

from agent.documents.top import LiveRow, LiveTable, Lot
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
    figure_columns,
)
from reports.sections.origin import unavailable_listing

WORDS = {
    "wait_p50_ns": "p50 of the waits",
    "wait_p99_ns": "p99 of the waits",
    "waited_for": "waited for",
    "ipc": "instructions per cycle",
}


def top_report(table: LiveTable) -> Report:
    """Every cgroup of the window, in its order."""
    return Report("Top", _sentence(table), tuple(_sections(table)))


def _sentence(table: LiveTable) -> str:
    of = f"{seconds(table.duration_s)} of {counted(len(table.cgroups), 'cgroup')} on {table.hostname}"
    worst = max(table.cgroups, key=lambda row: row.lost_cpus, default=None)
    if worst is None or not worst.wait_ns:
        return f"{of}; nobody waited for a CPU."
    word = {Lot.SUFFERS: "suffers", Lot.STARVED: "is starved"}.get(worst.lot, "lost most, which is little")
    return (
        f"{of}; {worst.name} {word}: wanted {cpus(worst.wanted_cpus)} CPUs, got {cpus(worst.got_cpus)}, "
        f"lost {cpus(worst.lost_cpus)} to others."
    )


def cpus(number: float) -> str:
    """A mean number of CPUs."""
    return f"{number:.2f}"


def _sections(table: LiveTable) -> Iterator[ReportSection]:
    counted = any(row.ipc is not None for row in table.cgroups)
    throttled = any(row.throttled_ns_per_s for row in table.cgroups)
    yield Table(
        f"By {table.sort}",
        (
            NAME,
            TableColumn("Lot"),
            *figure_columns("Want", "Got", "Lost"),
            TableColumn("Behind", Kind.NAME),
            *figure_columns(
                "Share", "p99", "Pre/s", *(["IPC"] if counted else []), *(["Thr/s"] if throttled else [])
            ),
        ),
        tuple(_cells(row, counted=counted, throttled=throttled) for row in table.cgroups),
        note="In CPUs: Want, tasks that ran or waited; Got; Lost, what others had of it. Behind is who was waited for "
        "longest, Share its part of the wait. Pre/s is how often others preempted it, Thr/s how long a quota stopped "
        "it, per second. What is normal for this host is in its history (jostle report --history).",
    )
    if table.warnings:
        yield Listing("Warnings", table.warnings)
    if table.unavailable:
        yield unavailable_listing(table.unavailable, WORDS)


def _cells(row: LiveRow, *, counted: bool, throttled: bool) -> tuple[str, ...]:
    return (
        row.name,
        "" if row.lot is Lot.FINE else row.lot,
        cpus(row.wanted_cpus),
        cpus(row.got_cpus),
        cpus(row.lost_cpus),
        waited_for(row.waited_for),
        "" if row.waited_for is None else f"{row.waited_for.share_pct:.0f} %",
        time_ns(row.wait_p99_ns),
        quantity(round(row.preempted_per_s, 1)),
        *([quantity(row.ipc)] if counted else []),
        *([time_ns(row.throttled_ns_per_s)] if throttled else []),
    )
