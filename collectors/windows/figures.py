"""The registry of figures: each is one line here, a field of the record that holds it, with all there is to say of it.

From these lines come what the readers read, how windows are subtracted and added, the columns of the store, the
`signals` of a summary, the tables of its reports, and the families of the metrics. So a figure that a kernel file of a
cgroup already tells is added by one line:

    nodes_reclaimed: Annotated[Value, memory_stat("workingset_nodereclaim", "reclaimed shadow nodes")]

The records are named tuples: some hundred are made a second, and a frozen dataclass takes four times as long.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_type_hints

from collectors.host.readings import Missing
from probes.perf_event import Reading

Value = TypeVar("Value")
_NOTHING = Reading(0, 0, 0)


class Unit(Enum):
    """What a figure is counted in; its name ends in it where it is not a plain count."""

    NS = "ns"
    BYTES = "bytes"
    COUNT = "count"
    KHZ = "khz"
    CPUS = "cpus"
    RATIO = "ratio"


class Growth(Enum):
    """What becomes of a figure from one reading to the next, and over windows that follow one another."""

    COUNTER = (
        "counter"  # counts since something was made: a window has what it grew by, and windows are summed
    )
    LEVEL = "level"  # a window has it as it was at its end, and windows are averaged
    SETTING = "setting"  # the same, and of windows the latest holds


class Topic(Enum):
    """The table of a report that a figure is a column of."""

    LIMITS = "CPU limits"
    STALLS = "Stalled for want of"
    MEMORY = "Memory"
    BLOCK_IO = "Block I/O"
    DEVICES = "Disks, network queues and reclaims"
    COUNTERS = "Counters"


class Told(NamedTuple):
    """Where the kernel tells a figure: a file of the cgroup, and the key in it ("": the file is one number).

    `collectors.sources.cgroup_formats` has the files. Of keys split by `|` the first that the file has.
    """

    file: str
    key: str = ""


class Column(NamedTuple):
    """Where a report shows a figure."""

    topic: Topic
    heading: str


class Family(NamedTuple):
    """A family of metrics that several figures share, what it is, and the label that tells this one from the others."""

    name: str
    what: str
    label: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FigureSpec:
    """All there is to say of one figure.

    Attributes:
        label: What it is, for people.
        unit: What it is counted in.
        growth: How it is subtracted and added.
        v2: Where a cgroup of v2 tells it; None: no file does, or more than one file is needed.
        v1: The same for v1.
        column: Where a report shows it; None: only its JSON form does.
        family: The family of metrics it is in; None: one of its own, called after it.
        name: The field's.
    """

    label: str
    unit: Unit = Unit.COUNT
    growth: Growth = Growth.COUNTER
    v2: Told | None = None
    v1: Told | None = None
    column: Column | None = None
    family: Family | None = None
    name: str = ""


def memory_stat(key: str, label: str, heading: str = "", unit: Unit = Unit.COUNT) -> FigureSpec:
    """A line of memory.stat, on v1 the one that includes descendants. With `heading`, a column of reports."""
    v1 = "|".join(f"total_{each}" for each in key.split("|"))
    column = Column(Topic.MEMORY, heading) if heading else None
    return FigureSpec(label, unit, v2=Told("memory.stat", key), v1=Told("memory.stat", v1), column=column)


def _memory_event(key: str, label: str, v1: Told | None, heading: str = "") -> FigureSpec:
    column = Column(Topic.MEMORY, heading) if heading else None
    return FigureSpec(label, v2=Told("memory.events", key), v1=v1, column=column)


def _block_io(key: str, v1: Told, label: str, unit: Unit, heading: str = "") -> FigureSpec:
    column = Column(Topic.BLOCK_IO, heading) if heading else None
    return FigureSpec(label, unit, v2=Told("io.stat", key), v1=v1, column=column)


def _stall(resource: str, key: str, label: str, heading: str = "") -> FigureSpec:
    column = Column(Topic.STALLS, heading) if heading else None
    return FigureSpec(label, Unit.NS, v2=Told(f"{resource}.pressure", key), column=column)


def _limit(
    label: str, unit: Unit = Unit.COUNT, heading: str = "", growth: Growth = Growth.COUNTER
) -> FigureSpec:
    """What `collectors.sources.throttling` makes of a cgroup's and its ancestors' files of the cpu controller."""
    return FigureSpec(label, unit, growth, column=Column(Topic.LIMITS, heading) if heading else None)


def _event(label: str, heading: str = "", unit: Unit = Unit.RATIO) -> FigureSpec:
    column = Column(Topic.COUNTERS, heading) if heading else None
    return FigureSpec(label, unit, Growth.LEVEL, column=column)


def _device(label: str, heading: str, unit: Unit = Unit.COUNT) -> FigureSpec:
    return FigureSpec(label, unit, column=Column(Topic.DEVICES, heading))


def waited(cause: str, label: str) -> FigureSpec:
    """A part of all that a cgroup waited, by what for."""
    what = "Time on a run queue by what it was waited for."
    return FigureSpec(
        label, Unit.NS, family=Family("jostle_cgroup_wait_cause_seconds", what, ("cause", cause))
    )


def _preempted(by: str, label: str) -> FigureSpec:
    what = "Involuntary switches away from its tasks, by for whom, or by a quota."
    return FigureSpec(label, family=Family("jostle_cgroup_preemptions", what, ("by", by)))


_SAMPLED = Family(
    "jostle_cgroup_wait_sampled_seconds",
    "Of the time on a run queue, what was shared out by sample: its sum is exact, the shares are estimates.",
)


@dataclass(frozen=True, slots=True)
class SchedCounters:
    """What the scheduler's probe counts of one cgroup; times are summed over its tasks and CPUs.

    `wait_ns` is the whole wait on the run queue, and the sum of: `self_ns` (behind its own threads), `wakeup_ns`
    (the CPU was idle), `throttled_ns` (an own or an ancestor's quota), `unattributed_ns` and the waits for others.
    `preempt_wait_ns` is the part, across all of these, of waits that began with a preemption. `stolen_ns` is the part
    of `run_ns` that interrupts or the hypervisor took. `sampled_ns` is how much of the wait was shared out by sampled
    moments, so that the sum is exact and the shares are estimates.
    """

    run_ns: Annotated[int, FigureSpec("run time", Unit.NS)]
    wait_ns: Annotated[int, FigureSpec("wait time", Unit.NS)]
    self_ns: Annotated[int, waited("self", "wait for its own threads")]
    wakeup_ns: Annotated[int, waited("wakeup", "wait for an idle CPU")]
    throttled_ns: Annotated[int, waited("throttled", "throttled time")]
    unattributed_ns: Annotated[int, waited("unattributed", "wait charged to nobody")]
    preempt_wait_ns: Annotated[int, FigureSpec("wait after preemptions", Unit.NS)]
    stolen_ns: Annotated[int, FigureSpec("run time taken by interrupts or the hypervisor", Unit.NS)]
    switches: Annotated[int, FigureSpec("context switches")]
    preempted_own: Annotated[int, _preempted("own", "preemptions by its own threads")]
    preempted_foreign: Annotated[int, _preempted("foreign", "preemptions by others")]
    preempted_throttled: Annotated[int, _preempted("throttled", "preemptions by a quota")]
    sampled_ns: Annotated[int, FigureSpec("wait shared out by sample", Unit.NS, family=_SAMPLED)]


_BY_ANY_LIMIT = Told("cpu.stat.local", "throttled_usec")
_IO_BYTES, _IO_REQUESTS = (f"blkio.throttle.{what}_recursive" for what in ("io_service_bytes", "io_serviced"))


class CgroupFigures(NamedTuple, Generic[Value]):
    """What kernel files tell of one cgroup and all below it: read at one moment, grown in a window, or summed up.

    Throttled times are summed over CPUs. `limit_cpus` is the tightest of its own and its ancestors' limits, `inf`
    where there is none; `throttled_ancestors_ns` is how long its ancestors were throttled, each by its own limit, and
    so the most that they stopped it. Of the files memory.stat and memory.events all is counted since the cgroup was
    made, with descendants (cgroup-v2.rst, cgroup-v1/memory.rst).
    """

    limit_cpus: Annotated[Value | float, _limit("CPU limit", Unit.CPUS, "Limit", Growth.SETTING)]
    throttled_own_ns: Annotated[Value, _limit("time throttled by its own limit", Unit.NS, "Own limit")]
    throttled_ancestors_ns: Annotated[
        Value, _limit("time throttled by its ancestors' limits", Unit.NS, "Ancestors'")
    ]
    nr_throttled: Annotated[Value, _limit("throttled periods", heading="Throttled periods")]
    nr_periods: Annotated[Value, _limit("enforcement periods", heading="Periods")]
    # From 6.6.
    throttled_any_ns: Annotated[
        Value,
        FigureSpec("time kept from running by any limit", Unit.NS, v2=_BY_ANY_LIMIT, v1=_BY_ANY_LIMIT),
    ]
    # At least one task stalled; `full`: all at once. The kernel counts in µs (psi.rst).
    cpu_some_ns: Annotated[Value, _stall("cpu", "some", "stalled for a CPU", "CPU")]
    cpu_full_ns: Annotated[Value, _stall("cpu", "full", "all stalled for a CPU")]
    memory_some_ns: Annotated[Value, _stall("memory", "some", "stalled for memory", "Memory")]
    memory_full_ns: Annotated[Value, _stall("memory", "full", "all stalled for memory", "All for memory")]
    io_some_ns: Annotated[Value, _stall("io", "some", "stalled for I/O", "I/O")]
    io_full_ns: Annotated[Value, _stall("io", "full", "all stalled for I/O", "All for I/O")]
    # Read again soon after they were reclaimed: the working set does not fit. Until 5.9 one counter, of files alone.
    file_refaults: Annotated[
        Value,
        memory_stat("workingset_refault|workingset_refault_file", "refaults of files", "Refaults"),
    ]
    anon_refaults: Annotated[Value, memory_stat("workingset_refault_anon", "refaults from swap")]
    scanned_pages: Annotated[Value, memory_stat("pgscan", "pages scanned")]
    reclaimed_pages: Annotated[Value, memory_stat("pgsteal", "pages reclaimed", "Reclaimed")]
    # By tasks that needed memory, not by kswapd. From 6.0 (673520f8da64).
    direct_scans: Annotated[Value, memory_stat("pgscan_direct", "pages scanned directly", "Direct scans")]
    major_faults: Annotated[Value, memory_stat("pgmajfault", "major faults", "Faults")]
    memory_high_events: Annotated[Value, _memory_event("high", "hits of memory.high", None)]
    memory_max_events: Annotated[
        Value, _memory_event("max", "hits of the memory limit", Told("memory.failcnt"))
    ]
    oom_kills: Annotated[
        Value,
        _memory_event("oom_kill", "out-of-memory kills", Told("memory.oom_control", "oom_kill"), "OOM kills"),
    ]
    # Over all devices.
    read_bytes: Annotated[
        Value, _block_io("rbytes", Told(_IO_BYTES, "Read"), "bytes read", Unit.BYTES, "Read")
    ]
    written_bytes: Annotated[
        Value, _block_io("wbytes", Told(_IO_BYTES, "Write"), "bytes written", Unit.BYTES, "Written")
    ]
    reads: Annotated[Value, _block_io("rios", Told(_IO_REQUESTS, "Read"), "reads", Unit.COUNT)]
    writes: Annotated[Value, _block_io("wios", Told(_IO_REQUESTS, "Write"), "writes", Unit.COUNT)]


class DeviceFigures(NamedTuple):
    """What the probe counts of one cgroup at disks, at network devices and for want of memory, over all of them.

    Times are summed over requests, or packets. `behind` is the part in which others were served.
    """

    disk_ns: Annotated[int, _device("time of its disk requests until they were done", "Disk", Unit.NS)]
    disk_behind_ns: Annotated[
        int, _device("of the time of its disk requests, behind others'", "Disk behind others", Unit.NS)
    ]
    network_ns: Annotated[int, _device("time of its packets in devices' queues", "Network queue", Unit.NS)]
    network_behind_ns: Annotated[
        int, _device("of the time of its packets, behind others'", "Queue behind others", Unit.NS)
    ]
    network_dropped: Annotated[int, _device("packets that devices' queues dropped", "Dropped")]
    tcp_retransmits: Annotated[int, _device("segments that TCP sent again", "Sent again")]
    reclaimed_for_pages: Annotated[int, _device("pages reclaimed as it needed memory", "Reclaimed for it")]


class CpuSignals(NamedTuple):
    """One CPU: what the hypervisor and interrupts took in a window, and its mean frequency while not idle.

    Where APERF and MPERF cannot be counted, `frequency_khz` is what cpufreq said at the end of the window.
    """

    steal_ns: Annotated[int | None, FigureSpec("steal time", Unit.NS)]
    irq_ns: Annotated[int | None, FigureSpec("interrupt time", Unit.NS)]
    softirq_ns: Annotated[int | None, FigureSpec("soft interrupt time", Unit.NS)]
    frequency_khz: Annotated[int | None, FigureSpec("frequency", Unit.KHZ, Growth.LEVEL)]


class CacheSignals(NamedTuple):
    """One resctrl group in one cache domain: bytes held at the end, and moved to and from memory in a window."""

    occupancy_bytes: Annotated[int | None, FigureSpec("cache occupancy", Unit.BYTES, Growth.LEVEL)]
    total_bytes: Annotated[int | None, FigureSpec("memory traffic", Unit.BYTES)]
    local_bytes: Annotated[int | None, FigureSpec("local memory traffic", Unit.BYTES)]


class CounterFigures(NamedTuple):
    """What hardware counters say of one cgroup over some time, all its CPUs together, kernel and user.

    Counts are scaled to the whole time. Misses are per 1,000 instructions: of loads in the last-level cache and
    the TLBs, and of predicted branches. `running_ratio` is of the event that was counted least of the time: at 1
    nothing had to be scaled. All are derived from sums of `probes.perf_event.Reading`, never added themselves.
    """

    instructions: Annotated[int | Missing, _event("instructions", unit=Unit.COUNT)]
    cycles: Annotated[int | Missing, _event("cycles", unit=Unit.COUNT)]
    ipc: Annotated[float | Missing, _event("instructions per cycle", "IPC")]
    llc_misses: Annotated[float | Missing, _event("last-level cache misses", "LLC")]
    dtlb_misses: Annotated[float | Missing, _event("data TLB misses", "dTLB")]
    itlb_misses: Annotated[float | Missing, _event("instruction TLB misses", "iTLB")]
    branch_misses: Annotated[float | Missing, _event("branch misses", "Branches")]
    running_ratio: Annotated[float | Missing, _event("share of the time counted", "Counted")]


def specs(record: type) -> tuple[FigureSpec, ...]:
    """The figures of a record's fields, in their order; fields that are not figures are left out."""
    hints = get_type_hints(record, include_extras=True)
    return tuple(
        replace(spec, name=name)
        for name, hint in hints.items()
        for spec in getattr(hint, "__metadata__", ())
        if isinstance(spec, FigureSpec)
    )


SCHED_FIGURES = specs(SchedCounters)
CONTENTION = FigureSpec(
    "part of the CPU time it wanted that it waited behind others, quotas apart",
    Unit.RATIO,
    Growth.LEVEL,
    name="contention_ratio",
)
"""Derived of a window, or of several together: `CgroupWindow.contention_ratio`."""
CGROUP_FIGURES = specs(CgroupFigures)
DEVICE_FIGURES = specs(DeviceFigures)
ARE_COUNTERS = tuple(spec.growth is Growth.COUNTER for spec in CGROUP_FIGURES)
HOST_PRESSURE = tuple(spec.name for spec in CGROUP_FIGURES if spec.v2 and spec.v2.file.endswith(".pressure"))
"""What is read of the whole host as well."""

CgroupSignals = CgroupFigures[int | None]
"""How much each figure of a cgroup grew in a window or in several; the levels as they were at the end, or on average.

None: there is no such figure, never 0, and no figure is negative.
"""
Row = TypeVar("Row", CgroupSignals, CpuSignals, CacheSignals)
Amount = int | float | None


def add(rows: Sequence[Row]) -> Row:
    """Rows of windows that follow one another as one: each figure over the windows that have it. At least one row."""
    kind = type(rows[0])
    columns = zip(*rows, strict=True)
    return kind._make(added(column) for added, column in zip(_ADDED[kind], columns, strict=True))


def add_counts(counts: Iterable[Mapping[str, Reading]]) -> dict[str, Reading]:
    """The sum of what events counted, by their names."""
    found: dict[str, Reading] = {}
    for each in counts:
        for name, b in each.items():
            a = found.get(name, _NOTHING)
            found[name] = Reading(a.value + b.value, a.enabled_ns + b.enabled_ns, a.running_ns + b.running_ns)
    return found


def total(figures: Iterable[Any]) -> Any:  # noqa: ANN401  of ints an int, of floats a float
    """The sum of those there are; None when there is none."""
    present = [figure for figure in figures if figure is not None]
    return sum(present) if present else None


def _mean(figures: Iterable[Amount]) -> Amount:
    present = [figure for figure in figures if figure is not None]
    return round(sum(present) / len(present)) if present else None


def _latest(figures: Sequence[Amount]) -> Amount:
    return figures[-1]


_SUMS = {Growth.COUNTER: total, Growth.LEVEL: _mean, Growth.SETTING: _latest}
_ADDED: Mapping[type[Any], tuple[Callable[[Sequence[Amount]], Any], ...]] = {
    kind: tuple(_SUMS[spec.growth] for spec in specs(kind))
    for kind in (CgroupFigures, CpuSignals, CacheSignals)
}
