"""What a recording adds up to, per cgroup, schema `jostle.summary/1`: the records that reports render.

An unavailable figure is None, and `unavailable` maps the name of its field (`wait_p99_ns`, or
`self_cost.cpu_pct`) to the reason, once for the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.documents import decode, encode, null_keys
from agent.verdict.context import Host
from agent.verdict.records import SelfCost

SCHEMA = "jostle.summary/1"


@dataclass(frozen=True, slots=True)
class WaitBy:
    """How long a cgroup waited while this one ran on its CPU."""

    name: str
    wait_ns: int


@dataclass(frozen=True, slots=True)
class CgroupSummary:
    """One cgroup over the whole recording. The times are summed over its tasks."""

    path: str
    name: str
    run_ns: int | None
    wait_ns: int | None  # runnable, but not running
    wait_p50_ns: float | None
    wait_p99_ns: float | None
    switches: int | None
    involuntary_foreign: int | None  # switched away from for a task of another cgroup
    involuntary_own: int | None  # switched away from for a task of its own
    throttled_ns: int | None
    mean_waiting: float | None  # tasks, over time: wait time by wall time (Little's law)
    mean_running: float | None  # tasks, over time: CPUs kept busy
    wait_by: tuple[WaitBy, ...]  # the longest first


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A whole recording, the cgroup that waited longest first."""

    duration_s: float
    host: Host
    tier: str
    cgroups: tuple[CgroupSummary, ...]
    self_cost: SelfCost
    lost_windows: int
    partial: bool
    warnings: tuple[str, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        silent = sorted(_nulls(self) - self.unavailable.keys())
        if silent:
            raise ValueError(f"{silent[0]} is null and unavailable gives no reason")

    def to_document(self) -> dict[str, Any]:
        """The document, ready for `json.dump`."""
        return encode(self, SCHEMA)

    @classmethod
    def from_document(cls, document: object) -> "RunSummary":
        """The summary that a parsed JSON document describes; unknown keys are ignored.

        Raises:
            UsageError: another schema, or a key that is missing or wrong, by name.
        """
        return decode(cls, document, SCHEMA)


def _nulls(summary: RunSummary) -> set[str]:
    columns = {key for cgroup in summary.cgroups for key in null_keys(cgroup)}
    return columns | {f"self_cost.{key}" for key in null_keys(summary.self_cost)}
