"""From a recording's windows to its summary: what each cgroup and the host add up to, and what lies behind it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, isinf

from msgspec.structs import replace

from agent.analysis import untracked
from agent.documents.summary import MOST_CGROUPS as SHOWN_CGROUPS
from agent.documents.summary import (
    MOST_WAITED_FOR,
    SIGNALS,
    ByMoment,
    CacheSummary,
    CgroupSummary,
    CorunWith,
    CpuSummary,
    HostSummary,
    Moment,
    RunDetails,
    RunMatrix,
    RunSummary,
    SignalFigures,
    WaitBy,
    WaitedFor,
    Waiting,
    Waits,
    WaitsByMoment,
    WorkloadSummary,
    signal_nulls,
)
from agent.documents.times import moment
from agent.documents.verdict import SelfCost, why_no_cost
from agent.documents.verdict_parts import Host
from agent.store.run_file import Run
from collectors.host.hierarchy import leaf
from collectors.host.readings import Missing
from collectors.host.workloads import Workload, identify, shortened
from collectors.windows import counters, histogram
from collectors.windows.corun import Corun
from collectors.windows.devices import device_figures
from collectors.windows.figures import DeviceFigures
from collectors.windows.sched import REST, CgroupWindow, SchedWindow, totals
from collectors.windows.signals import Absence, HostSignals, SignalWindow, add_signals

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
_NOT_READ = "no figure was read in any window"
_NOTHING = SignalWindow({}, HostSignals({}, {}))

MOST_CGROUPS = 6  # in a chart; the summary has them all
MOST_POINTS = 60  # of a time line: more than this, and neighbouring windows become one point
MOST_MOMENTS = 240  # where a reader may look closer at a part
EVERYONE_ELSE, OWN_THREADS, QUOTA = "everyone else", "its own threads", "a CPU quota"
NOBODY = "an idle CPU, or nobody known"
NS_PER_S = 1e9


def summarise(run: Run, *, by_moment: bool = False) -> RunSummary:
    """A recording's summary, the cgroup that waited longest first; `by_moment`: with who waited for whom over time."""
    whole = totals(run.windows)
    read = [window.signals for window in run.windows if window.signals is not None]
    signals = add_signals(read) if read else _NOTHING
    seconds = sum(window.duration_ns for window in run.windows) / NS_PER_S
    called = distinct({path: _name(path, signals.names.get(path)) for path in whole})
    devices = device_figures(run.windows)
    cgroups = sorted(
        (_cgroup(cgroup, seconds, signals, called, devices.get(cgroup.path)) for cgroup in whole.values()),
        key=lambda cgroup: -(cgroup.wait_ns or 0),
    )
    if run.meta.get("tier") == "psi":
        cgroups = [
            replace(cgroup, switches=None, involuntary_foreign=None, involuntary_own=None, throttled_ns=None)
            for cgroup in cgroups
        ]
    host = _host(signals.host) if read else None
    cost = self_cost_of(run)
    names = {each.path: called[each.path] for each in cgroups}
    details = run_details(run.windows, whole, names)
    if by_moment:
        details = replace(details, by_moment=waits_by_moment(run.windows, whole, names))
    return RunSummary(
        duration_s=seconds,
        host=run.record("host", Host),
        tier=run.meta.get("tier", "unknown"),
        cgroups=tuple(cgroups),
        self_cost=cost,
        lost_windows=int(run.meta.get("lost_windows", 0)),
        partial=run.partial,
        warnings=tuple(_warnings(run)),
        unavailable=dict(
            (*_untold(run.meta.get("tier", "ebpf"), cgroups, cost), *_reasons(signals, cgroups, host))
        ),
        host_signals=host,
        missing=signals.missing,
        events=run.events,
        details=details,
        since=moment((run.windows[0].end_ns - run.windows[0].duration_ns) / NS_PER_S)
        if run.windows
        else None,
        until=moment(run.windows[-1].end_ns / NS_PER_S) if run.windows else None,
        title=run.meta.get("title") or None,
        note=run.meta.get("note") or None,
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


def _untold(tier: str, cgroups: Iterable[CgroupSummary], cost: SelfCost) -> Iterator[tuple[str, str]]:
    """Why figures of the scheduler and of the own cost are null."""
    if any(cgroup.wait_p99_ns is None for cgroup in cgroups):
        why = _NO_HISTOGRAM if tier in _LOWER_TIERS else _NEVER_WAITED
        yield from (("wait_p50_ns", why), ("wait_p99_ns", why))
    if tier == "psi":
        yield from ((name, _NO_SWITCHES) for name in _UNTOLD_BY_PSI)
    if cost.ns_per_switch is None:
        for name in ("ns_per_switch", "switches_per_s", "cpu_pct"):
            yield f"self_cost.{name}", why_no_cost(tier)


def _reasons(
    signals: SignalWindow, cgroups: Iterable[CgroupSummary], host: HostSummary | None
) -> Iterator[tuple[str, str]]:
    """Why signals are null: `signals.…` of a cgroup, `host.…`, `cpu.…`, `cache.…`, and `limit_cpus`."""
    known = {name: absence.reason for name, absence in signals.missing.items()}
    derived = counters.figures(_refused(signals.missing))._asdict()
    known |= {name: figure.reason for name, figure in derived.items() if isinstance(figure, Missing)}
    if "cpu.frequency_khz" in known:
        known["cpu.frequency_mhz"] = known["cpu.frequency_khz"]
    nulls = signal_nulls((each.signals for each in cgroups if each.signals), host)
    if any(row.limit_cpus is None for row in signals.cgroups.values()):
        nulls.add("limit_cpus")
    for name in sorted(nulls):
        yield name, shortened(known.get(name.removeprefix("signals."), _NOT_READ))


def _refused(missing: Mapping[str, Absence]) -> dict[str, Missing]:
    """The events that were not counted, by name, and why."""
    return {
        name.removeprefix("counters."): Missing(absence.reason, absence.remedy)
        for name, absence in missing.items()
        if name.startswith("counters.")
    }


def _name(path: str, workload: Workload | None) -> str:
    """A container's, pod's or unit's name; of a cgroup that is nothing more, the last part of its path."""
    if workload is None or workload.kind in ("cgroup", "root"):
        return shortened(leaf(path))
    return workload.name


def _cgroup(
    cgroup: CgroupWindow,
    seconds: float,
    signals: SignalWindow,
    called: Mapping[str, str],
    devices: DeviceFigures | None,
) -> CgroupSummary:
    path = cgroup.path
    workload, row = signals.names.get(path), signals.cgroups.get(path)
    limit_cpus = None if row is None or row.limit_cpus is None or isinf(row.limit_cpus) else row.limit_cpus
    waited_for = sorted(cgroup.waited_for.items(), key=lambda item: -item[1].wait_ns)
    return CgroupSummary(
        path=path,
        name=_name(path, workload),
        run_ns=cgroup.run_ns,
        wait_ns=cgroup.wait_ns,
        wait_p50_ns=histogram.percentile_ns(cgroup.histogram, 50),
        wait_p99_ns=histogram.percentile_ns(cgroup.histogram, 99),
        switches=cgroup.switches,
        involuntary_foreign=cgroup.preempted_foreign,
        involuntary_own=cgroup.preempted_own,
        throttled_ns=cgroup.throttled_ns,
        mean_waiting=(cgroup.wait_ns - cgroup.throttled_ns) / NS_PER_S / seconds,
        mean_running=cgroup.run_ns / NS_PER_S / seconds,
        sampled_ns=cgroup.sampled_ns,
        contention_ratio=cgroup.contention_ratio,
        wait_by=tuple(
            WaitBy(_called(path, called), wait.wait_ns, _path(path))
            for path, wait in waited_for
            if wait.wait_ns
        ),
        limit_cpus=limit_cpus,
        signals=None if row is None else _signals(path, signals),
        devices=None if devices is None else devices._asdict(),
        corun_with=_partners(signals.coruns.get(path, {}), called),
        workload=None if workload is None else _workload(workload),
    )


def _signals(path: str, signals: SignalWindow) -> SignalFigures:
    derived = counters.figures({**_refused(signals.missing), **signals.counters.get(path, {})})._asdict()
    figures = {**signals.cgroups[path]._asdict(), **derived}
    return {
        spec.name: None if isinstance(figures[spec.name], Missing) else figures[spec.name] for spec in SIGNALS
    }


def _partners(coruns: Mapping[str, Corun], called: Mapping[str, str]) -> tuple[CorunWith, ...]:
    """Who ran at the same time, the longest first."""
    return tuple(
        CorunWith(_called(path, called), *corun, _path(path))
        for path, corun in sorted(coruns.items(), key=lambda item: -sum(item[1]))
    )


def _called(path: str, called: Mapping[str, str]) -> str:
    """What to call one that another waited for; perhaps it has no row of its own in a recording of some cgroups."""
    return called.get(path) or identify(path).name


def _path(path: str) -> str | None:
    """None of what is not a cgroup (`kernel`)."""
    return path if path.startswith("/") else None


def _workload(workload: Workload) -> WorkloadSummary:
    return WorkloadSummary(
        kind=workload.kind,
        unit=workload.systemd_unit,
        runtime=workload.runtime,
        container_id=workload.container_id,
        container=workload.container_name,
        pod=workload.pod_name,
        pod_uid=workload.pod_uid,
        namespace=workload.namespace,
        qos_class=workload.qos_class,
        image=workload.image,
        project=workload.project,
        service=workload.service,
        owner=workload.owner,
    )


def _host(host: HostSignals) -> HostSummary:
    return HostSummary(
        cpus=tuple(
            CpuSummary(cpu, *row[:-1], None if row.frequency_khz is None else row.frequency_khz / 1000)
            for cpu, row in sorted(host.cpus.items())
        ),
        pressure=host.pressure,
        caches=tuple(
            CacheSummary(group, domain, *row)
            for (group, domain), row in sorted(
                ((group, domain), row) for group, rows in host.caches.items() for domain, row in rows.items()
            )
        ),
    )


def run_details(
    run: Sequence[SchedWindow], whole: Mapping[str, CgroupWindow], names: Mapping[str, str]
) -> RunDetails:
    """The details of a recording.

    Args:
        run: Its windows, in order.
        whole: Each cgroup over all of them.
        names: Each cgroup's display name, in the order of the summary.
    """
    shown = [path for path in names if whole[path].wait_ns][:MOST_CGROUPS]
    points = list(_points(run, MOST_POINTS))
    return RunDetails(
        edges_ns=(*map(float, histogram.OCTAVES_NS[1:]), None),
        by_length=tuple(Waits(names[path], histogram.octaves(whole[path].histogram)) for path in shown),
        moments=tuple(_moments(points)),
        over_time=tuple(Waiting(names[path], tuple(_mean_waiting(points, path))) for path in shown),
        matrix=_matrix(whole, names, shown),
    )


def waits_by_moment(
    run: Sequence[SchedWindow], whole: Mapping[str, CgroupWindow], names: Mapping[str, str]
) -> ByMoment:
    """Who waited for whom over time; the arguments are those of `run_details`."""
    points = list(_points(run, MOST_MOMENTS))
    shown = [path for path in names if whole[path].wait_ns][:SHOWN_CGROUPS]
    return ByMoment(
        tuple(_moments(points)),
        tuple(
            WaitsByMoment(
                names[path], tuple(_mean_waiting(points, path)), tuple(_waits_for(points, whole[path], names))
            )
            for path in shown
        ),
    )


def _waits_for(
    points: Sequence[Sequence[SchedWindow]], whole: CgroupWindow, called: Mapping[str, str]
) -> Iterator[WaitedFor]:
    """The cgroups that one waited for longest, and what else it waited for; together they are all of its wait."""
    longest = sorted(whole.waited_for, key=lambda name: -whole.waited_for[name].wait_ns)[:MOST_WAITED_FOR]
    waits = [_waits(point, whole.path, longest) for point in points]
    for name in (*longest, OWN_THREADS, QUOTA, EVERYONE_ELSE, NOBODY):
        wait_ns = tuple(wait[name] for wait in waits)
        if any(wait_ns):
            yield WaitedFor(_called(name, called), wait_ns)


def _waits(point: Sequence[SchedWindow], path: str, longest: Sequence[str]) -> Counter[str]:
    waits: Counter[str] = Counter()
    for window in point:
        if path in window.cgroups:
            cgroup = window.cgroups[path]
            waits[OWN_THREADS] += cgroup.self_ns
            waits[QUOTA] += cgroup.throttled_ns
            waits[NOBODY] += cgroup.wakeup_ns + cgroup.unattributed_ns
            for name, wait in cgroup.waited_for.items():
                waits[name if name in longest else EVERYONE_ELSE] += wait.wait_ns
    return waits


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Display name by path; the path itself, its ids cut short, where others have the same name."""
    uses = Counter(names.values())
    return {path: name if uses[name] == 1 else shortened(path) for path, name in names.items()}


def _points(run: Sequence[SchedWindow], most: int) -> Iterator[Sequence[SchedWindow]]:
    size = max(1, ceil(len(run) / most))
    for start in range(0, len(run), size):
        yield run[start : start + size]


def _moments(points: Sequence[Sequence[SchedWindow]]) -> Iterator[Moment]:
    begins_ns = [point[0].end_ns - point[0].duration_ns for point in points]
    for begin_ns, point in zip(begins_ns, points, strict=True):
        yield Moment((begin_ns - begins_ns[0]) / NS_PER_S, (point[-1].end_ns - begins_ns[0]) / NS_PER_S)


def _mean_waiting(points: Sequence[Sequence[SchedWindow]], path: str) -> Iterator[float]:
    for point in points:
        waits = [window.cgroups[path] for window in point if path in window.cgroups]
        waited_ns = sum(cgroup.wait_ns - cgroup.throttled_ns for cgroup in waits)
        yield waited_ns / sum(window.duration_ns for window in point)


def _matrix(whole: Mapping[str, CgroupWindow], names: Mapping[str, str], rows: Sequence[str]) -> RunMatrix:
    waits = {row: Counter({row: whole[row].self_ns} | _waited_for(whole[row])) for row in rows}
    by_column: Counter[str] = sum(waits.values(), Counter())
    columns = [path for path, _ in by_column.most_common() if path != REST][:MOST_CGROUPS]
    cells = {row: (*(waits[row][column] for column in columns), _rest(waits[row], columns)) for row in rows}
    else_used = any(row[-1] for row in cells.values())
    return RunMatrix(
        waiting=tuple(names[row] for row in rows),
        waited_for=(
            *(_called(column, names) for column in columns),
            *([EVERYONE_ELSE] if else_used else []),
        ),
        wait_ns=tuple(row if else_used else row[:-1] for row in cells.values()),
    )


def _waited_for(cgroup: CgroupWindow) -> dict[str, int]:
    return {name: wait.wait_ns for name, wait in cgroup.waited_for.items()}


def _rest(waits: Mapping[str, int], columns: Sequence[str]) -> int:
    return sum(wait_ns for name, wait_ns in waits.items() if name not in columns)
