"""A verdict as sections: which of them a reader gets, in which order."""

from collections.abc import Iterator

from agent.documents.verdict import Conclusion, Verdict
from reports.rounding import as_shown
from reports.sections.conclusion import (
    cause_table,
    confirmation_table,
    effect_facts,
    metric_table,
    quality_facts,
    suspect_table,
    sweep_table,
)
from reports.sections.detail import (
    blame_table,
    efficiency_table,
    histogram_table,
    matrix_table,
    pair_table,
    trial_table,
)
from reports.sections.model import Listing, Prose, Report, Section
from reports.sections.origin import (
    COST_WORDS,
    experiment_facts,
    file_table,
    host_facts,
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
    "drawn at random from the seed given below, so that a machine that drifts drifts in both arms. The slowdown is "
    "estimated from the ratios within the blocks, on the logarithmic scale. Its 95 % interval decides: above the "
    "threshold and the noise floor it is interference, wholly within the threshold it is none, and anything else is "
    "inconclusive. The noise floor is how far trials without neighbours differ among themselves. The additional time "
    "is divided by how much longer the victim ran, waited, was throttled or was blocked in the one arm than in the "
    "other; what none of these accounts for is called unexplained.",
)


def verdict_report(verdict: Verdict) -> Report:
    """The sections of a summary, for a terminal."""
    shown = as_shown(verdict)
    sections = (*conclusions(shown), *quality(shown), *advice(shown), *origin(shown))
    return Report(headline(shown), shown.reason, sections)


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
    return Report(headline(shown), shown.reason, sections)


def capacity_report(verdict: Verdict) -> Report:
    """All there is, every trial included, for a report of its own."""
    shown = as_shown(verdict)
    sections = (
        *conclusions(shown),
        *advice(shown),
        *evidence(shown),
        *quality(shown),
        *method(shown),
        *origin(shown),
        *appendix(shown),
    )
    return Report(headline(shown), shown.reason, sections)


def headline(verdict: Verdict) -> str:
    """The verdict in a word or two."""
    return HEADLINES[verdict.verdict] + (" (partial)" if verdict.partial else "")


def conclusions(verdict: Verdict) -> Iterator[Section]:
    """By how much, where the time went, and to whom."""
    yield effect_facts(verdict.effect)
    if verdict.causes:
        yield cause_table(verdict)
    if verdict.aggressors:
        yield suspect_table(verdict)
    if verdict.confirmed:
        yield confirmation_table(verdict)
    if verdict.metrics:
        yield metric_table(verdict)
    if verdict.sweep:
        yield sweep_table(verdict)


def advice(verdict: Verdict) -> Iterator[Section]:
    """What to do about it."""
    if verdict.advice:
        yield Listing("Advice", verdict.advice)


def evidence(verdict: Verdict) -> Iterator[Section]:
    """What the conclusions rest on."""
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


def appendix(verdict: Verdict) -> Iterator[Section]:
    """What is long."""
    if verdict.trials:
        yield trial_table(verdict.trials)


def quality(verdict: Verdict) -> Iterator[Section]:
    """How far to trust it, and what there is not."""
    yield quality_facts(verdict)
    if verdict.quality.warnings:
        yield Listing("Warnings", verdict.quality.warnings)
    if verdict.unavailable:
        yield unavailable_listing(verdict.unavailable, WORDS)


def method(verdict: Verdict) -> Iterator[Section]:
    """How an experiment measures; a comparison of recordings has no such thing to say."""
    if verdict.experiment is not None:
        yield METHOD


def origin(verdict: Verdict) -> Iterator[Section]:
    """What was run where, and how to run it again."""
    if verdict.experiment is not None:
        yield experiment_facts(verdict.experiment)
    if verdict.host is not None:
        yield host_facts(verdict.host)
    if verdict.experiment is not None:
        yield to_repeat(verdict.experiment)
    if verdict.files:
        yield file_table(verdict.files)
