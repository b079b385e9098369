"""A recording as sections: who waited, who ran, who waited for whom, and what lies behind the summary."""

from collections.abc import Callable, Iterator
from itertools import pairwise

from msgspec.structs import replace

from agent.analysis.untracked import sampled_pct
from agent.documents.summary import (
    MOST_CGROUPS,
    MOST_WAITED_FOR,
    CgroupSummary,
    RunDetails,
    RunMatrix,
    RunSummary,
)
from agent.documents.times import clock, zone
from collectors.windows.figures import CONTENTION, SCHED_FIGURES
from reports.figures import (
    TIME_UNITS,
    count,
    counted,
    in_unit,
    mean_number,
    percent,
    quantity,
    ratio_pct,
    seconds,
    shared_unit,
    time_ns,
)
from reports.sections.events import called, event_listing
from reports.sections.evidence import bucket
from reports.sections.model import (
    WARNINGS,
    Facts,
    Kind,
    Listing,
    Prose,
    Report,
    ReportSection,
    Table,
    TableColumn,
    by_column,
    figure_columns,
    figures,
    names,
    times,
    titled,
)
from reports.sections.origin import (
    COST_WORDS,
    counters_part,
    host_facts,
    host_line,
    own_cost,
    unavailable_listing,
)
from reports.sections.run_signals import WORDS as SIGNAL_WORDS
from reports.sections.run_signals import missing_sentences, signal_sections

WORDS = {
    **{spec.name: spec.label for spec in (*SCHED_FIGURES, CONTENTION)},
    "wait_p50_ns": "p50 of the waits",
    "wait_p99_ns": "p99 of the waits",
    "involuntary_foreign": "involuntary switches to others",
    "involuntary_own": "involuntary switches to its own",
    "mean_waiting": "mean number waiting",
    "mean_running": "mean number running",
    **COST_WORDS,
    **SIGNAL_WORDS,
}
OVER_TIME = "Tasks waiting over time"
BY_LENGTH = "Waits for a CPU, by length"
MATRIX = "Who waited for whom, at a glance"
LONGEST = "The cgroups that waited longest."


def run_report(summary: RunSummary) -> Report:
    """The recording's summary, the longest waits first, for a terminal."""
    return _report(replace(summary, details=None))


def full_run_report(summary: RunSummary) -> Report:
    """The summary with what lies behind it, for a review."""
    return _report(summary)


def _report(summary: RunSummary) -> Report:
    first = replace(summary, cgroups=summary.cgroups[:MOST_CGROUPS])
    deciding = (*_left_out(summary), *_deciding(first))
    report = Report(
        _headline(summary),
        _sentence(summary),
        (*deciding, *_further(first)),
        context=_context(summary),
        deciding=len(deciding),
        folded="All further figures: switches, limits, stalls, memory, I/O, CPUs, quality, host",
    )
    return titled(report, summary.title, summary.note)


def _headline(summary: RunSummary) -> str:
    """Of a part of the history, which is judged, what was found when; else that it is a recording."""
    if summary.events is None or summary.since is None or summary.until is None:
        return "Recording (partial)" if summary.partial else "Recording"
    events = counted(len(summary.events), "event") if summary.events else "No event"
    return f"{events}, {summary.since} to {summary.until}"


def _context(summary: RunSummary) -> str:
    when = [f"{summary.since} to {summary.until}"] if summary.since and summary.until else []
    return ", ".join((*when, f"on {host_line(summary.host)}"))


def _left_out(summary: RunSummary) -> Iterator[ReportSection]:
    left = len(summary.cgroups) - MOST_CGROUPS
    if left > 0:
        text = (
            f"The {MOST_CGROUPS} that waited longest are shown; the JSON form of this report has the other "
            f"{count(left)} as well."
        )
        yield Prose("Which cgroups", text)


def _sentence(summary: RunSummary) -> str:
    cgroups = counted(len(summary.cgroups), "cgroup")
    start = f"{seconds(summary.duration_s)} of {cgroups} on {summary.host.hostname}"
    if not summary.cgroups or summary.cgroups[0].wait_ns is None:
        return f"{start}."
    first = summary.cgroups[0]
    return (
        f"{start}; {first.name} waited longest, {time_ns(first.wait_ns)} (p99 {time_ns(first.wait_p99_ns)})."
    )


def _deciding(summary: RunSummary) -> Iterator[ReportSection]:
    if summary.events is not None:
        yield event_listing(summary.events, called(summary.cgroups))
    if summary.warnings:
        yield Listing(WARNINGS, summary.warnings)
    yield wait_table(summary.cgroups)
    yield from detail_sections(summary)
    if any(cgroup.wait_by for cgroup in summary.cgroups):
        yield wait_by_table(summary.cgroups)


def _further(summary: RunSummary) -> Iterator[ReportSection]:
    if summary.details is not None and summary.details.by_length:
        yield _length_table(summary.details)
    yield switch_table(summary.cgroups)
    yield from signal_sections(summary)
    yield quality_facts(summary)
    if summary.unavailable:
        yield unavailable_listing(summary.unavailable, WORDS)
    if gaps := missing_sentences(summary):
        yield Listing("Missing from single windows", gaps)
    yield host_facts(summary.host)


