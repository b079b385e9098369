"""What a verdict concludes, as sections: the figures a reader sees and their words."""

from agent.documents.verdict import Effect, Verdict
from reports.figures import UNAVAILABLE, count, counted, interval, p_value, percent, quantity
from reports.sections.model import CGROUP, NAME, Column, Facts, Kind, Table, figure_columns
from reports.sections.origin import own_cost

INTERVAL = Column("95 % interval", Kind.FIGURE)


def effect_facts(effect: Effect | None) -> Facts:
    """The primary metric's effect with its interval, the noise floor and the threshold."""
    if effect is None:
        return Facts("Effect", (("Slowdown", UNAVAILABLE),))
    return Facts(
        "Effect",
        (
            ("Slowdown", percent(effect.slowdown_pct)),
            ("95 % interval", interval(effect.ci95_pct)),
            ("Evidence", f"{counted(effect.pairs, 'pair')}, p = {p_value(effect.p_value)}"),
            ("Metric", f"{effect.metric}, {effect.better} is better"),
            ("Without neighbours", quantity(effect.without, effect.unit)),
            ("With neighbours", quantity(effect.with_, effect.unit)),
            ("Noise floor", percent(effect.noise_floor_pct)),
            ("Threshold", percent(effect.threshold_pct)),
        ),
    )


def cause_table(verdict: Verdict) -> Table:
    """Where the additional time went."""
    return Table(
        "Where the additional time went",
        (Column("Cause"), Column("Share", Kind.FIGURE), INTERVAL),
        tuple(
            (entry.cause, percent(entry.share_pct), interval(entry.ci95_pct) if entry.ci95_pct else "")
            for entry in verdict.causes
        ),
        bars_pct=tuple(entry.share_pct for entry in verdict.causes),
    )


def suspect_table(verdict: Verdict) -> Table:
    """Who it was lost to."""
    return Table(
        "Suspects",
        (Column("Share", Kind.FIGURE), Column("Cause"), NAME, CGROUP),
        tuple(
            (percent(entry.share_pct), entry.cause, entry.name, entry.cgroup)
            for number, entry in enumerate(verdict.aggressors)
            if entry.share_pct or number == 0
        ),
    )


def confirmation_table(verdict: Verdict) -> Table:
    """What stopping each suspect alone gave back."""
    return Table(
        "Each suspect stopped alone",
        (*figure_columns("Effect"), INTERVAL, *figure_columns("Pairs"), NAME, CGROUP),
        tuple(
            (
                percent(entry.slowdown_pct),
                interval(entry.ci95_pct),
                count(entry.pairs),
                entry.name,
                entry.cgroup,
            )
            for entry in verdict.confirmed or ()
        ),
    )


def metric_table(verdict: Verdict) -> Table:
    """The further metrics."""
    return Table(
        "Further metrics",
        (Column("Metric"), *figure_columns("Without", "With", "Slowdown"), INTERVAL, *figure_columns("p")),
        tuple(
            (
                f"{entry.name} ({entry.unit}, {entry.better} is better)",
                quantity(entry.without),
                quantity(entry.with_),
                percent(entry.slowdown_pct),
                interval(entry.ci95_pct),
                p_value(entry.p_value),
            )
            for entry in verdict.metrics or ()
        ),
        note="p-values are corrected for the number of metrics.",
    )


def sweep_table(verdict: Verdict) -> Table:
    """The slowdown at each intensity of the neighbours, and the CPUs they kept busy where that is known."""
    points = verdict.sweep or ()
    measured = any(point.used_cpus is not None for point in points)
    return Table(
        "Slowdown by intensity of the neighbours",
        (
            *figure_columns("Intensity", *(["CPUs used"] if measured else []), "Slowdown"),
            INTERVAL,
            *figure_columns("Curve"),
        ),
        tuple(
            (
                percent(point.level_pct),
                *([quantity(point.used_cpus)] if measured else []),
                percent(point.slowdown_pct),
                interval(point.ci95_pct),
                percent(point.fitted_pct),
            )
            for point in points
        ),
        note="The curve is the one nearest to all levels that falls nowhere.",
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
