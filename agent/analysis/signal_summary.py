"""From the signals of a recording's windows to what they add up to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from agent.documents.signal_summary import (
    CacheSummary,
    CorunWith,
    CpuSummary,
    HostSummary,
    SignalSummary,
    WorkloadSummary,
)
from collectors.host.readings import Missing
from collectors.host.workloads import Workload
from collectors.windows import counters
from collectors.windows.counters import CounterFigures
from collectors.windows.signal_sums import Windows, absences, mean, total
from collectors.windows.signals import CacheSignals, CgroupSignals, CpuSignals
from probes.perf_event import Reading

_COUNTED = CgroupSignals._fields[1:]
_DERIVED = tuple(field.name for field in fields(CounterFigures))
NOT_READ = "no figure was read in any window"


def signal_summaries(windows: Windows) -> dict[str, SignalSummary]:
    """Each cgroup over all windows, by path."""
    refused = {
        name.removeprefix("counters."): Missing(absence.reason, absence.remedy)
        for name, absence in absences(windows).items()
        if name.startswith("counters.")
    }
    rows: dict[str, list[CgroupSignals]] = {}
    for window in windows:
        for path, row in window.cgroups.items():
            rows.setdefault(path, []).append(row)
    return {
        path: SignalSummary(
            **{name: total(getattr(row, name) for row in of_one) for name in _COUNTED},
            **_counters(refused, [window.counters.get(path, {}) for window in windows]),
        )
        for path, of_one in rows.items()
    }


def _counters(refused: Mapping[str, Missing], counts: Iterable[Mapping[str, Reading]]) -> dict[str, Any]:
    found = counters.figures({**refused, **counters.add(counts)})
    figures = {name: getattr(found, name) for name in _DERIVED}
    return {name: None if isinstance(figure, Missing) else figure for name, figure in figures.items()}


def host_summary(windows: Windows) -> HostSummary:
    """The host over all windows."""
    cpus: dict[int, list[CpuSignals]] = {}
    caches: dict[tuple[str, int], list[CacheSignals]] = {}
    for window in windows:
        for number, row in window.host.cpus.items():
            cpus.setdefault(number, []).append(row)
        for group, domains in window.host.caches.items():
            for domain, cache in domains.items():
                caches.setdefault((group, domain), []).append(cache)
    names = dict.fromkeys(name for window in windows for name in window.host.pressure)
    return HostSummary(
        cpus=tuple(_cpu(number, rows) for number, rows in sorted(cpus.items())),
        pressure={name: total(window.host.pressure.get(name) for window in windows) for name in names},
        caches=tuple(_cache(*key, rows) for key, rows in sorted(caches.items())),
    )


def _cpu(number: int, rows: Sequence[CpuSignals]) -> CpuSummary:
    khz = mean(row.frequency_khz for row in rows)
    return CpuSummary(
        cpu=number,
        steal_ns=total(row.steal_ns for row in rows),
        irq_ns=total(row.irq_ns for row in rows),
        softirq_ns=total(row.softirq_ns for row in rows),
        frequency_mhz=None if khz is None else khz / 1000,
    )


def _cache(group: str, domain: int, rows: Sequence[CacheSignals]) -> CacheSummary:
    return CacheSummary(
        group=group,
        domain=domain,
        occupancy_bytes=mean(row.occupancy_bytes for row in rows),
        total_bytes=total(row.total_bytes for row in rows),
        local_bytes=total(row.local_bytes for row in rows),
    )


def corun_partners(windows: Windows) -> dict[str, tuple[CorunWith, ...]]:
    """With whom each cgroup ran at the same time over all windows, the longest first, by path."""
    sums: dict[str, dict[str, CorunWith]] = {}
    for window in windows:
        for path, partners in window.coruns.items():
            of_one = sums.setdefault(path, {})
            for name, corun in partners.items():
                was = of_one.get(name, CorunWith(name, 0, 0))
                of_one[name] = CorunWith(name, was.smt_ns + corun.smt_ns, was.llc_ns + corun.llc_ns)
    return {
        path: tuple(sorted(of_one.values(), key=lambda partner: -(partner.smt_ns + partner.llc_ns)))
        for path, of_one in sums.items()
    }


def workload_summary(workload: Workload) -> WorkloadSummary:
    """A workload as a document has it."""
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
    )


def reasons(windows: Windows, nulls: Iterable[str]) -> dict[str, str]:
    """Why each of these fields is null: `signals.…` of a cgroup, `host.…`, `cpu.…`, `cache.…`."""
    known = {name: absence.reason for name, absence in absences(windows).items()}
    derived = counters.figures(
        {
            name.removeprefix("counters."): Missing(why)
            for name, why in known.items()
            if name.startswith("counters.")
        }
    )
    for name in _DERIVED:
        figure = getattr(derived, name)
        known[name] = figure.reason if isinstance(figure, Missing) else NOT_READ
    known["cpu.frequency_mhz"] = known.get("cpu.frequency_khz", NOT_READ)
    return {key: known.get(key.removeprefix("signals."), NOT_READ) for key in sorted(nulls)}