def wait_table(cgroups: tuple[CgroupSummary, ...]) -> Table:
    """How long each cgroup ran and waited, and how many of its tasks did on average."""
    return by_column(
        "Waiting for a CPU",
        names(cgroup.name for cgroup in cgroups),
        times("Wait", (cgroup.wait_ns for cgroup in cgroups)),
        times("p50", (cgroup.wait_p50_ns for cgroup in cgroups)),
        times("p99", (cgroup.wait_p99_ns for cgroup in cgroups)),
        times("Run", (cgroup.run_ns for cgroup in cgroups)),
        figures("Behind others", (ratio_pct(cgroup.contention_ratio) for cgroup in cgroups), percent),
        figures("Waiting", (cgroup.mean_waiting for cgroup in cgroups), mean_number),
        figures("Running", (cgroup.mean_running for cgroup in cgroups), mean_number),
        note="Behind others is the contention ratio: of the CPU time it wanted, quotas apart, the part it waited for "
        "them. Waiting and Running are mean numbers of tasks.",
    )


def switch_table(cgroups: tuple[CgroupSummary, ...]) -> Table:
    """How often each cgroup had to give up the CPU, to whom, and how long its quota stopped it."""
    return by_column(
        "Losing the CPU",
        names(cgroup.name for cgroup in cgroups),
        figures("Switches", (cgroup.switches for cgroup in cgroups), count),
        figures("To others", (cgroup.involuntary_foreign for cgroup in cgroups), count),
        figures("To its own", (cgroup.involuntary_own for cgroup in cgroups), count),
        times("Throttled", (cgroup.throttled_ns for cgroup in cgroups)),
        note="To others and To its own are involuntary switches.",
    )


def wait_by_table(cgroups: tuple[CgroupSummary, ...]) -> Table:
    """Whom each cgroup waited for, and how much of all its waiting was shared out by sample."""
    most = f"Of each, the {MOST_WAITED_FOR} that it waited for longest."
    notes = [
        *([most] if any(len(cgroup.wait_by) > MOST_WAITED_FOR for cgroup in cgroups) else []),
        "By sample is the part of all it waited whose shares are estimates.",
    ]
    rows = [(cgroup, entry) for cgroup in cgroups for entry in cgroup.wait_by[:MOST_WAITED_FOR]]
    name_of = called(cgroups)
    return by_column(
        "Who waited for whom",
        names(cgroup.name for cgroup, _ in rows),
        names((name_of(entry.name) for _, entry in rows), TableColumn("Waited for", Kind.NAME)),
        times("Wait", (entry.wait_ns for _, entry in rows)),
        figures("By sample", (sampled_pct(each.wait_ns, each.sampled_ns) for each, _ in rows), percent),
        note=" ".join(notes),
    )


def waits_unit(cgroups: tuple[CgroupSummary, ...]) -> tuple[float, str]:
    """The unit of `wait_by_table`, its scale first."""
    waits = [entry.wait_ns for cgroup in cgroups for entry in cgroup.wait_by[:MOST_WAITED_FOR]]
    return shared_unit(waits, TIME_UNITS)


def quality_facts(summary: RunSummary) -> Facts:
    """How the recording was made, what is missing from it, and what it cost."""
    return Facts(
        "Quality",
        (
            ("Measured by", summary.tier),
            ("Windows lost", count(summary.lost_windows)),
            ("Own cost", own_cost(summary.self_cost)),
            (
                "Counters' part",
                counters_part(summary.self_cost, summary.unavailable.get("signals.instructions")),
            ),
        ),
    )


def detail_sections(summary: RunSummary) -> Iterator[Table]:
    """What lies behind the summary: waits over time, and by whom; no section where no cgroup waited."""
    details = summary.details
    if details is None or not details.by_length:
        return
    yield _time_table(details, summary.since)
    yield _matrix_table(details.matrix)


def _time_table(details: RunDetails, since: str | None) -> Table:
    def shown(after_s: float) -> str:
        return quantity(after_s) if since is None else clock(since, after_s)

    values = zip(*(cgroup.mean_waiting for cgroup in details.over_time), strict=True)
    return Table(
        OVER_TIME,
        figure_columns(
            *(("From (s)", "To (s)") if since is None else (f"From ({zone(since)})", "To")),
            *(cgroup.name for cgroup in details.over_time),
        ),
        tuple(
            (shown(moment.begin_s), shown(moment.end_s), *map(mean_number, waiting))
            for moment, waiting in zip(details.moments, values, strict=True)
        ),
        note=f"Mean numbers of tasks that waited for a CPU. {LONGEST}",
    )


def _length_table(details: RunDetails) -> Table:
    counts = zip(*(cgroup.waits for cgroup in details.by_length), strict=True)
    borders_ns = pairwise([0.0, *details.edges_ns])
    return Table(
        BY_LENGTH,
        (TableColumn("Length"), *figure_columns(*(cgroup.name for cgroup in details.by_length))),
        tuple(
            (bucket(low_ns, high_ns), *map(count, waits))
            for (low_ns, high_ns), waits in zip(borders_ns, counts, strict=True)
            if any(waits)
        ),
        note=f"Numbers of waits. Lengths that no wait had are left out. {LONGEST}",
    )


def matrix_figures(matrix: RunMatrix) -> tuple[str, Callable[[float], str]]:
    """The one unit that all its cells are in, and how one is shown."""
    scale, unit = shared_unit([wait_ns for row in matrix.wait_ns for wait_ns in row], TIME_UNITS)
    return unit, lambda wait_ns: in_unit(wait_ns, scale)


def _matrix_table(matrix: RunMatrix) -> Table:
    unit, shown = matrix_figures(matrix)
    return Table(
        MATRIX,
        (TableColumn(f"Waiting ({unit})", Kind.NAME), *figure_columns(*matrix.waited_for)),
        tuple((name, *map(shown, row)) for name, row in zip(matrix.waiting, matrix.wait_ns, strict=True)),
        note="Each row waited so long while the cgroup of the column ran on its CPU; in its own column, while its "
        "own threads did.",
    )
