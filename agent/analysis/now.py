"""Who suffers on this host in some windows: behind whom, for which reason, and what to do about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from agent.analysis import untracked
from agent.analysis.blame import parts_of, with_tasks
from agent.analysis.placement import (
    BUSY,
    UNKNOWN,
    HostSettings,
    Placement,
    idle_elsewhere,
    user_of_quota,
)
from agent.analysis.top import (
    CROWDED_PART,
    LEAST_LOST_CPUS,
    got_ns,
    longest,
    lost_to_others_ns,
    lot_of,
    run_ns_within,
)
from agent.documents.blame import Charge, WaitPart
from agent.documents.now import OTHERS, HostNow, Reason, Sufferer
from agent.documents.tasks import NOBODY_KNOWN, TasksWithin
from agent.documents.top import NO_HISTORY, Lot, Usual
from collectors.host.resolver import matches
from collectors.windows import histogram
from collectors.windows.entitlement import share_of
from collectors.windows.sched import NS_PER_S, CgroupWindow, SchedWindow, by_culprit, subtree, totals

# What is told of: the first is the answer, the others its company.
MOST_SUFFERERS, MOST_BEHIND = 8, 4


@dataclass(frozen=True, slots=True)
class Watched:
    """What was watched as one window, how busy each CPU online was, and what is known of those who were seen.

    Attributes:
        whole: The windows as one.
        runs: How long each cgroup ran with all below it, in ns.
        busy: By CPU, the share of the time in which it ran something.
        named: A cgroup's name.
        settings: The host's.
        tasks: Who ran within the root cgroup and the kernel.
        warnings: What a reader should know of the windows.
    """

    whole: SchedWindow
    runs: Mapping[str, int]
    busy: Mapping[int, float]
    named: Callable[[str], str]
    settings: HostSettings
    tasks: TasksWithin
    warnings: tuple[str, ...]


def watched(
    windows: Sequence[SchedWindow],
    named: Callable[[str], str],
    settings: HostSettings = UNKNOWN,
    tasks: TasksWithin = NOBODY_KNOWN,
) -> Watched:
    """What was watched in windows that follow one another; at least one."""
    whole = _as_one(windows)
    busy = {
        cpu: each.running
        for cpu, each in enumerate(whole.cpus)
        if settings.online is None or cpu in settings.online
    }
    runs = run_ns_within(whole.cgroups)
    return Watched(whole, runs, busy, named, settings, tasks, tuple(_warnings(windows)))


def host_now(
    hostname: str,
    seen: Watched,
    *,
    patterns: Sequence[str] = (),
    usual: tuple[Mapping[str, Usual], str] = ({}, NO_HISTORY),
    partial: bool = False,
) -> HostNow:
    """The verdict on a host.

    Args:
        hostname: Its name.
        seen: What was watched.
        patterns: Only the cgroups that match one of these, as `resolver.matches` has it; without any, all.
        usual: What each cgroup usually loses, where that is known, and what that is from.
        partial: Whether watching ended early.
    """
    whole = seen.whole
    meant = {path: each for path, each in whole.cgroups.items() if not patterns or matches(path, patterns)}
    lacking = sorted(_lacking(meant, seen), key=lambda found: (found[1] is Lot.CROWDED, -found[2]))
    # Who has what its weight promises and wants more comes after those who have less: they may suffer from it. And the
    # root cgroup is whatever nobody placed, and no one's: it comes after those who are somebody.
    told = sorted(
        (_sufferer(cgroup, lot, seen) for cgroup, lot, _ in lacking[: 2 * MOST_SUFFERERS]),
        key=lambda each: (each.lot is Lot.CROWDED, each.cgroup == "/", each.is_below_promise is False),
    )
    untold_ns = CROWDED_PART * LEAST_LOST_CPUS * whole.duration_ns
    return HostNow(
        hostname=hostname,
        cpus=len(seen.busy),
        duration_s=whole.duration_ns / NS_PER_S,
        busy_cpus=sum(seen.busy.values()),
        cgroups=len(meant),
        sufferers=tuple(
            structs.replace(each, usual=usual[0].get(each.cgroup)) for each in told[:MOST_SUFFERERS]
        ),
        untold=tuple(
            sorted(seen.named(path) for path, each in meant.items() if each.unattributed_ns > untold_ns)
        ),
        history=usual[1],
        partial=partial,
        warnings=seen.warnings,
    )


def advice_for(path: str, seen: Watched) -> tuple[str, ...]:
    """What to do for a cgroup with all below it; empty where it lacks nothing."""
    cgroup = subtree(seen.whole.cgroups, path)
    lost_ns = lost_to_others_ns(cgroup, seen.runs)
    lot = lot_of(cgroup, lost_ns, seen.whole.duration_ns)
    return () if lot is Lot.FINE else _sufferer(cgroup, lot, seen).advice


def _as_one(windows: Sequence[SchedWindow]) -> SchedWindow:
    """Windows that follow one another as a single one, with the waits charged to culprits."""
    duration_ns = sum(window.duration_ns for window in windows)

    def mean(cpu: int) -> float:
        return sum(each.cpus[cpu].running * each.duration_ns for each in windows) / duration_ns

    last = windows[-1]
    cpus = tuple(replace(each, running=mean(number)) for number, each in enumerate(last.cpus))
    cgroups = {path: by_culprit(cgroup) for path, cgroup in totals(windows).items()}
    return replace(last, duration_ns=duration_ns, cgroups=cgroups, cpus=cpus)


def _lacking(meant: Mapping[str, CgroupWindow], seen: Watched) -> Iterator[tuple[CgroupWindow, Lot, int]]:
    """The cgroups that do not fare well, and the CPU time that each lacks, in ns."""
    for cgroup in meant.values():
        lost_ns = lost_to_others_ns(cgroup, seen.runs)
        lot = lot_of(cgroup, lost_ns, seen.whole.duration_ns)
        if lot is not Lot.FINE:
            yield cgroup, lot, max(lost_ns, cgroup.throttled_ns)


def _sufferer(cgroup: CgroupWindow, lot: Lot, seen: Watched) -> Sufferer:
    whole, named = seen.whole, seen.named
    first, parts = longest(cgroup, named), parts_of(cgroup, named)
    parts = parts if first in parts or first is None else (first, *parts)
    parts = tuple(with_tasks(part, seen.tasks, whole.cgroups) for part in parts)
    aggressor = next((part for part in parts if part.charge in OTHERS), None)
    by = aggressor.cgroup if aggressor else None
    place = seen.settings.of(cgroup.path, by)
    share = None if by is None else share_of(place.weights, cgroup.path, by, whole.cgroups)
    idle = idle_elsewhere(place, seen.busy)
    kept = parts[:MOST_BEHIND]
    found = Sufferer(
        cgroup=cgroup.path,
        name=named(cgroup.path),
        lot=lot,
        wanted_cpus=(cgroup.run_ns + cgroup.wait_ns) / whole.duration_ns,
        got_cpus=got_ns(cgroup) / whole.duration_ns,
        lost_cpus=lost_to_others_ns(cgroup, seen.runs) / whole.duration_ns,
        wait_p99_ns=histogram.percentile_ns(cgroup.histogram, 99),
        behind=kept if aggressor is None or aggressor in kept else (*kept[:-1], aggressor),
        reason=_reason(lot, aggressor, idle, seen.busy),
        advice=(),
        allowed_cpus=None if place.allowed is None else tuple(sorted(place.allowed)),
        idle_cpus=idle,
        quota_cgroup=place.quota[0] if place.quota else None,
        quota_cpus=place.quota[1] if place.quota else None,
        weight=place.weights[0] if place.weights else None,
        others_weight=place.weights[1] if place.weights else None,
        had_pct=None if share is None else 100 * share.had,
        promised_pct=None if share is None else 100 * share.promised,
        is_below_promise=None if share is None else share.is_below,
    )
    return structs.replace(found, advice=tuple(_advice(found, place, seen)), confirm=_confirming(found))


def _reason(lot: Lot, aggressor: WaitPart | None, idle: tuple[int, ...], busy: Mapping[int, float]) -> Reason:
    if lot is Lot.QUOTA:
        return Reason.QUOTA
    if lot is Lot.CROWDED:
        return Reason.THREADS
    if aggressor is not None and aggressor.charge is Charge.STOLEN:
        return Reason.STEAL
    if idle:
        return Reason.PINNED
    return Reason.FULL if sum(busy.values()) >= BUSY * len(busy) else Reason.MOMENTS


def _advice(found: Sufferer, place: Placement, seen: Watched) -> Iterator[str]:
    match found.reason:
        case Reason.PINNED:
            idle, own = (_listed(cpus) for cpus in (found.idle_cpus, found.allowed_cpus or ()))
            yield f"let {found.name} run on CPU {idle} too (cpuset.cpus, AllowedCPUs=, taskset), which has room"
            if found.aggressor and _is_limitable(found.aggressor) and not found.waits_for_many:
                yield f"or keep {found.aggressor.name} off CPU {own}"
        case Reason.QUOTA:
            yield from _for_quota(found, place, seen)
        case Reason.THREADS:
            yield f"run fewer threads in {found.name}, or give it more CPUs: it waits for itself"
        case Reason.STEAL:
            yield "ask for dedicated CPUs, or another host: the hypervisor gave these to other guests"
        case Reason.FULL | Reason.MOMENTS:
            yield from _against(found)


def _confirming(found: Sufferer) -> tuple[str, ...]:
    """An experiment freezes two cgroups and no others, so that they are told by their paths."""
    aggressor = found.aggressor
    if aggressor is None or found.waits_for_many or aggressor.cgroup in {None, "/"} or found.cgroup == "/":
        return ()
    both = ("--victim-cgroup", found.cgroup, "--neighbour-cgroup", aggressor.cgroup or "")
    return ("jostle", "experiment", *both, "--allow-freeze")


def _is_limitable(aggressor: WaitPart) -> bool:
    """The root cgroup has neither a weight nor a quota, and kernel threads have none at all."""
    return aggressor.charge is Charge.CGROUP and aggressor.cgroup != "/"


def _for_quota(found: Sufferer, place: Placement, seen: Watched) -> Iterator[str]:
    if place.quota is None:
        yield f"look for a larger quota for {found.name}, or for what it lies in: the one that held it is gone"
        return
    owner, limit = place.quota
    yield f"raise the quota of {owner} (cpu.max, in Kubernetes the CPU limit), which is {limit:.2f} CPUs"
    user = None if owner == found.cgroup else user_of_quota(owner, found.cgroup, seen.whole.cgroups)
    if user is not None:
        used = user.run_ns / seen.whole.duration_ns
        yield f"or limit {seen.named(user.path)}, which lies in it too and used {used:.2f} CPUs of it"


def _against(found: Sufferer) -> Iterator[str]:
    """Sides are taken by what the weights promise: who has less needs no larger promise, but the other a limit."""
    aggressor = found.aggressor
    if found.waits_for_many:
        yield _against_no_cgroup(found, None)
        return
    if aggressor is None or not _is_limitable(aggressor):
        yield _against_no_cgroup(found, aggressor)
        return
    limit = f"give {aggressor.name} a quota (cpu.max, in Kubernetes a CPU limit), other CPUs or another host"
    if found.weight is None:
        yield limit
        return
    weigh = (
        f"give {found.name} more weight than {aggressor.name} (now {found.weight} against {found.others_weight}; "
        "cpu.weight, in Kubernetes the CPU request)"
    )
    yield from (limit, weigh) if found.is_below_promise else (weigh, limit)


def _against_no_cgroup(found: Sufferer, aggressor: WaitPart | None) -> str:
    busiest = aggressor.within[0] if aggressor is not None and aggressor.within else None
    who = "the busiest" if busiest is None else f"{busiest.name} (PID {busiest.pid})"
    match aggressor.charge if aggressor is not None else None:
        case Charge.CGROUP:  # the root
            return (
                f"move {who}, which runs in the root cgroup, into one with a lower weight or a quota "
                "(systemd-run --scope -p CPUWeight=20 …), or to other CPUs (taskset)"
            )
        case Charge.KERNEL:
            return f"kernel threads have no limit: look at what makes {who} work, and which CPUs it may use"
    if found.reason is Reason.FULL:
        return "place some of the tenants on another host: all CPUs are busy, with many a little each"
    return f"give {found.name} CPUs of its own (cpuset.cpus, in Kubernetes the static CPU manager policy)"


def _listed(cpus: Sequence[int]) -> str:
    return ", ".join(map(str, cpus))


def _warnings(windows: Sequence[SchedWindow]) -> Iterator[str]:
    shed = sum("blame" in window.shed for window in windows)
    if shed:
        yield f"in {shed} of {len(windows)} windows it was left out who waited for whom, to keep the overhead budget"
    yield from untracked.warnings(windows)
