"""Who one cgroup waited for, schema `jostle.blame/1`: the parts of its wait, which add up to it."""

from enum import StrEnum

from agent.documents.codec import Document, Record
from agent.documents.tasks import TaskShare


class Charge(StrEnum):
    """What a part of a wait is charged to."""

    CGROUP = "cgroup"
    KERNEL = "kernel"  # kernel threads
    OTHER = "other"  # cgroups that had no slot in the probe
    REST = "rest"  # cgroups that were waited for too little to be told apart
    SELF = "self"  # its own threads
    THROTTLED = "throttled"  # its quota, or an ancestor's
    WAKEUP = "wakeup"  # its CPU was idle, and took that long to begin
    STOLEN = "stolen"  # the hypervisor: time on a CPU that it took, which is no wait and in no `BlameSummary`
    UNATTRIBUTED = "unattributed"  # nobody: what the probe lost track of


class WaitPart(Record, frozen=True):
    """One part of the wait. `preemptions` counts how often that one took the CPU away; null: it has no such count.

    `within` names the busiest processes of the root cgroup, or kernel threads, by CPU time in the same stretch; left
    out where it is neither, or nobody looked.
    """

    charge: Charge
    name: str
    wait_ms: float
    share_pct: float
    preemptions: int | None
    cgroup: str | None = None  # its path, where it is a cgroup
    within: tuple[TaskShare, ...] | None = None


class BlameSummary(Document, frozen=True):
    """One cgroup, with all below it as one, over a stretch of time; times are summed over its tasks.

    `parts` are in order of their share; their waits add up to `wait_ms` and their shares to 100.
    """

    SCHEMA = "jostle.blame/1"

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
    advice: tuple[str, ...] = ()  # empty: it lacks nothing, or the tier does not tell
    sampled_pct: float | None = None  # of the wait, shared out by sample; left out: it never waited
