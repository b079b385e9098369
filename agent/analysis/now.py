"""Who suffers on this host in some windows: behind whom, for which reason, and what to do about it."""

import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from agent.analysis import untracked
from agent.analysis.advice import Advice
from agent.analysis.blame import parts_of
from agent.analysis.top import CROWDED_PART, LEAST_LOST_CPUS, got_ns, longest, lost_to_others_ns, lot_of
from agent.documents.blame import Charge, WaitPart
from agent.documents.now import OTHERS, HostNow, Reason, Sufferer
from agent.documents.top import Lot
from collectors.windows import histogram
from collectors.windows.sched import NS_PER_S, CgroupWindow, SchedWindow, totals

# What is told of: the first is the answer, the others its company.
MOST_SUFFERERS, MOST_BEHIND = 8, 4
# A CPU that ran something for so much of the time is busy; one below the other share has room.
BUSY, HAS_ROOM = 0.9, 0.7


@dataclass(frozen=True, slots=True)
class Placement:
    """Settings of a cgroup: the CPUs its tasks may run on, the tightest quota, its weight and that of an aggressor."""

    allowed: frozenset[int] | None = None
    quota: tuple[str, float] | None = None
    weights: tuple[int, int] | None = None


def host_now(
    hostname: str,
    windows: Sequence[SchedWindow],
    online: Collection[int],
    named: Callable[[str], str],
    placed: Callable[[str, str | None], Placement],
    *,
    partial: bool = False,
) -> HostNow:
    """The verdict on a host.

    Args:
        hostname: Its name.
        windows: What was watched; at least one.
        online: The numbers of its CPUs.
        named: A cgroup's name.
        placed: The settings of a cgroup, and the path of whom it waits for most where that is a cgroup.
        partial: Whether watching ended early.
    """
    whole = _as_one(windows)
    busy = {cpu: whole.cpus[cpu].running for cpu in sorted(online) if cpu < len(whole.cpus)}
    lacking = sorted(_lacking(whole), key=lambda found: (found[1] is Lot.CROWDED, -found[2]))
    untold_ns = CROWDED_PART * LEAST_LOST_CPUS * whole.duration_ns
    return HostNow(
        hostname=hostname,
        cpus=len(online),
        duration_s=whole.duration_ns / NS_PER_S,
        busy_cpus=sum(busy.values()),
        cgroups=len(whole.cgroups),
        sufferers=tuple(
            _sufferer(cgroup, lot, whole, busy, named=named, placed=placed)
            for cgroup, lot, _ in lacking[:MOST_SUFFERERS]
        ),
        untold=tuple(
            sorted(named(path) for path, each in whole.cgroups.items() if each.unattributed_ns > untold_ns)
        ),
        partial=partial,
        warnings=tuple(_warnings(windows)),
    )


def _as_one(windows: Sequence[SchedWindow]) -> SchedWindow:
    """Windows that follow one another as a single one."""
    duration_ns = sum(window.duration_ns for window in windows)

    def mean(cpu: int) -> float:
        return sum(each.cpus[cpu].running * each.duration_ns for each in windows) / duration_ns

    last = windows[-1]
    cpus = tuple(replace(each, running=mean(number)) for number, each in enumerate(last.cpus))
    return replace(last, duration_ns=duration_ns, cgroups=totals(windows), cpus=cpus)


def _lacking(whole: SchedWindow) -> Iterator[tuple[CgroupWindow, Lot, int]]:
    """The cgroups that do not fare well, and the CPU time that each lacks, in ns."""
    for path, cgroup in whole.cgroups.items():
        lost_ns = lost_to_others_ns(cgroup, whole.cgroups)
        lot = lot_of(cgroup, lost_ns, whole.duration_ns)
        if path.startswith("/") and lot is not Lot.FINE:
            yield cgroup, lot, max(lost_ns, cgroup.throttled_ns)


