"""The self-test's document, schema `jostle.selftest/1`, as frozen records.

A figure that does not apply is None here and `null` in the document: a rate of nothing, the slowdown of an
experiment that failed.
"""

from collections.abc import Mapping

from agent.documents.codec import Document, Record
from agent.documents.verdict import CauseKind, Conclusion
from agent.documents.verdict_parts import Host, Interval


class Label(Record, frozen=True):
    """What is true of a scenario: see `agent.selftest.scenarios.Scenario`."""

    scenario: str
    truth: str
    verdict: Conclusion
    cause: CauseKind | None
    culprit: str | None  # the neighbour's name in a verdict document
    victim: str
    neighbours: tuple[str, ...]

    @property
    def has_effect(self) -> bool:
        """Whether there is something to find."""
        return self.verdict is not Conclusion.NO_INTERFERENCE


class SelftestFinding(Record, frozen=True):
    """What one experiment concluded. `error` says why it could not, and then nothing else is known of it."""

    scenario: str
    seed: int
    duration_s: float
    verdict: Conclusion | None
    reason: str | None
    slowdown_pct: float | None
    ci95_pct: Interval | None
    pairs: int | None
    cause: CauseKind | None
    cause_share_pct: float | None
    culprit: str | None  # named first
    culprit_share_pct: float | None
    error: str | None = None
    trial_noise_pct: float | None = None


class Rate(Record, frozen=True):
    """`hits` out of `trials`, with the interval of Clopper and Pearson; null when there were no trials."""

    name: str
    meaning: str
    hits: int
    trials: int
    pct: float | None
    ci95_pct: Interval | None


class Tally(Record, frozen=True):
    """One scenario: how many of its experiments were right, and in what."""

    scenario: str
    experiments: int
    right_verdict: int
    right_cause: int | None  # of those with the right verdict; null where there is no cause to find
    right_culprit: int | None
    verdicts: Mapping[str, int]
    median_slowdown_pct: float | None
    median_pairs: float | None


class Selftest(Document, frozen=True):
    """A whole self-test, or what was done of it until it was interrupted."""

    SCHEMA = "jostle.selftest/1"

    partial: bool
    planned: int
    seed: int
    repeat: int
    threshold_pct: float
    started: str  # ISO 8601, UTC
    duration_s: float
    jostle_version: str
    host: Host
    rates: tuple[Rate, ...]
    tallies: tuple[Tally, ...]
    labels: tuple[Label, ...]
    findings: tuple[SelftestFinding, ...]
    bystander: bool = False  # one ran beside all experiments, in random bursts
    repeat_nothing: int | None = None  # of scenarios with nothing to find; left out: as `repeat`
    trial_noise_pct: float | None = None  # median over the experiments
    title: str | None = None
    note: str | None = None
