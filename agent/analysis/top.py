"""What `jostle top` shows: the rows of one window, and the last minute of each cgroup's waiting."""

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from msgspec.structs import replace

from agent.analysis import untracked
from agent.analysis.blame import parts_of, with_tasks
from agent.documents.blame import Charge, WaitPart
from agent.documents.tasks import NOBODY_KNOWN, TasksWithin
from agent.documents.top import NO_HISTORY, LiveRow, LiveTable, Lot, Sort, Usual, ordered
from collectors.host.hierarchy import lineage
from collectors.host.readings import Missing
from collectors.host.resolver import matches
from collectors.windows import counters, histogram
from collectors.windows.devices import device_figures
from collectors.windows.figures import DeviceFigures
from collectors.windows.sched import NS_PER_MS, NS_PER_S, CgroupWindow, SchedWindow, by_culprit
from probes.snapshot import Snapshot

DID_NOT_WAIT = "a cgroup of which no wait ended in this window has no such wait"
NEVER_WAITED = "a cgroup that never waited"
# Who loses less than a hundredth of a CPU, or than a tenth of what it would have, does not suffer: a word is no figure.
LEAST_LOST_CPUS, LEAST_LOST_PART = 0.01, 0.1
STARVED_PART, CROWDED_PART = 0.9, 0.5
MINUTE_S = 60.0
# Fewer windows of a history make no percentile.
LEAST_WINDOWS = 20


def live_table(  # noqa: D417  the first four are what they are called
    hostname: str,
    window: SchedWindow,
    sort: Sort,
    named: Callable[[str], str],
    ipc: Mapping[str, float] | Missing,
    *,
    patterns: Sequence[str] = (),
    usual: tuple[Mapping[str, Usual], str] = ({}, NO_HISTORY),
    tasks: TasksWithin = NOBODY_KNOWN,
) -> LiveTable:
    """A window's table.

    Args:
        ipc: Instructions per cycle by cgroup, or why there are none.
        patterns: Only the cgroups that match one of these are rows, as `resolver.matches` has it; without any, all.
        usual: What each cgroup usually loses, where that is known, and what that is from.
        tasks: Who ran within the root cgroup and the kernel, where somebody looked.
    """
    runs, devices = run_ns_within(window.cgroups), device_figures([window])
    per_s = NS_PER_S / window.duration_ns
    rows = [
        replace(
            _row(cgroup, window, runs, named, ipc=ipc, tasks=tasks),
            usual=usual[0].get(cgroup.path),
            **_behind_on_devices(devices.get(cgroup.path), per_s),
        )
        for cgroup in window.cgroups.values()
        if not patterns or matches(cgroup.path, patterns)
    ]
    return LiveTable(
        hostname=hostname,
        cpus=len(window.cpus),
        duration_s=window.duration_ns / NS_PER_S,
        sort=sort,
        cgroups=tuple(ordered(rows, sort)),
        warnings=tuple(_warnings(window)),
        unavailable=_reasons(rows, ipc),
        history=usual[1],
    )


def _behind_on_devices(had: DeviceFigures | None, per_s: float) -> dict[str, float]:
    """How long its requests and packets waited behind others', of the kinds that it had any of."""
    found = {}
    if had and had.disk_ns:
        found["disk_behind_ns_per_s"] = had.disk_behind_ns * per_s
    if had and had.network_ns:
        found["network_behind_ns_per_s"] = had.network_behind_ns * per_s
    return found


def ipc_of(before: Snapshot, after: Snapshot) -> Mapping[str, float] | Missing:
    """Instructions per cycle between two snapshots, of the cgroups that have them; where none has, why not."""
    refused = {name: Missing(why.reason, why.remedy) for name, why in after.uncounted.items()}
    counted = {
        path: counters.figures({**refused, **counts}).ipc
        for path, counts in counters.grown(before, after).items()
    }
    found = {path: ipc for path, ipc in counted.items() if not isinstance(ipc, Missing)}
    refusal = counters.figures(refused).ipc
    return refusal if isinstance(refusal, Missing) and not found else found


