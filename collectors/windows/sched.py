"""Scheduler windows: what each cgroup ran, waited and was preempted between two snapshots of the probe."""

import operator
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from collectors.host.hierarchy import is_within, lineage
from collectors.host.resolver import matches
from collectors.host.tenants import culprits, outermost, tenant_of
from collectors.windows import charged, histogram
from collectors.windows.disks import DiskWindows, disks_within
from collectors.windows.figures import SCHED_FIGURES, SchedCounters
from collectors.windows.network import QueueWindows, queues_within
from collectors.windows.reclaims import ReclaimWindows, reclaims_within
from collectors.windows.signals import SignalWindow
from probes.layout import FIELDS, NR_BUCKETS
from probes.snapshot import CpuFigures, SchedFigures, Snapshot, Wait

KERNEL, OTHER, REST = "kernel", charged.OTHER, "rest"
"""Names of what is not a cgroup: kernel threads, cgroups beyond the probe's slots, and in a victim's waits those
aggressors that are not among its MOST_AGGRESSORS. A cgroup's name begins with `/`."""

NS_PER_S, NS_PER_MS = 1e9, 1e6

# On a host where everyone waits for everyone, 200 busy cgroups make 40,000 pairs: too many to keep each second.
# So many are kept by themselves, and of what is left so many tenants.
MOST_AGGRESSORS = 20
# A run queue's clock may be as old as its last tick, 10 ms at most, at both ends of a window.
TICKS_NS = 20_000_000
# Running and waiting less than this share of a window, a cgroup is as good as idle.
LEAST_ACTIVE = 0.01


class WaitFor(NamedTuple):
    """How long a cgroup waited while another ran on its CPU, and how often that one preempted it."""

    wait_ns: int
    preemptions: int


@dataclass(frozen=True, slots=True)
class CgroupWindow(SchedCounters):
    """One cgroup in one window, or in several: how much its figures grew, how long its waits were, and for whom."""

    path: str
    histogram: tuple[int, ...]
    waited_for: Mapping[str, WaitFor]

    def is_idle(self, duration_ns: int) -> bool:
        """Whether it ran and waited for so little of the window that nothing can be told of it."""
        return self.run_ns + self.wait_ns < LEAST_ACTIVE * duration_ns

    @property
    def others_ns(self) -> int:
        """How long it waited while others ran on its CPU, kernel threads among them."""
        return sum([wait.wait_ns for wait in self.waited_for.values()])

    @property
    def contention_ratio(self) -> float | None:
        """Of the CPU time that it wanted and no quota forbade, the part that it waited behind others: 0 to 1.

        None: it wanted none, or most of its wait is charged to nobody, as below the eBPF tier.
        """
        waited_ns = self.wait_ns - self.throttled_ns
        wanted_ns = self.run_ns + waited_ns
        if wanted_ns <= 0 or 2 * self.unattributed_ns > max(waited_ns, 1):
            return None
        return min(1.0, self.others_ns / wanted_ns)


@dataclass(frozen=True, slots=True)
class CpuWindow:
    """One CPU in one window: the mean number of tasks that ran (0 to 1) and that waited for it."""

    running: float
    waiting: float
    switches: int


@dataclass(frozen=True, slots=True)
class SchedWindow:
    """All cgroups and CPUs in one window that ended at `end_ns` (CLOCK_MONOTONIC).

    `shed` names what the probe left out in it to keep its budget, `untracked` counts cgroups that had no slot.
    `impossible` counts cgroups that are not in it, as they would have run or waited for longer than their tasks can.
    `disks` is what each cgroup had of each disk, empty where block I/O was not looked at or there was none.
    `network` is what each cgroup had of the queue of each network device, empty likewise.
    `reclaims` is whose allocations had memory reclaimed within which limit, empty where there were none.
    `signals` is what else was read for it, None where nothing was.
    """

    end_ns: int
    duration_ns: int
    cgroups: Mapping[str, CgroupWindow]
    cpus: tuple[CpuWindow, ...]
    untracked: int
    shed: tuple[str, ...] = ()
    signals: SignalWindow | None = None
    impossible: int = 0
    disks: DiskWindows = field(default_factory=dict)
    reclaims: ReclaimWindows = field(default_factory=dict)
    network: QueueWindows = field(default_factory=dict)


_NOTHING = WaitFor(0, 0)
_NO_FIGURES = SchedFigures._make((*(0,) * len(FIELDS), (0,) * NR_BUCKETS))
_SUMMED = tuple(spec.name for spec in SCHED_FIGURES)


