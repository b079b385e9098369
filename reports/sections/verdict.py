"""A verdict as sections: what it concludes, and which sections a reader gets, in which order."""

from collections.abc import Iterator
from dataclasses import replace

from agent.documents.metric import changed, changed_between
from agent.documents.verdict import Compared, Conclusion, Effect, Verdict
from reports.figures import (
    UNAVAILABLE,
    as_shown,
    change,
    change_interval,
    count,
    counted,
    interval,
    p_value,
    percent,
    quantity,
)
from reports.sections.answer import verdict_answer
from reports.sections.evidence import (
    blame_table,
    efficiency_table,
    histogram_table,
    judged,
    matrix_table,
    pair_table,
    trial_table,
)
from reports.sections.model import (
    CGROUP,
    NAME,
    Facts,
    Kind,
    Listing,
    Prose,
    Report,
    ReportSection,
    Table,
    TableColumn,
    figure_columns,
    titled,
)
from reports.sections.origin import (
    COST_WORDS,
    experiment_facts,
    file_table,
    host_facts,
    host_line,
    own_cost,
    to_repeat,
    unavailable_listing,
)

HEADLINES = {
    Conclusion.INTERFERENCE: "Interference",
    Conclusion.NO_INTERFERENCE: "No interference",
    Conclusion.SELF_INFLICTED: "Self-inflicted",
    Conclusion.INCONCLUSIVE: "Inconclusive",
}
WORDS = {
    "effect": "effect",
    "effect.without": "figure without neighbours",
    "effect.with": "figure with neighbours",
    "effect.slowdown_pct": "slowdown",
    "effect.ci95_pct": "95 % interval",
    "effect.p_value": "p-value",
    "effect.noise_floor_pct": "noise floor",
    "quality.blame_residual_pct": "blame residual",
    "self_cost": "own cost",
    **COST_WORDS,
}
METHOD = Prose(
    "Method",
    "Trials ran in blocks, each with one trial of the victim beside its neighbours and one without them, in an order "
    "drawn at random from the seed given below, so that a machine that drifts drifts in both arms. The slowdown (of a "
    "rate, of the time that a unit of work takes) is estimated from the ratios within the blocks, on the logarithmic "
    "scale. Its 95 % interval decides: above the threshold and the noise floor it is interference, wholly within the "
    "threshold it is none, and anything else is inconclusive. The noise floor is how far trials without neighbours "
    "differ among themselves. The additional time is divided by how much longer the victim ran, waited, was throttled "
    "or was blocked in the one arm than in the "
    "other; what none of these accounts for is called unexplained.",
)
COMPARED: dict[Compared | None, tuple[str, str, str]] = {
    None: ("pair", "Without neighbours", "With neighbours"),
    Compared.RECORDINGS: ("window", "First recording", "Second recording"),
    Compared.WINDOWS: ("comparison", "Tenant quiet", "Tenant busy"),
}
"""What an effect counts, and what its two figures are of."""
INTERVAL = TableColumn("95 % interval", Kind.FIGURE)


def verdict_report(verdict: Verdict) -> Report:
    """The sections of a summary, for a terminal."""
    shown = as_shown(verdict)
    sections = (*conclusions(shown), *quality(shown), *advice(shown), *origin(shown))
    return _report(shown, sections)


def full_report(verdict: Verdict) -> Report:
    """The summary's sections with the evidence and the method, for an issue or a review comment."""
    shown = as_shown(verdict)
    sections = (
        *conclusions(shown),
        *evidence(shown),
        *quality(shown),
        *method(shown),
        *advice(shown),
        *origin(shown),
    )
    return _report(shown, sections)


def capacity_report(verdict: Verdict) -> Report:
    """All there is, every trial included, for a page of its own: first what decides, then what bears it out."""
    shown = as_shown(verdict)
    deciding = (*conclusions(shown), *advice(shown), *quality(shown))
    further = (*evidence(shown), *method(shown), *origin(shown), *appendix(shown))
    return replace(
        _report(shown, (*deciding, *further)),
        deciding=len(deciding),
        folded="What bears it out: evidence, method, host, files, every trial",
    )


def _report(shown: Verdict, sections: tuple[ReportSection, ...]) -> Report:
    report = Report(headline(shown), shown.reason, sections, verdict_answer(shown), context(shown))
    return titled(report, shown.title, shown.note)


