"""What else may have slowed the cgroups of a recording, as sections: limits, stalls, memory, I/O, counters, CPUs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.documents.summary import SIGNALS, CgroupSummary, HostSummary, RunSummary, WorkloadSummary
from collectors.windows.figures import (
    CGROUP_FIGURES,
    DEVICE_FIGURES,
    CacheSignals,
    CounterFigures,
    CpuSignals,
    Topic,
    Unit,
    specs,
)
from reports.figures import UNAVAILABLE, count, counted, quantity
from reports.sections.events import called
from reports.sections.model import (
    NAME,
    Cells,
    Kind,
    ReportSection,
    Table,
    TableColumn,
    by_column,
    figures,
    names,
    sizes,
    times,
)

WORDS = {
    **{spec.name: spec.label for spec in CGROUP_FIGURES},
    **{f"signals.{spec.name}": spec.label for spec in SIGNALS},
    **{f"cpu.{spec.name}": spec.label for spec in specs(CpuSignals)},
    "cpu.frequency_mhz": "frequency",
    **{f"cache.{spec.name}": spec.label for spec in specs(CacheSignals)},
}
"""What figures are called, by their names in `RunSummary.unavailable`."""

_FORMATS: Mapping[Unit, Callable[[Any], str]] = {
    Unit.COUNT: count,
    Unit.RATIO: quantity,
    Unit.CPUS: lambda cpus: quantity(cpus, "CPUs"),
}
_NOTES = {
    Topic.LIMITS: "Own limit and Ancestors' are the times that each was enforced, summed over CPUs.",
    Topic.STALLS: "Time in which a task was stalled (PSI).",
    Topic.MEMORY: "Refaults, reclaimed and (major) faults are pages.",
    Topic.BLOCK_IO: "Of all devices.",
    Topic.DEVICES: "Summed over requests and packets, without what is below a cgroup. Reclaimed for it are pages.",
    Topic.COUNTERS: "Misses per 1,000 instructions.",
}


def signal_sections(summary: RunSummary) -> Iterator[ReportSection]:
    """A table for each kind of signal that anything is known of."""
    cgroups = summary.cgroups
    for topic in Topic:
        shown = [cgroup for cgroup in cgroups if topic is not Topic.LIMITS or _is_limited(cgroup)]
        yield from _known(figure_table(topic, shown))
    yield from _known(corun_table(cgroups))
    if summary.host_signals is not None:
        yield from _known(cpu_table(summary.host_signals))
        yield from _known(cache_table(summary.host_signals))
    yield from _known(workload_table(cgroups))


def figure_table(topic: Topic, cgroups: Iterable[CgroupSummary]) -> Table:
    """The figures that the registry has in this table, of the cgroups whose signals were read."""
    shown = [
        (spec, spec.column.heading)
        for spec in (*CGROUP_FIGURES, *DEVICE_FIGURES, *specs(CounterFigures))
        if spec.column and spec.column.topic is topic
    ]
    read = [cgroup for cgroup in cgroups if (cgroup.devices if topic is Topic.DEVICES else cgroup.signals)]
    columns = (
        _column(heading, spec.unit, [_figure(cgroup, spec.name) for cgroup in read])
        for spec, heading in shown
    )
    return by_column(topic.value, names(cgroup.name for cgroup in read), *columns, note=_NOTES[topic])


def _column(heading: str, unit: Unit, values: Sequence[float | None]) -> Cells:
    if unit is Unit.NS:
        return times(heading, values)
    return sizes(heading, values) if unit is Unit.BYTES else figures(heading, values, _FORMATS[unit])


def _figure(cgroup: CgroupSummary, name: str) -> int | float | None:
    return (
        cgroup.limit_cpus
        if name == "limit_cpus"
        else {**(cgroup.signals or {}), **(cgroup.devices or {})}.get(name)
    )


def _is_limited(cgroup: CgroupSummary) -> bool:
    """Whether it has a limit or was throttled."""
    signs = ("limit_cpus", "throttled_own_ns", "throttled_ancestors_ns")
    return any(_figure(cgroup, name) for name in signs)


def corun_table(cgroups: Sequence[CgroupSummary]) -> Table:
    """The three with whom each cgroup ran longest at the same time."""
    name_of = called(cgroups)
    rows = [(cgroup, partner) for cgroup in cgroups for partner in cgroup.corun_with[:3]]
    return by_column(
        "Who ran at the same time",
        names(cgroup.name for cgroup, _ in rows),
        names((name_of(partner.name) for _, partner in rows), TableColumn("Beside", Kind.NAME)),
        times("Same core", (partner.smt_ns for _, partner in rows)),
        times("Same cache", (partner.llc_ns for _, partner in rows)),
        note="Sampled: the latest stretch of each window, taken for the whole.",
    )


def cpu_table(host: HostSummary) -> Table:
    """What was taken from each CPU, and how fast it ran."""
    return by_column(
        "CPUs",
        figures("CPU", (cpu.cpu for cpu in host.cpus), count),
        times("Steal", (cpu.steal_ns for cpu in host.cpus)),
        times("Interrupts", (cpu.irq_ns for cpu in host.cpus)),
        times("Soft interrupts", (cpu.softirq_ns for cpu in host.cpus)),
        figures("Frequency (MHz)", (cpu.frequency_mhz for cpu in host.cpus), quantity),
    )


def cache_table(host: HostSummary) -> Table:
    """What resctrl says of each of its groups."""
    return by_column(
        "Caches and memory bandwidth",
        names((cache.group for cache in host.caches), TableColumn("resctrl group", Kind.NAME)),
        figures("Domain", (cache.domain for cache in host.caches), count),
        sizes("Held", (cache.occupancy_bytes for cache in host.caches)),
        sizes("Traffic", (cache.total_bytes for cache in host.caches)),
        sizes("Local traffic", (cache.local_bytes for cache in host.caches)),
    )


def workload_table(cgroups: Iterable[CgroupSummary]) -> Table:
    """The containers and pods among the cgroups."""
    return Table(
        "Containers",
        (
            NAME,
            *(TableColumn(heading, Kind.NAME) for heading in ("QoS", "Runtime", "Image", "Cgroup")),
        ),
        tuple(
            (cgroup.name, *_workload_cells(cgroup.workload), cgroup.path)
            for cgroup in cgroups
            if cgroup.workload and cgroup.workload.kind in ("container", "pod")
        ),
    )


def missing_sentences(summary: RunSummary) -> tuple[str, ...]:
    """How many figures single windows lack, for each reason, of those that other windows have."""
    by_reason: dict[str, int] = {}
    for name, missing in summary.missing.items():
        if not _never_known(name, summary):
            by_reason[missing.reason] = by_reason.get(missing.reason, 0) + missing.figures
    return tuple(f"{counted(figures, 'figure')}: {reason}" for reason, figures in sorted(by_reason.items()))


def _never_known(name: str, summary: RunSummary) -> bool:
    if name.startswith("counters."):  # counted in all windows, or in none
        return True
    if name.startswith("cache."):
        return not (summary.host_signals and summary.host_signals.caches)
    return not summary.unavailable.keys().isdisjoint({name, f"signals.{name}", name.replace("_khz", "_mhz")})


def _workload_cells(workload: WorkloadSummary) -> tuple[str, ...]:
    return tuple(cell or "" for cell in (workload.qos_class, workload.runtime, workload.image))


def _known(table: Table) -> Iterator[Table]:
    """The table without the rows of which nothing is known, unless nothing is left."""
    figures = [column.kind is Kind.FIGURE for column in table.columns]
    rows = tuple(
        row
        for row in table.rows
        if not any(figures)
        or any(cell != UNAVAILABLE for cell, is_figure in zip(row, figures, strict=True) if is_figure)
    )
    if rows:
        yield Table(table.title, table.columns, rows, table.note)
