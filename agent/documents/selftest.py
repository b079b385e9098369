"""The self-test's document, schema `jostle.selftest/1`, as frozen records.

A figure that does not apply is None here and `null` in the document: a rate of nothing, the slowdown of an
experiment that failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.documents.codec import decode, encode
from agent.documents.verdict import CauseKind, Conclusion
from agent.documents.verdict_parts import Host, Interval

SCHEMA = "jostle.selftest/1"


@dataclass(frozen=True, slots=True)
class Label:
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


@dataclass(frozen=True, slots=True)
class SelftestFinding:
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


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` out of `trials`, with the interval of Clopper and Pearson; null when there were no trials."""

    name: str
    meaning: str
    hits: int
    trials: int
    pct: float | None
    ci95_pct: Interval | None


@dataclass(frozen=True, slots=True)
class Tally:
    """One scenario: how many of its experiments were right, and in what."""

    scenario: str
    experiments: int
    right_verdict: int
    right_cause: int | None  # of those with the right verdict; null where there is no cause to find
    right_culprit: int | None
    verdicts: Mapping[str, int]
    median_slowdown_pct: float | None
    median_pairs: float | None


@dataclass(frozen=True, slots=True)
class Selftest:
    """A whole self-test, or what was done of it until it was interrupted."""

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

    def to_document(self) -> dict[str, Any]:
        """The document, ready for `json.dump`."""
        return encode(self, SCHEMA)

    @classmethod
    def from_document(cls, document: object) -> "Selftest":
        """The self-test that a parsed JSON document describes.

        Raises:
            UsageError: another schema, or a key that is missing or wrong, by name.
        """
        return decode(cls, document, SCHEMA)