def context(verdict: Verdict) -> str:
    """Which victim, beside whom, on which host and when, as far as the document tells."""
    ran = verdict.experiment
    parts = [
        *([ran.victim, f"beside {', '.join(ran.neighbours)}"] if ran is not None else []),
        *([f"on {host_line(verdict.host)}"] if verdict.host is not None else []),
        *([f"at {ran.started}"] if ran is not None else []),
    ]
    return " ".join(parts)


def headline(verdict: Verdict) -> str:
    """The verdict in a word or two."""
    return HEADLINES[verdict.verdict] + (" (partial)" if verdict.partial else "")


def conclusions(verdict: Verdict) -> Iterator[ReportSection]:
    """The sections that say how large the effect is, where the time went, and to whom."""
    yield effect_facts(verdict.effect)
    if verdict.causes:
        yield cause_table(verdict)
    if verdict.blocked:
        yield blocked_table(verdict)
    if verdict.aggressors:
        yield suspect_table(verdict)
    if verdict.confirmed:
        yield confirmation_table(verdict)
    if verdict.metrics:
        yield metric_table(verdict)
    if verdict.sweep:
        yield sweep_table(verdict)


def advice(verdict: Verdict) -> Iterator[ReportSection]:
    """A list of what to try, where anything is known."""
    if verdict.advice:
        yield Listing("Advice", verdict.advice)


def evidence(verdict: Verdict) -> Iterator[ReportSection]:
    """The sections that the conclusions rest on: pairs, blame, waits."""
    if verdict.pairs:
        yield pair_table(verdict)
    if verdict.efficiency is not None:
        yield efficiency_table(verdict.efficiency)
    if verdict.blame:
        yield blame_table(verdict)
    if verdict.matrix is not None and verdict.matrix.waited_for:
        yield matrix_table(verdict.matrix)
    if verdict.histograms is not None:
        yield histogram_table(verdict.histograms)


def appendix(verdict: Verdict) -> Iterator[ReportSection]:
    """The long section: every trial."""
    if verdict.trials:
        yield trial_table(verdict.trials)


def quality(verdict: Verdict) -> Iterator[ReportSection]:
    """How far the figures can be trusted, the warnings, and which figures are not available."""
    yield quality_facts(verdict)
    if verdict.quality.warnings:
        yield Listing("Warnings", verdict.quality.warnings)
    if verdict.unavailable:
        yield unavailable_listing(verdict.unavailable, WORDS)


def method(verdict: Verdict) -> Iterator[ReportSection]:
    """How an experiment measures; a comparison of recordings has no such thing to say."""
    if verdict.experiment is not None:
        yield METHOD


def origin(verdict: Verdict) -> Iterator[ReportSection]:
    """What was run on which host, and how to run it again."""
    if verdict.experiment is not None:
        yield experiment_facts(verdict.experiment)
    if verdict.host is not None:
        yield host_facts(verdict.host)
    if verdict.experiment is not None:
        yield to_repeat(verdict.experiment)
    if verdict.files:
        yield file_table(verdict.files)


def effect_facts(effect: Effect | None) -> Facts:
    """The primary metric's effect with its interval, the noise floor and the threshold."""
    if effect is None:
        return Facts("Effect", (("Slowdown", UNAVAILABLE),))
    unit, without, with_ = COMPARED[effect.compared]
    what, better = judged(effect)
    return Facts(
        "Effect",
        (
            (what, change(effect.slowdown_pct, better)),
            ("95 % interval", change_interval(effect.ci95_pct, better)),
            ("Evidence", f"{counted(effect.pairs, unit)}, p = {p_value(effect.p_value)}"),
            ("Metric", f"{effect.metric}, {effect.better} is better"),
            (without, quantity(effect.without, effect.unit)),
            (with_, quantity(effect.with_, effect.unit)),
            ("Noise floor", change(effect.noise_floor_pct, better)),
            ("Threshold", change(effect.threshold_pct, better)),
        ),
    )


