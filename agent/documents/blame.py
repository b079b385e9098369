"""Who one cgroup waited for, schema `jostle.blame/1`: the parts of its wait, which add up to it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.documents.codec import decode, encode

SCHEMA = "jostle.blame/1"


class Charge(StrEnum):
    """What a part of a wait is charged to."""

    CGROUP = "cgroup"
    KERNEL = "kernel"  # kernel threads
    OTHER = "other"  # cgroups that had no slot in the probe
    REST = "rest"  # cgroups that were waited for too little to be told apart
    SELF = "self"  # its own threads
    THROTTLED = "throttled"  # its quota, or an ancestor's
    WAKEUP = "wakeup"  # its CPU was idle, and took that long to begin
    UNATTRIBUTED = "unattributed"  # nobody: what the probe lost track of


@dataclass(frozen=True, slots=True)
class WaitPart:
    """One part of the wait. `preemptions` counts how often that one took the CPU away; null: it has no such count."""

    charge: Charge
    name: str
    wait_ms: float
    share_pct: float
    preemptions: int | None
    cgroup: str | None = None  # its path, where it is a cgroup


@dataclass(frozen=True, slots=True)
class BlameSummary:
    """One cgroup, with all below it as one, over a stretch of time; times are summed over its tasks.

    `parts` are in order of their share; their waits add up to `wait_ms` and their shares to 100.
    """

    cgroup: str
    name: str
    duration_s: float
    tier: str
    run_ms: float
    wait_ms: float
    wait_p99_ns: float | None  # null when it never waited, or the tier keeps no histograms
    preempted: int  # times that another cgroup took the CPU away
    parts: tuple[WaitPart, ...]
    partial: bool
    warnings: tuple[str, ...]
    sampled_pct: float | None = None  # of the wait, shared out by sample; left out: it never waited

    def to_document(self) -> dict[str, Any]:
        """The document, ready for `json.dump`."""
        return encode(self, SCHEMA)

    @classmethod
    def from_document(cls, document: object) -> "BlameSummary":
        """The inverse.

        Raises:
            UsageError: another schema, or a key that is missing or wrong, by name.
        """
        return decode(cls, document, SCHEMA)
