"""Answers about a fleet as sections: the answer in up to three sentences, then a table for each question."""

from collections.abc import Iterator, Mapping
from shlex import quote

from agent.documents.fleet import FleetAnswer, FleetAnswers, FleetCell
from agent.documents.times import moment
from reports.figures import UNAVAILABLE, count, counted, percent, quantity
from reports.sections.model import (
    Facts,
    Kind,
    Listing,
    Report,
    ReportSection,
    ShellCommand,
    Table,
    TableColumn,
    titled,
)

_WORDS = {
    "cost_cpu_h": "CPU-hours waited for it",
    "aggressor_owner": "Its owner",
    "victim_owner": "Victim's owner",
    "share_pct": "Share",
    "contention_h": "Behind others (h)",
    "own_limits_h": "Own limits (h)",
    "own_threads_h": "Own threads (h)",
    "contention_pct": "Contention",
    "p99_ms": "Wait p99 (ms)",
    "util_pct": "Utilisation from",
    "knee_pct": "Missed from",
    "missed": "Objective",
    "cpus": "CPUs",
    "cpu_model": "CPU model",
    "limit_cpus": "Limit (CPUs)",
    "mean_wanted_cpus": "Wanted on average",
    "most_wanted_cpus": "Wanted at most",
    "money_a_month": "Money a month",
    "above_h": "Above its share (h)",
    "above_pct": "Of its run time",
    "low_pct": "At least",
    "high_pct": "At most",
    "lost_h": "Lost (h)",
    "hosts_elsewhere": "Hosts elsewhere",
    "changed_s": "Since",
    "first_s": "First hour",
    "last_s": "Last hour",
    "cost_h": "Cost (h)",
}
_NAMES = frozenset(
    {
        "workload",
        "owner",
        "aggressor",
        "aggressor_owner",
        "victim",
        "victim_owner",
        "suspect",
        "host",
        "arm",
        "kernel",
    }
)
_NARROW = {
    "aggressors": ("aggressor", "cost_cpu_h", "share_pct", "victims", "hosts"),
    "victims": ("workload", "contention_h", "contention_pct", "p99_ms", "mostly"),
    "slower": ("workload", "host", "slower_pct", "low_pct", "high_pct"),
    "knee": ("cpu_model", "util_pct", "p99_ms", "contention_pct", "missed"),
    "moves": ("victim", "aggressor", "remedy", "cpus", "money_a_month"),
    "above": ("owner", "above_h", "above_pct", "hosts"),
    "limits": ("workload", "throttled_pct", "limit_cpus", "most_wanted_cpus"),
    "change": ("arm", "index", "other", "low", "high", "hosts"),
    "weeks": ("workload", "last_week_pct", "this_week_pct", "changed_s"),
    "incidents": ("victim", "suspect", "incidents", "hours", "cost_cpu_h"),
    "coverage": ("host", "reported_pct", "lost_windows", "last_s"),
}
"""The columns that bear an answer, which have room in 80 characters."""
_TEXTS = frozenset({"cpu_model", "mostly", "remedy", "missed", "cause", "shed"})


def fleet_report(found: FleetAnswers, *, narrow: bool = False) -> Report:
    """The report of one question, or of a review; `narrow`: with the columns that have room in 80 characters."""
    sections: list[ReportSection] = [table(answer, narrow=narrow) for answer in found.answers]
    sections += [
        Listing("Method", tuple(_methods(found))),
        Facts("Coverage", tuple(_coverage(found))),
        ShellCommand("To ask again", tuple(quote(word) for word in found.command)),
    ]
    headline = "Fleet review" if found.summary else found.answers[0].title
    covered = found.coverage
    context = f"{counted(covered.hosts, 'host')}, {covered.since} to {covered.until}"
    sentence = (found.summary or (found.answers[0].sentence,))[0]
    report = Report(headline, sentence, tuple(sections), answer=found.summary or (sentence,), context=context)
    return titled(report, found.title, found.note)


def table(answer: FleetAnswer, *, narrow: bool = False) -> Table:
    """The rows of one answer."""
    shown = _NARROW[answer.question] if narrow else answer.columns
    columns = tuple(TableColumn(heading(name), _kind(name)) for name in shown)
    rows = tuple(tuple(cell(name, row[name]) for name in shown) for row in answer.rows)
    left = answer.rows_in_all - len(answer.rows)
    more = f" {counted(left, 'row')} more; --limit shows them." if left else ""
    more += " More columns in a terminal of 120." if len(shown) < len(answer.columns) else ""
    return Table(answer.title, columns, rows, f"{answer.sentence}{more}")


def heading(name: str) -> str:
    """Of a column, with its unit where the cells have none."""
    if name in _WORDS:
        return _WORDS[name]
    plain = name.replace("_", " ").capitalize()
    if name.endswith("_h"):
        return f"{plain[:-2]} (h)"
    return plain.removesuffix(" pct")


def cell(name: str, value: FleetCell) -> str:
    """A figure by its unit, which ends its name."""
    if isinstance(value, str):
        return value
    if value is None:
        return UNAVAILABLE
    if name.endswith("_pct"):
        return percent(value)
    if name.endswith("_s"):
        return moment(value)
    return count(value) if isinstance(value, int) else quantity(value)


def _kind(name: str) -> Kind:
    if name in _NAMES:
        return Kind.NAME
    return Kind.TEXT if name in _TEXTS or name.endswith("_s") else Kind.FIGURE


def _methods(found: FleetAnswers) -> Iterator[str]:
    for answer in found.answers:
        yield f"{answer.title} {answer.method}"
    yield "Sums are added over hosts and hours; percentiles are taken of added histograms, never averaged."


def _coverage(found: FleetAnswers) -> Iterator[tuple[str, str]]:
    covered = found.coverage
    yield "Time", f"{covered.since} to {covered.until}"
    yield "Hosts", count(covered.hosts)
    yield "Host-hours", quantity(covered.host_hours)
    yield "Windows lost before they were shipped", count(covered.lost_windows)
    yield "Only", ", ".join(found.conditions) or "all"
    yield "Objective", f"p99 of a wait for a CPU within {quantity(found.objective_ms)} ms"
    yield "Answered by", f"{found.engine}, from {counted(covered.files, 'file')}"


def rows_of(found: FleetAnswers, question: str) -> tuple[Mapping[str, FleetCell], ...]:
    """The rows of an answer; none where it was not asked."""
    return next((answer.rows for answer in found.answers if answer.question == question), ())