def _sufferer(
    cgroup: CgroupWindow,
    lot: Lot,
    whole: SchedWindow,
    busy: dict[int, float],
    *,
    named: Callable[[str], str],
    placed: Callable[[str, str | None], Placement],
) -> Sufferer:
    first = longest(cgroup, named)
    parts = parts_of(cgroup, named)
    parts = parts if first in parts or first is None else (first, *parts)
    aggressor = next((part for part in parts if part.charge in OTHERS), None)
    place = placed(cgroup.path, aggressor.cgroup if aggressor else None)
    idle = _idle_elsewhere(place, busy)
    kept = parts[:MOST_BEHIND]
    found = Sufferer(
        cgroup=cgroup.path,
        name=named(cgroup.path),
        lot=lot,
        wanted_cpus=(cgroup.run_ns + cgroup.wait_ns) / whole.duration_ns,
        got_cpus=got_ns(cgroup) / whole.duration_ns,
        lost_cpus=lost_to_others_ns(cgroup, whole.cgroups) / whole.duration_ns,
        wait_p99_ns=histogram.percentile_ns(cgroup.histogram, 99),
        behind=kept if aggressor is None or aggressor in kept else (*kept[:-1], aggressor),
        reason=_reason(lot, aggressor, idle, busy),
        advice=(),
        allowed_cpus=None if place.allowed is None else tuple(sorted(place.allowed)),
        idle_cpus=idle,
        quota_cgroup=place.quota[0] if place.quota else None,
        quota_cpus=place.quota[1] if place.quota else None,
        weight=place.weights[0] if place.weights else None,
        others_weight=place.weights[1] if place.weights else None,
    )
    return structs.replace(found, advice=tuple(_advice(found)))


def _idle_elsewhere(place: Placement, busy: dict[int, float]) -> tuple[int, ...]:
    """CPUs with room that its tasks may not run on, where those that they may run on are busy."""
    allowed = [busy[cpu] for cpu in place.allowed or () if cpu in busy]
    if not allowed or sum(allowed) < BUSY * len(allowed):
        return ()
    return tuple(
        cpu for cpu, running in busy.items() if cpu not in (place.allowed or ()) and running < HAS_ROOM
    )


def _reason(lot: Lot, aggressor: WaitPart | None, idle: tuple[int, ...], busy: dict[int, float]) -> Reason:
    if lot is Lot.QUOTA:
        return Reason.QUOTA
    if lot is Lot.CROWDED:
        return Reason.THREADS
    if aggressor is not None and aggressor.charge is Charge.STOLEN:
        return Reason.STEAL
    if idle:
        return Reason.PINNED
    return Reason.FULL if sum(busy.values()) >= BUSY * len(busy) else Reason.MOMENTS


def _advice(found: Sufferer) -> Iterator[str]:
    aggressor = found.aggressor
    # The root cgroup has neither a weight nor a quota.
    is_limitable = aggressor is not None and aggressor.charge is Charge.CGROUP and aggressor.cgroup != "/"
    behind = aggressor.name if aggressor is not None and is_limitable else None
    match found.reason:
        case Reason.PINNED:
            idle, own = (_listed(cpus) for cpus in (found.idle_cpus, found.allowed_cpus or ()))
            yield f"let {found.name} run on CPU {idle} too (cpuset.cpus, AllowedCPUs=, taskset), which has room"
            if behind:
                yield f"or keep {behind} off CPU {own}"
        case Reason.QUOTA:
            yield (
                f"raise the quota of {found.quota_cgroup} (cpu.max, in Kubernetes the CPU limit), "
                f"which is {found.quota_cpus:.2f} CPUs"
                if found.quota_cpus is not None
                else Advice.RAISE_OWN_QUOTA
            )
        case Reason.THREADS:
            yield Advice.FEWER_THREADS
        case Reason.STEAL:
            yield Advice.DEDICATED_HOST
        case Reason.FULL | Reason.MOMENTS:
            yield from _against(found, behind)
    if aggressor is not None and aggressor.cgroup not in {None, "/"} and found.cgroup != "/":
        victim, neighbour = shlex.quote(found.cgroup), shlex.quote(aggressor.cgroup or "")
        yield (
            "to be sure first: jostle experiment "
            f"--victim-cgroup {victim} --neighbour-cgroup {neighbour} --allow-freeze"
        )


def _against(found: Sufferer, behind: str | None) -> Iterator[str]:
    if behind is None:
        yield Advice.ANOTHER_NODE if found.reason is Reason.FULL else Advice.PIN_APART
        return
    if found.weight is not None:
        yield (
            f"give {found.name} more weight than {behind} (now {found.weight} against {found.others_weight}; "
            "cpu.weight, in Kubernetes the CPU request)"
        )
    yield f"give {behind} a quota (cpu.max, in Kubernetes a CPU limit), other CPUs or another host"


def _listed(cpus: Sequence[int]) -> str:
    return ", ".join(map(str, cpus))


def _warnings(windows: Sequence[SchedWindow]) -> Iterator[str]:
    shed = sum("blame" in window.shed for window in windows)
    if shed:
        yield f"in {shed} of {len(windows)} windows it was left out who waited for whom, to keep the overhead budget"
    yield from untracked.warnings(windows)
