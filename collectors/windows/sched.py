"""Scheduler windows: what each cgroup ran, waited and was preempted between two snapshots of the probe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from collectors.host.hierarchy import is_within
from collectors.host.resolver import matches
from collectors.windows import histogram
from collectors.windows.figures import SCHED_FIGURES, SchedCounters
from collectors.windows.signals import SignalWindow
from probes.layout import FIELDS, NR_BUCKETS
from probes.snapshot import CpuFigures, SchedFigures, Snapshot, Wait

KERNEL, OTHER, REST = "kernel", "other", "rest"
"""Names of what is not a cgroup: kernel threads, cgroups beyond the probe's slots, and in a victim's waits those
aggressors that are not among its MOST_AGGRESSORS. A cgroup's name begins with `/`."""

NS_PER_S, NS_PER_MS = 1e9, 1e6

# On a host where everyone waits for everyone, 200 busy cgroups make 40,000 pairs: too many to keep each second.
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
    grown = {
        key: _grown(
            after.paths.get(key, OTHER),
            before.cgroups.get(key),
            figures,
            _waited_for(after.waits.get(key, ()), after.paths),
        )
        for key, figures in after.cgroups.items()
        if figures is not before.cgroups.get(key)
    }
    possible = [
        cgroup for key, cgroup in grown.items() if _is_possible(cgroup, after.tasks.get(key), after.reach_ns)
    ]
    return SchedWindow(
        end_ns=after.monotonic_ns,
        duration_ns=duration_ns,
        cgroups=_by_path(cgroup for cgroup in possible if cgroup.run_ns or cgroup.wait_ns or cgroup.switches),
        cpus=tuple(_cpu(b, a, duration_ns) for b, a in zip(before.cpus, after.cpus, strict=True)),
        untracked=after.untracked,
        shed=after.shed,
        impossible=len(grown) - len(possible),
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


def _waited_for(waits: Sequence[Wait], paths: Mapping[int, str]) -> dict[str, WaitFor]:
    """One victim's, by name: the MOST_AGGRESSORS that were waited for longest, the others together as REST."""
    ranked = sorted(waits, reverse=True)
    found: dict[str, WaitFor] = {}
    for wait_ns, preemptions, aggressor in ranked[:MOST_AGGRESSORS]:
        name, wait = paths.get(aggressor, OTHER), WaitFor(wait_ns, preemptions)
        found[name] = _plus(found[name], wait) if name in found else wait
    if rest := ranked[MOST_AGGRESSORS:]:
        found[REST] = WaitFor(sum(ns for ns, _, _ in rest), sum(count for _, count, _ in rest))
    return found


def _plus(a: WaitFor, b: WaitFor) -> WaitFor:
    return WaitFor(a.wait_ns + b.wait_ns, a.preemptions + b.preemptions)


def _grown(
    path: str, before: SchedFigures | None, after: SchedFigures, waited_for: Mapping[str, WaitFor]
) -> CgroupWindow:
    growth = _growth(before or _NO_FIGURES, after)
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


def _growth(before: SchedFigures, after: SchedFigures) -> SchedFigures:
    """How much each figure grew; never below 0."""
    grown = [b - a if b > a else 0 for a, b in zip(before[:-1], after[:-1], strict=True)]
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
