"""Findings against labels: how often the verdict, the cause and the culprit were right."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import expm1, log
from statistics import NormalDist, median

from agent.documents.selftest import Label, Rate, SelftestFinding, Tally
from agent.documents.verdict import Conclusion
from agent.statistics.intervals import proportion

# What calls for action; the other two conclusions do not.
ALARMS = frozenset({Conclusion.INTERFERENCE, Conclusion.SELF_INFLICTED})

TRUE_POSITIVES = "true positives"
FALSE_POSITIVES = "false positives"
CLEARED = "cleared"
CULPRIT = "culprit"
CAUSE = "cause"

MEANINGS = {
    TRUE_POSITIVES: "of the experiments with something to find: concluded as labelled",
    FALSE_POSITIVES: "of those with nothing to find: concluded interference or self-inflicted",
    CLEARED: "of those with nothing to find: concluded no-interference (the rest was inconclusive)",
    CULPRIT: "of the interference found: the right neighbour named first",
    CAUSE: "of what was found: the right cause has the largest share",
}


def rates(labels: Iterable[Label], findings: Sequence[SelftestFinding]) -> tuple[Rate, ...]:
    """The five rates. An experiment that failed counts as not concluded: it is never right."""
    by_name = {label.scenario: label for label in labels}
    pairs = [(by_name[finding.scenario], finding) for finding in findings]
    effects = [(label, found) for label, found in pairs if label.has_effect]
    nothing = [found for label, found in pairs if not label.has_effect]
    found = [(label, finding) for label, finding in effects if finding.verdict is label.verdict]
    counted = {
        TRUE_POSITIVES: (len(found), len(effects)),
        FALSE_POSITIVES: (sum(each.verdict in ALARMS for each in nothing), len(nothing)),
        CLEARED: (sum(each.verdict is Conclusion.NO_INTERFERENCE for each in nothing), len(nothing)),
        CULPRIT: _right([(label.culprit, each.culprit) for label, each in found]),
        CAUSE: _right([(label.cause, each.cause) for label, each in found]),
    }
    return tuple(rate(name, MEANINGS[name], *counts) for name, counts in counted.items())


def tallies(labels: Iterable[Label], findings: Sequence[SelftestFinding]) -> tuple[Tally, ...]:
    """Each scenario that was run, in the order of the labels."""
    by_name: dict[str, list[SelftestFinding]] = {}
    for finding in findings:
        by_name.setdefault(finding.scenario, []).append(finding)
    return tuple(_tally(label, by_name[label.scenario]) for label in labels if label.scenario in by_name)


def trial_noise_pct(values: Sequence[float]) -> float | None:
    """By how much trials that ought to be alike differ: a robust spread in per cent; None of a single one."""
    if len(values) < 2:
        return None
    logs = [log(value) for value in values]
    away = [abs(each - median(logs)) for each in logs]
    return 100 * expm1(median(away) / NormalDist().inv_cdf(0.75))


def _tally(label: Label, findings: Sequence[SelftestFinding]) -> Tally:
    found = [finding for finding in findings if finding.verdict is label.verdict]
    slowdowns = [finding.slowdown_pct for finding in findings if finding.slowdown_pct is not None]
    pairs = [finding.pairs for finding in findings if finding.pairs is not None]
    return Tally(
        scenario=label.scenario,
        experiments=len(findings),
        right_verdict=len(found),
        right_cause=None if label.cause is None else sum(f.cause is label.cause for f in found),
        right_culprit=None if label.culprit is None else sum(f.culprit == label.culprit for f in found),
        verdicts=dict(Counter(str(finding.verdict or "failed") for finding in findings)),
        median_slowdown_pct=median(slowdowns) if slowdowns else None,
        median_pairs=median(pairs) if pairs else None,
    )


def _right(pairs: Iterable[tuple[str | None, str | None]]) -> tuple[int, int]:
    """(right, all) of the (label, finding) that have a label."""
    labelled = [(label, finding) for label, finding in pairs if label is not None]
    return sum(label == finding for label, finding in labelled), len(labelled)


def rate(name: str, meaning: str, hits: int, trials: int) -> Rate:
    """A rate with its exact interval; both are None where there was no trial."""
    if not trials:
        return Rate(name, meaning, hits, trials, None, None)
    measured = proportion(hits, trials)
    return Rate(name, meaning, hits, trials, measured.pct, measured.ci95_pct)
