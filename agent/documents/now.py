"""Who suffers on a host right now, behind whom, and what to do: schema `jostle.now/1`."""

from enum import StrEnum

from agent.documents.blame import Charge, WaitPart
from agent.documents.codec import Document, Record
from agent.documents.top import NO_HISTORY, Lot, Usual

OTHERS = frozenset({Charge.CGROUP, Charge.KERNEL, Charge.OTHER, Charge.REST, Charge.STOLEN})
"""What somebody else is that a cgroup waits for."""
# Who has less of the wait for others is one of many: a limit on it alone would give next to nothing back.
LEAST_CULPRIT_PART = 0.25


class Reason(StrEnum):
    """Why it waits, as far as its settings and the CPUs tell."""

    PINNED = "pinned"  # the CPUs that its tasks may run on are busy, while another is not
    FULL = "full"  # all CPUs are busy
    MOMENTS = "moments"  # CPUs were idle: tasks met on one of them at moments
    QUOTA = "quota"
    THREADS = "threads"  # its own
    STEAL = "steal"


class Sufferer(Record, frozen=True):
    """One cgroup, what it lacks, whom it waits for (the longest first), and what holds it there."""

    cgroup: str
    name: str
    lot: Lot
    wanted_cpus: float
    got_cpus: float
    lost_cpus: float
    wait_p99_ns: float | None  # null: none of its waits ended
    behind: tuple[WaitPart, ...]
    reason: Reason
    advice: tuple[str, ...]
    allowed_cpus: tuple[int, ...] | None = None  # left out: none of its tasks could be asked
    idle_cpus: tuple[int, ...] = ()  # that its tasks may not run on
    quota_cgroup: str | None = None  # whose quota is the tightest, its own or an ancestor's
    quota_cpus: float | None = None
    weight: int | None = None  # its share of the CPUs against that of whom it waits for most
    others_weight: int | None = None
    had_pct: float | None = None  # of the CPU time that the two had who compete by these weights
    promised_pct: float | None = None  # of the same, by the weights
    is_below_promise: bool | None = None  # it wanted more than it had, and had clearly less than promised
    usual: Usual | None = None  # what it usually loses; left out: the history does not tell
    confirm: tuple[str, ...] = ()  # the words of a command that makes sure of it; left out: none would

    @property
    def aggressor(self) -> WaitPart | None:
        """The one other than itself that it waited for longest."""
        return next((part for part in self.behind if part.charge in OTHERS), None)

    @property
    def waits_for_many(self) -> bool:
        """Whether even the one that it waited for longest has little of its wait for others."""
        others_pct = 100 - sum(part.share_pct for part in self.behind if part.charge not in OTHERS)
        return self.aggressor is not None and self.aggressor.share_pct < LEAST_CULPRIT_PART * others_pct


class HostNow(Document, frozen=True):
    """A host over some seconds.

    `sufferers` are in order of the CPU time they lack: last who have what their weight promises, and who crowd
    themselves.

    `untold` are cgroups that waited, nobody knows for whom: without them a host where nobody suffers is no all-clear.
    """

    SCHEMA = "jostle.now/1"

    hostname: str
    cpus: int
    duration_s: float
    busy_cpus: float
    cgroups: int
    sufferers: tuple[Sufferer, ...]
    untold: tuple[str, ...]
    partial: bool
    warnings: tuple[str, ...]
    history: str = NO_HISTORY  # what `usual` is from