def window(before: Snapshot, after: Snapshot) -> SchedWindow:
    """The difference of two snapshots that follow one another. Cgroups that did nothing are left out.

    No figure is negative, and none says more than tasks times the window: where one does, its cgroup is left out.

    Raises:
        ValueError: There was a snapshot in between: the waits until then are in no other.
    """
    if before.monotonic_ns < after.waits_since_ns:
        raise ValueError("a window is between a snapshot and the next one")
    duration_ns = max(1, after.monotonic_ns - before.monotonic_ns)
    aggressors = _Aggressors(after.paths)
    grown = {
        key: _grown(
            after.paths.get(key, OTHER),
            before.cgroups.get(key),
            figures,
            _waited_for(after.waits.get(key, ()), aggressors, after.paths.get(key, OTHER)),
        )
        for key, figures in after.cgroups.items()
        if figures is not before.cgroups.get(key)
    }
    # Below the eBPF tier there may have been readings in between, which knew of tasks that the last did not see.
    tasks = after.tasks if after.reach_ns + TICKS_NS >= duration_ns else {}
    possible = [
        cgroup for key, cgroup in grown.items() if _is_possible(cgroup, tasks.get(key), after.reach_ns)
    ]
    return SchedWindow(
        end_ns=after.monotonic_ns,
        duration_ns=duration_ns,
        cgroups=_by_path(cgroup for cgroup in possible if cgroup.run_ns or cgroup.wait_ns or cgroup.switches),
        cpus=tuple(_cpu(b, a, duration_ns) for b, a in zip(before.cpus, after.cpus, strict=True)),
        untracked=after.untracked,
        shed=after.shed,
        impossible=len(grown) - len(possible),
        disks=disks_within(before.disks, after.disks, after.paths),
        network=queues_within(before.network, after.network, after.paths),
        reclaims=reclaims_within(before.reclaims, after.reclaims, after.paths),
    )


def _is_possible(cgroup: CgroupWindow, tasks: int | None, reach_ns: int) -> bool:
    """Whether so many tasks can have run and waited so long; a task does one of the two, or neither."""
    if tasks is None:
        return True
    return cgroup.run_ns + cgroup.wait_ns <= max(1, tasks) * (reach_ns + TICKS_NS)


def subtree(windows: Mapping[str, CgroupWindow], path: str) -> CgroupWindow:
    """A cgroup with everything below it, as one: waits among its parts become its own (`self_ns`)."""
    inside = [cgroup for name, cgroup in windows.items() if is_within(name, path)]
    whole = add(path, inside)
    own_ns = sum(wait.wait_ns for name, wait in whole.waited_for.items() if is_within(name, path))
    own_preemptions = sum(
        wait.preemptions for name, wait in whole.waited_for.items() if is_within(name, path)
    )
    figures = {name: getattr(whole, name) for name in _SUMMED}
    figures["self_ns"] += own_ns
    figures["preempted_own"] += own_preemptions
    figures["preempted_foreign"] = max(0, figures["preempted_foreign"] - own_preemptions)
    others = {name: wait for name, wait in whole.waited_for.items() if not is_within(name, path)}
    return replace(whole, **figures, waited_for=others)


def at_depth(window: SchedWindow, depth: int) -> SchedWindow:
    """The window with cgroups of so many parts of a path, as victims and as aggressors, each with all below it."""
    parts: dict[str, dict[str, CgroupWindow]] = {}
    for path, cgroup in window.cgroups.items():
        name = "/".join(path.split("/")[: depth + 1]) or "/"
        parts.setdefault(name, {})[path] = cgroup
    cgroups = {name: by_culprit(subtree(each, name), depth) for name, each in parts.items()}
    return replace(window, cgroups=cgroups)


def by_culprit(victim: CgroupWindow, depth: int | None = None) -> CgroupWindow:
    """The same window, with the waits charged to culprits; see `tenants.culprits`."""
    return renamed(victim, culprits(victim.waited_for, victim.path, depth))


def renamed(victim: CgroupWindow, names: Mapping[str, str]) -> CgroupWindow:
    """The same window, with those that it waited for under other names; what gets one name adds up."""
    waits: dict[str, WaitFor] = {}
    for name, wait in victim.waited_for.items():
        waits[names[name]] = _plus(waits.get(names[name], _NOTHING), wait)
    return replace(victim, waited_for=waits)


def add(path: str, parts: Iterable[CgroupWindow]) -> CgroupWindow:
    """The sum of windows, of one cgroup over time or of several cgroups, under the name `path`."""
    parts = list(parts)
    figures = {name: sum(getattr(part, name) for part in parts) for name in _SUMMED}
    waited_for: dict[str, WaitFor] = {}
    for part in parts:
        for name, wait in part.waited_for.items():
            waited_for[name] = _plus(waited_for[name], wait) if name in waited_for else wait
    return CgroupWindow(
        path=path,
        **figures,
        histogram=histogram.add(part.histogram for part in parts),
        waited_for=waited_for,
    )


def _by_path(cgroups: Iterable[CgroupWindow]) -> dict[str, CgroupWindow]:
    """On hybrid hosts a v2 and a v1 cgroup may have one path: they are shown as one."""
    found: dict[str, CgroupWindow] = {}
    for cgroup in cgroups:
        twin = found.get(cgroup.path)
        found[cgroup.path] = add(cgroup.path, [twin, cgroup]) if twin else cgroup
    return found


