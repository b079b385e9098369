"""The gates before a neighbour is blamed: what else may explain that a cgroup waits.

Each looks at the windows beyond the limit, added up, and says in one sentence what it found. A tenant's name in a
sentence stands as it is: who prints it escapes it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.documents.event import EventCause, GateFinding
from collectors.windows.sched import NS_PER_S, REST, CgroupWindow, by_culprit

# A part of the wait explains an event when it is the greater half.
_GREATER_HALF_PCT = 50.0
# Its own load is up when it runs this much more than usual, and by no less than this share of a CPU.
_LOAD_UP_RATIO = 1.5
_LOAD_UP_CPUS = 0.05
# Beyond this share of its running, what the hypervisor and interrupts take delays everyone on the host.
_STEAL_PCT = 10.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A victim in the windows beyond the limit.

    Attributes:
        cgroup: All of them together.
        seconds: Their length together.
        baseline_cpus: How many CPUs it usually keeps busy; None: not known yet.
        stolen_pct: Of all running on the host, what the hypervisor and interrupts took.
        ipc: Instructions per cycle in the latest of them; None: not counted.
        baseline_ipc: The usual ones; None: not known.
        blame_left_out: In the latest of them the probe did not tell whom anybody waited for, to keep its budget.
        name_of: What to call a cgroup in a sentence.
    """

    cgroup: CgroupWindow
    seconds: float
    baseline_cpus: float | None
    stolen_pct: float
    blame_left_out: bool = False
    name_of: Callable[[str], str] = str
    ipc: float | None = None
    baseline_ipc: float | None = None


# Names the cgroup whose quota binds a cgroup, and the quota in CPUs; None where that cannot be told.
FindQuota = Callable[[str], tuple[str, float] | None]


BLAME_LEFT_OUT = GateFinding(
    "blame", None, "to keep its budget the probe had left out whom it waited for in the latest window"
)


def pass_gates(
    evidence: Evidence, find_quota: FindQuota
) -> tuple[EventCause | None, tuple[GateFinding, ...]]:
    """The first explanation other than a neighbour, if there is one, and what every gate found."""
    found = list(_all(evidence, find_quota))
    cause = next((cause for cause, finding in found if finding.explains), None)
    return cause, tuple(finding for _, finding in found)


def _all(evidence: Evidence, find_quota: FindQuota) -> Iterator[tuple[EventCause, GateFinding]]:
    yield EventCause.THROTTLED, throttling(evidence, find_quota)
    yield EventCause.OWN_LOAD, own_threads(evidence)
    yield EventCause.OWN_LOAD, own_load(evidence)
    yield EventCause.STEAL, steal(evidence)
    if evidence.cgroup.waited_for:
        yield EventCause.NEIGHBOURS, others(evidence)
    if evidence.blame_left_out:
        yield EventCause.UNKNOWN, BLAME_LEFT_OUT


def throttling(evidence: Evidence, find_quota: FindQuota) -> GateFinding:
    """Whether a quota, its own or an ancestor's, was what it waited for."""
    share_pct = _share_pct(evidence.cgroup.throttled_ns, evidence.cgroup.wait_ns)
    if not share_pct:
        return GateFinding("throttling", False, "no quota held it back")  # noqa: FBT003  the record says what it is
    quota = find_quota(evidence.cgroup.path)
    if quota is None:
        whose = "a quota of its own or of an ancestor"
    else:
        owner = (
            "its own quota"
            if quota[0] == evidence.cgroup.path
            else f"the quota of {evidence.name_of(quota[0])}"
        )
        whose = f"{owner}, {quota[1]:g} CPUs"
    return GateFinding(
        "throttling", share_pct > _GREATER_HALF_PCT, f"{share_pct:.0f} % of its wait was for {whose}"
    )


def own_threads(evidence: Evidence) -> GateFinding:
    """Whether it waited behind itself."""
    share_pct = _share_pct(evidence.cgroup.self_ns, evidence.cgroup.wait_ns)
    text = f"{share_pct:.0f} % of its wait was behind its own threads"
    return GateFinding("own-threads", share_pct > _GREATER_HALF_PCT, text)


def own_load(evidence: Evidence) -> GateFinding:
    """Whether it wanted more than usual: whoever is slowed through caches runs longer for the same work.

    Where instructions are counted they are the work.
    """
    cpus = evidence.cgroup.run_ns / NS_PER_S / evidence.seconds
    baseline = evidence.baseline_cpus
    if baseline is None:
        return GateFinding(
            "own-load", None, f"it kept {cpus:.2f} CPUs busy, and what is usual is not known yet"
        )
    up = cpus > baseline * _LOAD_UP_RATIO and cpus > baseline + _LOAD_UP_CPUS
    text = f"it kept {cpus:.2f} CPUs busy, usually {baseline:.2f}"
    if up and evidence.ipc is not None and evidence.baseline_ipc is not None:
        up = cpus * evidence.ipc > baseline * evidence.baseline_ipc * _LOAD_UP_RATIO
        text += f", at {evidence.ipc:.2f} instructions per cycle, usually {evidence.baseline_ipc:.2f}"
    elif up:
        text += "; whether for more work, or slowed through caches, could not be told without counted instructions"
    return GateFinding("own-load", up, text)


def steal(evidence: Evidence) -> GateFinding:
    """Whether the host itself was short of CPU time."""
    text = f"{evidence.stolen_pct:.1f} % of all running went to the hypervisor and interrupts"
    return GateFinding("steal", evidence.stolen_pct > _STEAL_PCT, text)


def others(evidence: Evidence) -> GateFinding:
    """How much of the wait was for others, and for whom most; it explains nothing, as it may be so all day."""
    waits = {name: wait.wait_ns for name, wait in by_culprit(evidence.cgroup).waited_for.items()}
    text = f"{others_pct(evidence.cgroup) or 0:.0f} % of its wait was for others"
    named = sorted((name for name in waits if name != REST), key=lambda name: (-waits[name], name))
    if named and waits[named[0]]:
        share_pct = _share_pct(waits[named[0]], evidence.cgroup.wait_ns)
        text += f", most for {evidence.name_of(named[0])} ({share_pct:.0f} %)"
    return GateFinding("others", False, text)  # noqa: FBT003  the record says what it is


def others_pct(cgroup: CgroupWindow) -> float | None:
    """How much of a cgroup's wait was for others, kernel threads among them; None: it never waited."""
    if not cgroup.wait_ns:
        return None
    return _share_pct(cgroup.others_ns, cgroup.wait_ns)


def _share_pct(part_ns: int, whole_ns: int) -> float:
    return 100 * part_ns / whole_ns if whole_ns else 0.0
