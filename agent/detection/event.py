"""What a detector found, schema `jostle.event/1`: for the journal, the history and the metrics."""

from dataclasses import dataclass
from typing import Any

from agent.documents import decode, encode

SCHEMA = "jostle.event/1"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A neighbour, and its share of what the victim waited for neighbours."""

    cgroup: str
    share_pct: float


@dataclass(frozen=True, slots=True)
class Event:
    """One cgroup's signal has left where it belongs, for long enough to be told.

    `baseline` is what the method compared `value` with; None where it compares with a fixed limit. `suspects` is
    empty when the gates found that no neighbour is to be blamed, and `findings` says why, one sentence each.
    """

    utc_ns: int  # end of the window that raised it
    victim: str
    signal: str
    method: str
    baseline: float | None
    value: float
    suspects: tuple[Suspect, ...]
    findings: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """The document, ready for `json.dump`."""
        return encode(self, SCHEMA)

    @classmethod
    def from_document(cls, document: object) -> "Event":
        """The event that a parsed JSON document describes; raises UsageError as `documents.decode` does."""
        return decode(cls, document, SCHEMA)
