"""From a recording's windows to its summary."""

from collections.abc import Iterator
from dataclasses import replace
from math import isinf

from agent.analysis import untracked
from agent.analysis.run_details import distinct, run_details
from agent.analysis.signal_summary import (
    corun_partners,
    host_summary,
    reasons,
    signal_summaries,
    workload_summary,
)
from agent.documents.summary import CgroupSummary, RunSummary, WaitBy, signal_nulls
from agent.documents.verdict import SelfCost, why_no_cost
from agent.documents.verdict_parts import Host
from agent.store.run_file import Run
from collectors.host.hierarchy import leaf
from collectors.host.workloads import Workload
from collectors.windows import histogram
from collectors.windows.sched import CgroupWindow, totals
from collectors.windows.signal_sums import absences, limits_cpus, workloads

_NEVER_WAITED = "a cgroup that never waited has no such wait"
_LOWER_TIERS = {
    "schedstat": "measured without eBPF: waits are sums of /proc, charged to nobody; tasks that came and went between "
    "two windows are missing, and preemptions by others are not told from its own",
    "psi": "measured by pressure (PSI) alone: a wait is time in which at least one task waited, on a quota as well, "
    "charged to nobody; what several waited at once counts once",
}
_UNTOLD_BY_PSI = ("switches", "involuntary_foreign", "involuntary_own", "throttled_ns")
_NO_SWITCHES = "pressure (PSI) tells no switches and no quotas"
_NO_HISTOGRAM = "this tier tells sums, no histograms"


def summarise(run: Run) -> RunSummary:
    """A recording's summary, the cgroup that waited longest first."""
    seconds = sum(window.duration_ns for window in run.windows) / 1e9
    read = [window.signals for window in run.windows if window.signals is not None]
    signals, limits, named = signal_summaries(read), limits_cpus(read), workloads(read)
    partners = corun_partners(read)
    whole = totals(run.windows)
    cgroups = [
        replace(
            _cgroup(cgroup, seconds, named.get(path)),
            limit_cpus=_finite(limits.get(path)),
            signals=signals.get(path),
            corun_with=partners.get(path, ()),
        )
        for path, cgroup in whole.items()
    ]
    cgroups.sort(key=lambda cgroup: -(cgroup.wait_ns or 0))
    if run.meta.get("tier") == "psi":
        cgroups = [
            replace(cgroup, switches=None, involuntary_foreign=None, involuntary_own=None, throttled_ns=None)
            for cgroup in cgroups
        ]
    cost = self_cost_of(run)
    unavailable: dict[str, str] = {}
    if any(cgroup.wait_p99_ns is None for cgroup in cgroups):
        why = _NO_HISTOGRAM if run.meta.get("tier") in _LOWER_TIERS else _NEVER_WAITED
        unavailable |= {"wait_p50_ns": why, "wait_p99_ns": why}
    if run.meta.get("tier") == "psi":
        unavailable |= dict.fromkeys(_UNTOLD_BY_PSI, _NO_SWITCHES)
    if cost.ns_per_switch is None:
        keys = ("self_cost.ns_per_switch", "self_cost.switches_per_s", "self_cost.cpu_pct")
        unavailable |= dict.fromkeys(keys, why_no_cost(str(run.meta.get("tier", "ebpf"))))
    host = host_summary(read) if read else None
    unavailable |= reasons(read, signal_nulls(signals.values(), host))
    if None in limits.values():
        unavailable |= reasons(read, ["limit_cpus"])
    return RunSummary(
        duration_s=seconds,
        host=run.record("host", Host),
        tier=run.meta.get("tier", "unknown"),
        cgroups=tuple(cgroups),
        self_cost=cost,
        lost_windows=int(run.meta.get("lost_windows", 0)),
        partial=run.partial,
        warnings=tuple(_warnings(run)),
        unavailable=unavailable,
        host_signals=host,
        missing=absences(read),
        events=run.events,
        details=run_details(run.windows, whole, distinct({each.path: each.name for each in cgroups})),
    )


def self_cost_of(run: Run) -> SelfCost:
    """The cost that the recorder wrote down; all null when it could not be measured."""
    return run.record("self_cost", SelfCost) if "self_cost" in run.meta else SelfCost(None, None, None)


def _warnings(run: Run) -> Iterator[str]:
    yield from run.warnings
    if lower := _LOWER_TIERS.get(run.meta.get("tier", "")):
        yield lower
    yield from untracked.warnings(run.windows)
    if not any(window.cgroups for window in run.windows):
        globs = run.meta.get("globs")
        yield f"nothing was recorded: no cgroup that ran matches {globs}" if globs else "nothing was recorded"


def _finite(limit_cpus: float | None) -> float | None:
    return None if limit_cpus is None or isinf(limit_cpus) else limit_cpus


def _name(path: str, workload: Workload | None) -> str:
    """A container's, pod's or unit's name; of a cgroup that is nothing more, the last part of its path."""
    return leaf(path) if workload is None or workload.kind in ("cgroup", "root") else workload.name


def _cgroup(cgroup: CgroupWindow, seconds: float, workload: Workload | None) -> CgroupSummary:
    waited_for = sorted(cgroup.waited_for.items(), key=lambda item: -item[1].wait_ns)
    return CgroupSummary(
        path=cgroup.path,
        name=_name(cgroup.path, workload),
        run_ns=cgroup.run_ns,
        wait_ns=cgroup.wait_ns,
        wait_p50_ns=histogram.percentile_ns(cgroup.histogram, 50),
        wait_p99_ns=histogram.percentile_ns(cgroup.histogram, 99),
        switches=cgroup.switches,
        involuntary_foreign=cgroup.preempted_foreign,
        involuntary_own=cgroup.preempted_own,
        throttled_ns=cgroup.throttled_ns,
        mean_waiting=(cgroup.wait_ns - cgroup.throttled_ns) / 1e9 / seconds,
        mean_running=cgroup.run_ns / 1e9 / seconds,
        sampled_ns=cgroup.sampled_ns,
        wait_by=tuple(WaitBy(name, wait.wait_ns) for name, wait in waited_for if wait.wait_ns),
        workload=None if workload is None else workload_summary(workload),
    )
