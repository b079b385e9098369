"""What else may have slowed the cgroups of a recording, as sections: limits, stalls, memory, I/O, counters, CPUs."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from agent.documents.signal_summary import HostSummary, SignalSummary, WorkloadSummary
from agent.documents.summary import CgroupSummary, RunSummary
from reports.figures import UNAVAILABLE, bytes_of, count, counted, quantity, time_ns
from reports.sections.model import NAME, Column, Kind, Section, Table, figure_columns

WORDS = {
    "limit_cpus": "CPU limit",
    "signals.nr_periods": "enforcement periods",
    "signals.nr_throttled": "throttled periods",
    "signals.throttled_own_ns": "time throttled by its own limit",
    "signals.throttled_ancestors_ns": "time throttled by its ancestors' limits",
    "signals.throttled_any_ns": "time kept from running by any limit",
    "signals.cpu_some_ns": "stalled for a CPU",
    "signals.cpu_full_ns": "all stalled for a CPU",
    "signals.memory_some_ns": "stalled for memory",
    "signals.memory_full_ns": "all stalled for memory",
    "signals.io_some_ns": "stalled for I/O",
    "signals.io_full_ns": "all stalled for I/O",
    "signals.file_refaults": "refaults of files",
    "signals.anon_refaults": "refaults from swap",
    "signals.scanned_pages": "pages scanned",
    "signals.reclaimed_pages": "pages reclaimed",
    "signals.major_faults": "major faults",
    "signals.memory_high_events": "hits of memory.high",
    "signals.memory_max_events": "hits of the memory limit",
    "signals.oom_kills": "out-of-memory kills",
    "signals.read_bytes": "bytes read",
    "signals.written_bytes": "bytes written",
    "signals.reads": "reads",
    "signals.writes": "writes",
    "signals.instructions": "instructions",
    "signals.cycles": "cycles",
    "signals.ipc": "instructions per cycle",
    "signals.llc_misses": "last-level cache misses",
    "signals.dtlb_misses": "data TLB misses",
    "signals.itlb_misses": "instruction TLB misses",
    "signals.branch_misses": "branch misses",
    "signals.running_ratio": "share of the time counted",
    "cpu.steal_ns": "steal time",
    "cpu.irq_ns": "interrupt time",
    "cpu.softirq_ns": "soft interrupt time",
    "cpu.frequency_mhz": "frequency",
    "cache.occupancy_bytes": "cache occupancy",
    "cache.total_bytes": "memory traffic",
    "cache.local_bytes": "local memory traffic",
}

Cell = Callable[[SignalSummary], str]
Columns = Sequence[tuple[str, Cell]]

_STALLS: Columns = (
    ("CPU", lambda s: time_ns(s.cpu_some_ns)),
    ("Memory", lambda s: time_ns(s.memory_some_ns)),
    ("All for memory", lambda s: time_ns(s.memory_full_ns)),
    ("I/O", lambda s: time_ns(s.io_some_ns)),
    ("All for I/O", lambda s: time_ns(s.io_full_ns)),
)
_MEMORY: Columns = (
    ("Refaults", lambda s: count(s.file_refaults)),
    ("Reclaimed", lambda s: count(s.reclaimed_pages)),
    ("Faults", lambda s: count(s.major_faults)),
    ("OOM kills", lambda s: count(s.oom_kills)),
    ("Read", lambda s: bytes_of(s.read_bytes)),
    ("Written", lambda s: bytes_of(s.written_bytes)),
)
_COUNTERS: Columns = (
    ("IPC", lambda s: quantity(s.ipc)),
    ("LLC", lambda s: quantity(s.llc_misses)),
    ("dTLB", lambda s: quantity(s.dtlb_misses)),
    ("iTLB", lambda s: quantity(s.itlb_misses)),
    ("Branches", lambda s: quantity(s.branch_misses)),
    ("Counted", lambda s: quantity(s.running_ratio)),
)


def signal_sections(summary: RunSummary) -> Iterator[Section]:
    """A table for each kind of signal that anything is known of."""
    cgroups = summary.cgroups
    yield from _known(limit_table(cgroups))
    yield from _known(
        _table("Stalled for want of", _STALLS, cgroups, "Time in which a task was stalled (PSI).")
    )
    yield from _known(
        _table("Memory and I/O", _MEMORY, cgroups, "Refaults, reclaimed and (major) faults are pages.")
    )
    yield from _known(_table("Counters", _COUNTERS, cgroups, "Misses per 1,000 instructions."))
    yield from _known(corun_table(cgroups))
    if summary.host_signals is not None:
        yield from _known(cpu_table(summary.host_signals))
        yield from _known(cache_table(summary.host_signals))
    yield from _known(workload_table(cgroups))


def limit_table(cgroups: Iterable[CgroupSummary]) -> Table:
    """The cgroups that have a limit or were throttled."""
    return Table(
        "CPU limits",
        (NAME, *figure_columns("Limit", "Own limit", "Ancestors'", "Throttled periods", "Periods")),
        tuple(
            (
                cgroup.name,
                quantity(cgroup.limit_cpus, "CPUs"),
                time_ns(signals.throttled_own_ns),
                time_ns(signals.throttled_ancestors_ns),
                count(signals.nr_throttled),
                count(signals.nr_periods),
            )
            for cgroup in cgroups
            if (signals := cgroup.signals)
            and (cgroup.limit_cpus is not None or signals.throttled_own_ns or signals.throttled_ancestors_ns)
        ),
        note="Own limit and Ancestors' are the times that each was enforced, summed over CPUs.",
    )


def corun_table(cgroups: Iterable[CgroupSummary]) -> Table:
    """The three with whom each cgroup ran longest at the same time."""
    return Table(
        "Who ran at the same time",
        (NAME, Column("Beside", Kind.NAME), *figure_columns("Same core", "Same cache")),
        tuple(
            (cgroup.name, partner.name, time_ns(partner.smt_ns), time_ns(partner.llc_ns))
            for cgroup in cgroups
            for partner in cgroup.corun_with[:3]
        ),
        note="Sampled: the latest stretch of each window, taken for the whole.",
    )


def cpu_table(host: HostSummary) -> Table:
    """What was taken from each CPU, and how fast it ran."""
    return Table(
        "CPUs",
        figure_columns("CPU", "Steal", "Interrupts", "Soft interrupts", "Frequency"),
        tuple(
            (
                count(cpu.cpu),
                time_ns(cpu.steal_ns),
                time_ns(cpu.irq_ns),
                time_ns(cpu.softirq_ns),
                quantity(cpu.frequency_mhz, "MHz"),
            )
            for cpu in host.cpus
        ),
    )


def cache_table(host: HostSummary) -> Table:
    """What resctrl says of each of its groups."""
    return Table(
        "Caches and memory bandwidth",
        (Column("resctrl group", Kind.NAME), *figure_columns("Domain", "Held", "Traffic", "Local traffic")),
        tuple(
            (
                cache.group,
                count(cache.domain),
                bytes_of(cache.occupancy_bytes),
                bytes_of(cache.total_bytes),
                bytes_of(cache.local_bytes),
            )
            for cache in host.caches
        ),
    )


def workload_table(cgroups: Iterable[CgroupSummary]) -> Table:
    """The containers and pods among the cgroups."""
    return Table(
        "Containers",
        (
            NAME,
            *(Column(heading, Kind.NAME) for heading in ("Namespace", "Pod", "Container", "QoS", "Runtime")),
        ),
        tuple(
            (cgroup.name, *_workload_cells(cgroup.workload))
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
    pod = workload.pod or workload.pod_uid
    return tuple(
        cell or ""
        for cell in (workload.namespace, pod, workload.container, workload.qos_class, workload.runtime)
    )


def _table(title: str, columns: Columns, cgroups: Iterable[CgroupSummary], note: str) -> Table:
    rows = [
        (cgroup.name, *(cell(cgroup.signals) for _, cell in columns)) for cgroup in cgroups if cgroup.signals
    ]
    return Table(title, (NAME, *figure_columns(*(heading for heading, _ in columns))), tuple(rows), note)


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