def _row(
    cgroup: CgroupWindow,
    window: SchedWindow,
    runs: Mapping[str, int],
    named: Callable[[str], str],
    *,
    ipc: Mapping[str, float] | Missing,
    tasks: TasksWithin,
) -> LiveRow:
    duration_ns = window.duration_ns
    per_s = NS_PER_S / duration_ns
    lost_ns = lost_to_others_ns(cgroup, runs)
    first = longest(by_culprit(cgroup), named)
    return LiveRow(
        cgroup=cgroup.path,
        name=named(cgroup.path),
        lot=lot_of(cgroup, lost_ns, duration_ns),
        wanted_cpus=(cgroup.run_ns + cgroup.wait_ns) / duration_ns,
        got_cpus=got_ns(cgroup) / duration_ns,
        lost_cpus=lost_ns / duration_ns,
        wait_ns=cgroup.wait_ns,
        run_ns=cgroup.run_ns,
        wait_p50_ns=histogram.percentile_ns(cgroup.histogram, 50),
        wait_p99_ns=histogram.percentile_ns(cgroup.histogram, 99),
        preempted_per_s=cgroup.preempted_foreign * per_s,
        waited_for=None if first is None else with_tasks(first, tasks, window.cgroups),
        mean_waiting=(cgroup.wait_ns - cgroup.throttled_ns) / duration_ns,
        ipc=None if isinstance(ipc, Missing) else ipc.get(cgroup.path),
        throttled_ns_per_s=cgroup.throttled_ns * per_s,
        sampled_ns=cgroup.sampled_ns,
        contention_ratio=cgroup.contention_ratio,
    )


def longest(cgroup: CgroupWindow, named: Callable[[str], str]) -> WaitPart | None:
    """The one that was waited for longest: the hypervisor, where it took more than that."""
    first = next(iter(parts_of(cgroup, named)), None)
    stolen_ms, all_ns = cgroup.stolen_ns / NS_PER_MS, cgroup.wait_ns + cgroup.stolen_ns
    if cgroup.stolen_ns and (first is None or stolen_ms > first.wait_ms):
        return WaitPart(Charge.STOLEN, Charge.STOLEN, stolen_ms, 100 * cgroup.stolen_ns / all_ns, None)
    return first


def got_ns(cgroup: CgroupWindow) -> int:
    """How long its tasks had a CPU, without what the hypervisor took meanwhile."""
    return max(0, cgroup.run_ns - cgroup.stolen_ns)


def run_ns_within(cgroups: Mapping[str, CgroupWindow]) -> Mapping[str, int]:
    """How long each ran together with all below it, of the cgroups that ran and of all above them; the root alone."""
    runs: Counter[str] = Counter()
    for path, cgroup in cgroups.items():
        for name in (path, *lineage(path)[1:-1]):
            runs[name] += cgroup.run_ns
    return runs


def lost_to_others_ns(cgroup: CgroupWindow, runs: Mapping[str, int]) -> int:
    """How much CPU time others had that a cgroup wanted, and the hypervisor.

    Ten tasks that wait behind one are ten waits and one loss: of each other cgroup no more than it ran is counted.
    """
    return cgroup.stolen_ns + sum(
        min(wait.wait_ns, runs[name]) if name in runs else wait.wait_ns
        for name, wait in cgroup.waited_for.items()
    )


def usual_losses(windows: Iterable[SchedWindow]) -> dict[str, Usual]:
    """What each cgroup lost in windows of a history, in those that it ran or waited in.

    Of fewer than LEAST_WINDOWS nothing is said; percentiles are the nearest rank.
    """
    lost: dict[str, array[float]] = {}
    for window in windows:
        runs = run_ns_within(window.cgroups)
        for path, cgroup in window.cgroups.items():
            cpus = lost_to_others_ns(cgroup, runs) / window.duration_ns
            lost.setdefault(path, array("d")).append(cpus)
    ranked = {path: sorted(found) for path, found in lost.items() if len(found) >= LEAST_WINDOWS}
    return {
        path: Usual(found[ceil(0.5 * len(found)) - 1], found[ceil(0.95 * len(found)) - 1], len(found))
        for path, found in ranked.items()
    }