class _Aggressors(dict[int, tuple[str, str, str]]):
    """By its key an aggressor's name, its tenant as outsiders see it, and its parent: looked up for 40,000 pairs."""

    def __init__(self, paths: Mapping[int, str]) -> None:
        super().__init__()
        self._paths = paths

    def __missing__(self, key: int) -> tuple[str, str, str]:
        name = self._paths.get(key, OTHER)
        self[key] = found = name, outermost(name), name.rpartition("/")[0] or "/"
        return found


def _waited_for(waits: Iterable[Wait], aggressors: _Aggressors, victim: str) -> dict[str, WaitFor]:
    """One victim's, by name: the MOST_AGGRESSORS that were waited for longest, of the others as many tenants, and REST.

    Who is one of many cgroups of a tenant is told as that tenant, as otherwise 40 of 2.5 % would hide.
    """
    ranked = sorted(waits, reverse=True)
    found: dict[str, WaitFor] = {}
    for wait_ns, preemptions, aggressor in ranked[:MOST_AGGRESSORS]:
        name, whole = aggressors[aggressor][0], WaitFor(wait_ns, preemptions)
        found[name] = _plus(found[name], whole) if name in found else whole
    around, tenants = set(lineage(victim)), defaultdict[str, list[Wait]](list)
    for wait in ranked[MOST_AGGRESSORS:]:
        name, tenant, parent = aggressors[wait[2]]
        if tenant in around:
            tenant = name if parent in around else tenant_of(name, victim)
        tenants[tenant].append(wait)
    several = ((_sum(members), tenant) for tenant, members in tenants.items() if len(members) > 1)
    for whole, tenant in sorted(several, reverse=True)[:MOST_AGGRESSORS]:
        found[tenant] = _plus(found.get(tenant, _NOTHING), whole)
        del tenants[tenant]
    if tenants:
        found[REST] = _sum([wait for members in tenants.values() for wait in members])
    return found


def _sum(waits: Sequence[Wait]) -> WaitFor:
    return WaitFor(sum([wait[0] for wait in waits]), sum([wait[1] for wait in waits]))


def _plus(a: WaitFor, b: WaitFor) -> WaitFor:
    return WaitFor(a.wait_ns + b.wait_ns, a.preemptions + b.preemptions)


def _grown(
    path: str, before: SchedFigures | None, after: SchedFigures, waited_for: Mapping[str, WaitFor]
) -> CgroupWindow:
    growth = growth_of(before, after)
    return CgroupWindow(
        path=path,
        run_ns=growth.run_ns,
        wait_ns=growth.wait_ns,
        self_ns=growth.self_ns,
        wakeup_ns=growth.wakeup_ns,
        throttled_ns=growth.throttled_ns,
        unattributed_ns=growth.unattributed_ns,
        preempt_wait_ns=growth.preempt_wait_ns,
        stolen_ns=growth.stolen_ns,
        switches=growth.switches_in,
        preempted_own=growth.preempted_own,
        preempted_foreign=growth.preempted_foreign,
        preempted_throttled=growth.preempted_throttled,
        histogram=growth.histogram,
        waited_for=_with_rest(waited_for, growth.rest_ns, growth.preempted_foreign),
        sampled_ns=growth.sampled_ns,
    )


def growth_of(before: SchedFigures | None, after: SchedFigures) -> SchedFigures:
    """How much each figure grew, from 0 where there was none before; never below 0."""
    before = before or _NO_FIGURES
    grown = list(map(operator.sub, after[:-1], before[:-1]))
    if min(grown) < 0:
        grown = [max(0, figure) for figure in grown]
    return SchedFigures._make((*grown, histogram.subtract(after.histogram, before.histogram)))


def _with_rest(waits: Mapping[str, WaitFor], rest_ns: int, preemptions: int) -> Mapping[str, WaitFor]:
    """What the kernel's side found no room to tell apart, and the preemptions by those, belong to the rest as well."""
    if not rest_ns:
        return waits
    untold = WaitFor(rest_ns, max(0, preemptions - sum(wait.preemptions for wait in waits.values())))
    return {**waits, REST: _plus(waits.get(REST, _NOTHING), untold)}


def _cpu(before: CpuFigures, after: CpuFigures, duration_ns: int) -> CpuWindow:
    """Little's law: time spent in a state, over wall time, is the mean number in that state. Exact, unlike samples."""
    return CpuWindow(
        running=max(0, after.run_ns - before.run_ns) / duration_ns,
        waiting=max(0, after.wait_ns - before.wait_ns) / duration_ns,
        switches=max(0, after.switches - before.switches),
    )


def totals(run: Sequence[SchedWindow]) -> dict[str, CgroupWindow]:
    """Each cgroup over all windows."""
    parts: dict[str, list[CgroupWindow]] = {}
    for window in run:
        for path, cgroup in window.cgroups.items():
            parts.setdefault(path, []).append(cgroup)
    return {path: add(path, cgroups) for path, cgroups in parts.items()}


def matching(window: SchedWindow, patterns: Sequence[str]) -> SchedWindow:
    """The window with only the cgroups that match one of these, as `resolver.matches` has it (all, without any)."""
    if not patterns:
        return window
    kept = {path: cgroup for path, cgroup in window.cgroups.items() if matches(path, patterns)}
    return replace(window, cgroups=kept)
