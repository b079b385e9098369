"""One window of the live table as sections: the answer of `jostle top --once`."""

from collections.abc import Iterator

from agent.documents.top import LiveRow, LiveTable
from reports.figures import counted, quantity, seconds, time_ns
from reports.live import wait_per_run
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
    "wait_per_run": "wait per second of run",
    "wait_p50_ns": "p50 of the waits",
    "wait_p99_ns": "p99 of the waits",
    "preempted_by": "preempted by",
    "ipc": "instructions per cycle",
}


def top_report(table: LiveTable) -> Report:
    """Every cgroup of the window, in its order."""
    return Report("Top", _sentence(table), tuple(_sections(table)))


def _sentence(table: LiveTable) -> str:
    of = f"{seconds(table.duration_s)} of {counted(len(table.cgroups), 'cgroup')} on {table.hostname}"
    worst = max(table.cgroups, key=lambda row: row.wait_ns, default=None)
    if worst is None or not worst.wait_ns:
        return f"{of}; nobody waited for a CPU."
    return f"{of}; {worst.name} waited longest, {time_ns(worst.wait_ns)} (p99 {time_ns(worst.wait_p99_ns)})."


def _sections(table: LiveTable) -> Iterator[ReportSection]:
    counted = any(row.ipc is not None for row in table.cgroups)
    yield Table(
        f"By {table.sort}",
        (
            NAME,
            *figure_columns("Wait/s", "p50", "p99", "Preempted"),
            TableColumn("By", Kind.NAME),
            *figure_columns("Queue", *(["IPC"] if counted else []), "Throttled"),
        ),
        tuple(_cells(row, counted=counted) for row in table.cgroups),
        note="Wait/s is the wait per second of run, Queue the mean number of tasks that waited; Preempted and "
        "Throttled are per second.",
    )
    if table.warnings:
        yield Listing("Warnings", table.warnings)
    if table.unavailable:
        yield unavailable_listing(table.unavailable, WORDS)


def _cells(row: LiveRow, *, counted: bool) -> tuple[str, ...]:
    return (
        row.name,
        wait_per_run(row),
        time_ns(row.wait_p50_ns),
        time_ns(row.wait_p99_ns),
        quantity(round(row.preempted_per_s, 1)),
        row.preempted_by or "",
        quantity(round(row.mean_waiting, 2)),
        *([quantity(row.ipc)] if counted else []),
        time_ns(row.throttled_ns_per_s),
    )
