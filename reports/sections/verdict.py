"""A verdict as sections: what it concludes, and which sections a reader gets, in which order."""

from collections.abc import Iterator
from dataclasses import replace

from agent.documents.metric import NOT_KNOWN, changed, changed_between, tells_nothing
from agent.documents.verdict import Compared, Conclusion, Effect, Verdict, unseen
from agent.documents.verdict_parts import AppliedTreatment
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
    capacity_facts,
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
    "scale, for the typical trial (the pseudo-median) and for the mean. Interference is an interval of either above "
    "the threshold, or more failures beside the neighbours than chance explains. It is none where the typical slowdown "
    "lies wholly within the threshold, the mean below it, and next to no trial can be slow. Anything else is "
    "inconclusive. The noise floor is half the interval's width. The additional time is divided by how much longer "
    "the victim ran, waited, was throttled or was blocked in the one arm than in the other; what none of these "
    "accounts for is called unexplained.",
)
METHOD_OF_SLOTS = Prose(
    "Method",
    "The neighbours ran on but for short slots, in blocks: in one slot of each block, at a place drawn at random, they "
    "were treated; the slot behind it and the moment after each change count for neither side; all other slots are "
    "what they are compared with. The blocks in which each place was treated once make a pair, on the logarithmic "
    "scale; pairs that resemble one another are put together. The interval of the pairs decides as in trials. The "
    "p-value places the treated slots anew, as the design could have.",
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
    if verdict.capacity:
        yield capacity_facts(verdict.capacity)
    if verdict.failures:
        yield failure_table(verdict)
    if verdict.causes:
        yield cause_table(verdict)
    if verdict.blocked:
        yield blocked_table(verdict)
    if verdict.aggressors or unseen(verdict):
        yield suspect_table(verdict)
    if verdict.remedies:
        yield remedy_table(verdict)
        yield Listing(
            "To keep a remedy",
            tuple(f"{row.remedy}: {line}" for row in verdict.remedies for line in row.apply),
        )
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
    if verdict.treatment is not None:
        yield METHOD_OF_SLOTS
        yield treatment_facts(verdict.treatment)
    elif verdict.experiment is not None:
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
            ("Evidence", evidence_of(effect, unit)),
            ("Metric", f"{effect.metric}, {effect.better} is better"),
            (without, quantity(effect.without, effect.unit)),
            (with_, quantity(effect.with_, effect.unit)),
            ("Noise floor", _noise_floor(effect)),
            ("Threshold", change(effect.threshold_pct, better)),
            *_mean(effect),
            *_left_out(effect),
            *(
                ()
                if effect.slow_trials_pct is None
                else (("Slow trials", f"at most {percent(effect.slow_trials_pct)}"),)
            ),
        ),
    )


def _noise_floor(effect: Effect) -> str:
    """Half of the interval, and as little known where that tells nothing."""
    if effect.ci95_pct is not None and tells_nothing(effect.ci95_pct):
        return NOT_KNOWN
    return change(effect.noise_floor_pct, effect.better)


def evidence_of(effect: Effect, unit: str) -> str:
    """How many pairs, and p; where all went one way p is the least that so many can have, and says no more."""
    pairs = counted(effect.pairs, unit)
    if effect.slower_pairs == effect.pairs > 1:
        return f"all {effect.pairs} of {pairs} slower"
    return f"{pairs}, p = {p_value(effect.p_value)}"


def _mean(effect: Effect) -> tuple[tuple[str, str], ...]:
    mean = effect.mean
    if mean is None or effect.estimand == "mean":
        return (("Estimand", "the mean"),) if mean else ()
    is_known = mean.seen_most_pct is not None and not tells_nothing((0.0, mean.seen_most_pct))
    seen = f"; of trials like these at most {change(mean.seen_most_pct)}" if is_known else ""
    longer = "longer" if mean.slowdown_pct >= 0 else "shorter"
    told = f"{change(abs(mean.slowdown_pct))} {longer} ({change_interval(mean.ci95_pct)}{seen})"
    return (("Mean time", told),)


def _left_out(effect: Effect) -> tuple[tuple[str, str], ...]:
    if effect.taken_pct is None:
        return ()
    without, with_ = map(percent, effect.taken_pct)
    return (
        (
            "Left out",
            f"what bystanders took: {without} of the time without the neighbours, {with_} with them",
        ),
    )


def failure_table(verdict: Verdict) -> Table:
    """What failed in both arms."""
    return Table(
        "What failed",
        (TableColumn("What"), *figure_columns("Without", "With", "p")),
        tuple(
            (row.what, quantity(row.without), quantity(row.with_), p_value(row.p_value))
            for row in verdict.failures or ()
        ),
        note="p is exact, of no more failures with the neighbours, and corrected for the number of kinds.",
    )


def treatment_facts(treatment: AppliedTreatment) -> Facts:
    """What was done to the neighbours while they ran."""
    return Facts(
        "What was done to the neighbours",
        (
            ("Treatment", treatment.kind),
            ("Slots", count(treatment.slots)),
            ("Longest", f"{quantity(treatment.longest_stop_ms, 'ms')}"),
            ("Of the time", percent(treatment.stopped_pct)),
            ("Guard", quantity(treatment.guard_ms, "ms")),
            ("All as before", "yes" if treatment.restored else "no"),
        ),
    )


def remedy_table(verdict: Verdict) -> Table:
    """What each remedy gives back, and what it takes, the best first."""
    _, better = judged(verdict.effect)
    columns = figure_columns("Gives back"), figure_columns("Pairs", "Neighbour's CPUs", "With it")
    return Table(
        "Remedies",
        (TableColumn("Remedy"), *columns[0], INTERVAL, *columns[1]),
        tuple(
            (
                row.remedy,
                change(row.slowdown_pct, better),
                change_interval(row.ci95_pct, better),
                count(row.pairs),
                quantity(row.neighbour_cpus_without),
                quantity(row.neighbour_cpus_with),
            )
            for row in verdict.remedies or ()
        ),
        note="By how much the victim is slower without it. The intervals hold together with 95 %.",
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
    """The suspects, with the share of the additional time, the cause that each is charged with, and how it is known.

    Also each cause behind which nobody is known.
    """
    charged = (
        (
            percent(entry.share_pct),
            interval(entry.ci95_pct) if entry.ci95_pct else "",
            entry.cause,
            entry.witness or "",
            entry.name,
            entry.cgroup,
        )
        for number, entry in enumerate(verdict.aggressors)
        if entry.share_pct or number == 0
    )
    further = "--confirm" if verdict.experiment is not None else "an experiment"
    nobody = "nobody was seen" if verdict.confirmed else f"nobody was seen; {further} would find out"
    return Table(
        "Suspects",
        (
            TableColumn("Share", Kind.FIGURE),
            INTERVAL,
            TableColumn("Cause"),
            TableColumn("Known by"),
            NAME,
            CGROUP,
        ),
        (*charged, *(("", "", cause.cause, "", nobody, "") for cause in unseen(verdict))),
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
        note=" ".join(["p-values are corrected for the number of metrics.", *_latency_notes(verdict)]),
    )


def _latency_notes(verdict: Verdict) -> Iterator[str]:
    metrics = verdict.metrics or ()
    if any(entry.requests for entry in metrics):
        yield "Percentiles without and with are of all requests together, the change is by pairs."
    if any(entry.closed_loop for entry in metrics):
        yield (
            "Coordinated omission: the tool sends nothing while it waits, so a stall counts as one slow request; "
            "send at a fixed rate (wrk2, pgbench -R, sysbench --rate) to see what users see."
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
