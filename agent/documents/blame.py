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


class DiskBlame(Record, frozen=True):
    """What a cgroup had of one disk. `parts` are whom the disk served while its requests waited and were served.

    They add up to `queue_ms` and `service_ms`, summed over its requests.
    """

    disk: str
    reads: int
    writes: int
    read_bytes: int
    written_bytes: int
    queue_ms: float  # until the disk began
    service_ms: float
    parts: tuple[WaitPart, ...]


class NetworkBlame(Record, frozen=True):
    """What a cgroup had of one network device's queue. `parts` are whose packets were sent while its own waited.

    They add up to `queue_ms`, summed over its packets. Where many packets are sent all but the last two are estimates.
    """

    device: str  # its name, with its network namespace where that is not the host's; `tcp`: of no device
    packets: int
    bytes: int
    queue_ms: float
    parts: tuple[WaitPart, ...]
    dropped: int  # that the queue had no room for
    retransmits: int  # segments that TCP sent again


class MemoryPart(Record, frozen=True):
    """Memory that was reclaimed as one cgroup needed more."""

    charge: Charge
    name: str
    reclaimed_bytes: int
    share_pct: float
    cgroup: str | None = None  # its path, where it is a cgroup


class MemoryBlame(Record, frozen=True):
    """Whose need had memory reclaimed within limits that hold for a cgroup: its own, and those that it shares.

    `parts` are of the limits that it shares, an ancestor's or the host's; the largest first.
    """

    own_limit_bytes: int  # reclaimed within a limit of its own
    reclaiming_ms: float  # that its tasks were at it
    parts: tuple[MemoryPart, ...]


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
    disks: tuple[DiskBlame, ...] | None = None  # left out: it had no requests, or nobody looked
    networks: tuple[NetworkBlame, ...] | None = (
        None  # left out: it sent nothing through a queue, or nobody looked
    )
    memory: MemoryBlame | None = None  # left out: none was reclaimed within its limits, or nobody looked
    sampled_pct: float | None = None  # of the wait, shared out by sample; left out: it never waited