def lot_of(cgroup: CgroupWindow, lost_ns: int, duration_ns: int) -> Lot:
    """How it fares: what takes most of the CPU time that it would have had, where that is much.

    Kernel threads, and who had no name of its own, are nobody that suffers.
    """
    if not cgroup.path.startswith("/"):
        return Lot.FINE
    least_ns = max(LEAST_LOST_CPUS * duration_ns, 1)
    taken_ns = max(lost_ns, cgroup.throttled_ns)
    part = taken_ns / max(1, taken_ns + got_ns(cgroup))
    if taken_ns >= least_ns and part >= LEAST_LOST_PART:
        if cgroup.throttled_ns > lost_ns:
            return Lot.QUOTA
        return Lot.STARVED if part >= STARVED_PART else Lot.SUFFERS
    is_crowded = cgroup.self_ns >= max(least_ns, CROWDED_PART * (cgroup.run_ns + cgroup.wait_ns))
    return Lot.CROWDED if is_crowded else Lot.FINE


def _reasons(rows: list[LiveRow], ipc: Mapping[str, float] | Missing) -> dict[str, str]:
    reasons = {
        "wait_p50_ns": DID_NOT_WAIT,
        "wait_p99_ns": DID_NOT_WAIT,
        "waited_for": NEVER_WAITED,
        "ipc": ipc.reason if isinstance(ipc, Missing) else "not counted for this cgroup in this window",
    }
    return {key: why for key, why in reasons.items() if any(getattr(row, key) is None for row in rows)}


def _warnings(window: SchedWindow) -> list[str]:
    warnings = []
    if window.shed:
        warnings.append(f"left out to keep the overhead budget: {', '.join(window.shed)}")
    return [*warnings, *untracked.warnings([window])]


@dataclass(frozen=True, slots=True)
class _Moment:
    end_s: float
    duration_s: float
    waited_s: Mapping[str, float]


@dataclass(slots=True)
class LastMinute:
    """Windows that ended within the last minute; older ones are forgotten as new ones come."""

    _moments: deque[_Moment] = field(default_factory=deque)

    def add(self, window: SchedWindow) -> None:
        """Add one window, and forget those that ended more than a minute before it."""
        end_s = window.end_ns / NS_PER_S
        waited_s = {
            path: cgroup.wait_ns / NS_PER_S for path, cgroup in window.cgroups.items() if cgroup.wait_ns
        }
        self._moments.append(_Moment(end_s, window.duration_ns / NS_PER_S, waited_s))
        while self._moments[0].end_s <= end_s - MINUTE_S:
            self._moments.popleft()

    def waiting(self, path: str, cells: int) -> list[float | None]:
        """Mean number of a cgroup's tasks that waited in each of `cells` parts of the minute, the latest last.

        None: nothing was watched then. A window counts where it ended.
        """
        if not self._moments:
            return [None] * cells
        now_s, width_s = self._moments[-1].end_s, MINUTE_S / cells
        waited, watched = [0.0] * cells, [0.0] * cells
        for moment in self._moments:
            cell = cells - 1 - min(cells - 1, int((now_s - moment.end_s) / width_s))
            waited[cell] += moment.waited_s.get(path, 0.0)
            watched[cell] += moment.duration_s
        means = [w / s if s else None for w, s in zip(waited, watched, strict=True)]
        return _held(means)


def _held(means: list[float | None]) -> list[float | None]:
    """Between windows that are longer than a cell the last known mean goes on; before the first there is none."""
    held: list[float | None] = []
    for mean in means:
        held.append(held[-1] if mean is None and held else mean)
    return held