def cause_table(verdict: Verdict) -> Table:
    """The causes of the additional time, with their shares and intervals."""
    return Table(
        "Where the additional time went",
        (TableColumn("Cause"), TableColumn("Share", Kind.FIGURE), INTERVAL),
        tuple(
            (entry.cause, percent(entry.share_pct), interval(entry.ci95_pct) if entry.ci95_pct else "")
            for entry in verdict.causes
        ),
        bars_pct=tuple(entry.share_pct for entry in verdict.causes),
    )


def blocked_table(verdict: Verdict) -> Table:
    """What the victim slept on, in both arms."""
    return Table(
        "What the victim slept on",
        (
            TableColumn("On"),
            *figure_columns("Without s", "With s"),
            TableColumn("Held by"),
            TableColumn("What"),
        ),
        tuple(
            (row.on, quantity(row.without_s), quantity(row.with_s), row.holder or "", row.what or "")
            for row in verdict.blocked or ()
        ),
        note="Per trial, by looking every few milliseconds while none of its tasks ran or waited for a CPU.",
    )


def suspect_table(verdict: Verdict) -> Table:
    """The suspects, with the share of the additional time and the cause that each is charged with."""
    return Table(
        "Suspects",
        (TableColumn("Share", Kind.FIGURE), TableColumn("Cause"), NAME, CGROUP),
        tuple(
            (percent(entry.share_pct), entry.cause, entry.name, entry.cgroup)
            for number, entry in enumerate(verdict.aggressors)
            if entry.share_pct or number == 0
        ),
    )


def confirmation_table(verdict: Verdict) -> Table:
    """What stopping each suspect alone gave back."""
    _, better = judged(verdict.effect)
    return Table(
        "Each suspect stopped alone",
        (*figure_columns("Effect"), INTERVAL, *figure_columns("Pairs"), NAME, CGROUP),
        tuple(
            (
                change(entry.slowdown_pct, better),
                change_interval(entry.ci95_pct, better),
                count(entry.pairs),
                entry.name,
                entry.cgroup,
            )
            for entry in verdict.confirmed or ()
        ),
    )


def metric_table(verdict: Verdict) -> Table:
    """The effects on the metrics after the first."""
    return Table(
        "Further metrics",
        (
            TableColumn("Metric"),
            *figure_columns("Without", "With", "Change"),
            INTERVAL,
            *figure_columns("p"),
        ),
        tuple(
            (
                f"{entry.name} ({entry.unit}, {entry.better} is better)",
                quantity(entry.without),
                quantity(entry.with_),
                changed(entry.slowdown_pct, entry.better),
                UNAVAILABLE if entry.ci95_pct is None else changed_between(entry.ci95_pct, entry.better),
                p_value(entry.p_value),
            )
            for entry in verdict.metrics or ()
        ),
        note="p-values are corrected for the number of metrics.",
    )


def sweep_table(verdict: Verdict) -> Table:
    """The slowdown at each intensity of the neighbours, and the CPUs they kept busy where that is known."""
    points = verdict.sweep or ()
    what, better = judged(verdict.effect)
    measured = any(point.used_cpus is not None for point in points)
    return Table(
        "Slowdown by intensity of the neighbours",
        (
            *figure_columns("Intensity", *(["CPUs used"] if measured else []), what),
            INTERVAL,
            *figure_columns("Curve"),
        ),
        tuple(
            (
                percent(point.level_pct),
                *([quantity(point.used_cpus)] if measured else []),
                change(point.slowdown_pct, better),
                change_interval(point.ci95_pct, better),
                change(point.fitted_pct, better),
            )
            for point in points
        ),
        note="The curve is the one nearest to all levels along which the victim fares better nowhere.",
    )


def quality_facts(verdict: Verdict) -> Facts:
    """How far the figures can be trusted, and what measuring cost."""
    quality = verdict.quality
    return Facts(
        "Quality",
        (
            ("Trust", "good" if quality.ok else "doubtful"),
            ("Measured by", quality.tier),
            ("Blame residual", percent(quality.blame_residual_pct)),
            *_by_sample(quality.blame_sampled_pct),
            ("Discarded", count(quality.discarded)),
            ("Hardware counters", quality.pmu),
            ("Own cost", own_cost(verdict.self_cost)),
        ),
    )


def _by_sample(pct: float | None) -> tuple[tuple[str, str], ...]:
    return () if pct is None else (("Blame by sample", percent(pct)),)
