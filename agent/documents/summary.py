"""What a recording adds up to, per cgroup, schema `jostle.summary/1`: the records that reports render.

An unavailable figure is None, and `unavailable` maps the name of its field (`wait_p99_ns`, `self_cost.cpu_pct`,
`signals.ipc`) to the reason, once for the run. `missing` counts the figures that single windows lack.
"""

from collections.abc import Iterable, Mapping

import msgspec

from agent.documents.codec import Document, Record, null_keys
from agent.documents.event import Episode
from agent.documents.verdict import SelfCost
from agent.documents.verdict_parts import Host
from collectors.windows.figures import CGROUP_FIGURES, CounterFigures, specs
from collectors.windows.signals import Absence

SIGNALS = (*(spec for spec in CGROUP_FIGURES if spec.name != "limit_cpus"), *specs(CounterFigures))
"""The figures in a cgroup's `signals`; its limit stands beside them, as no limit is left out."""

MOST_CGROUPS, MOST_WAITED_FOR = 20, 5
"""What reports show of a recording: a crowded host has hundreds, and each of them waits for dozens of others."""

SignalFigures = Mapping[str, int | float | None]
"""Figures of one cgroup by the names in SIGNALS: each the sum over those windows that have it, None where none has."""


class WaitBy(Record, frozen=True):
    """How long a cgroup waited while this one ran on its CPU. `cgroup` is its path, where it has one."""

    name: str
    wait_ns: int
    cgroup: str | None = None


class CorunWith(Record, frozen=True):
    """How long a cgroup ran while this one did, on a sibling thread or on a CPU of the same last-level cache.

    `cgroup` is its path, where it has one.
    """

    name: str
    smt_ns: int
    llc_ns: int
    cgroup: str | None = None


class WorkloadSummary(Record, frozen=True):
    """Who runs in a cgroup, as far as its path and the runtimes' files tell. Every name is hostile text."""

    kind: str
    unit: str | None = None
    runtime: str | None = None
    container_id: str | None = None
    container: str | None = None
    pod: str | None = None
    pod_uid: str | None = None
    namespace: str | None = None
    qos_class: str | None = None
    image: str | None = None
    project: str | None = None
    service: str | None = None
    owner: str | None = None


class CpuSummary(Record, frozen=True):
    """One CPU; `frequency_mhz` is the mean over the windows."""

    cpu: int
    steal_ns: int | None
    irq_ns: int | None
    softirq_ns: int | None
    frequency_mhz: float | None


class CacheSummary(Record, frozen=True):
    """One resctrl group in one cache domain; `occupancy_bytes` is the mean over the windows."""

    group: str
    domain: int
    occupancy_bytes: float | None
    total_bytes: int | None
    local_bytes: int | None


class HostSummary(Record, frozen=True):
    """The host; `pressure` by name, as in a cgroup (`io_some_ns`)."""

    cpus: tuple[CpuSummary, ...]
    pressure: Mapping[str, int | None]
    caches: tuple[CacheSummary, ...]


class CgroupSummary(Record, frozen=True):
    """One cgroup over the whole recording. The times are summed over its tasks."""

    path: str
    name: str
    run_ns: int | None
    wait_ns: int | None  # runnable, but not running
    wait_p50_ns: float | None
    wait_p99_ns: float | None
    switches: int | None
    involuntary_foreign: int | None  # switched away from for a task of another cgroup
    involuntary_own: int | None  # switched away from for a task of its own
    throttled_ns: int | None  # waited for its quota, or an ancestor's, to be renewed
    mean_waiting: float | None  # tasks, over time: wait time by wall time (Little's law)
    mean_running: float | None  # tasks, over time: CPUs kept busy
    sampled_ns: int  # of wait_ns, shared out by sample: the sum is exact, its shares are estimates
    wait_by: tuple[WaitBy, ...]  # the longest first
    # Of what it wanted, quotas apart, the part it waited behind others, 0 to 1; left out: it is not known for whom.
    contention_ratio: float | None = None
    # The tightest of its own and its ancestors' quotas; left out: it has none.
    limit_cpus: float | None = None
    signals: SignalFigures | None = None  # left out: nothing but the scheduler was recorded
    # What it had of disks, network queues and reclaims; left out: nothing, or nobody looked.
    devices: Mapping[str, int] | None = None
    corun_with: tuple[CorunWith, ...] = ()  # sampled, the longest first
    workload: WorkloadSummary | None = None  # left out: it was not looked for


class Waits(Record, frozen=True):
    """How many waits of one cgroup fell into each bucket of `RunDetails.edges_ns`."""

    name: str
    waits: tuple[int, ...]


class Waiting(Record, frozen=True):
    """How many tasks of one cgroup waited for a CPU at each point in time, on average."""

    name: str
    mean_waiting: tuple[float, ...]


class Moment(Record, frozen=True):
    """One point of a time line: one window or several, in seconds from the recording's beginning."""

    begin_s: float
    end_s: float


class WaitedFor(Record, frozen=True):
    """What a cgroup waited for: a cgroup, its own threads, a quota, all others; in each moment."""

    name: str
    wait_ns: tuple[int, ...]


class WaitsByMoment(Record, frozen=True):
    """One cgroup in each moment: how many of its tasks waited on average, and for whom how long, the longest first."""

    name: str
    mean_waiting: tuple[float, ...]
    waited_for: tuple[WaitedFor, ...]


class ByMoment(Record, frozen=True):
    """Who waited for whom over time, finer than `RunDetails.over_time`; the cgroup that waited longest first."""

    moments: tuple[Moment, ...]
    cgroups: tuple[WaitsByMoment, ...]


class RunMatrix(Record, frozen=True):
    """Who waited for whom in the whole recording; for its own threads where its row meets its column."""

    waiting: tuple[str, ...]
    waited_for: tuple[str, ...]
    wait_ns: tuple[tuple[int, ...], ...]  # a row for each that waited


class RunDetails(Record, frozen=True):
    """The waits of a recording by length, over time and by who waited for whom; the cgroup that waited longest first.

    `edges_ns` are upper edges, ascending; null marks the open last bucket.
    """

    edges_ns: tuple[float | None, ...]
    by_length: tuple[Waits, ...]
    moments: tuple[Moment, ...]
    over_time: tuple[Waiting, ...]
    matrix: RunMatrix
    by_moment: ByMoment | None = None  # left out: not asked for, as it is long


class RunSummary(Document, frozen=True):
    """A whole recording, the cgroup that waited longest first."""

    SCHEMA = "jostle.summary/1"

    duration_s: float
    host: Host
    tier: str
    cgroups: tuple[CgroupSummary, ...]
    self_cost: SelfCost
    lost_windows: int
    partial: bool
    warnings: tuple[str, ...]
    unavailable: Mapping[str, str] = msgspec.field(default_factory=dict)
    host_signals: HostSummary | None = None
    missing: Mapping[str, Absence] = msgspec.field(default_factory=dict)
    events: tuple[Episode, ...] | None = None  # of the agent's history; left out: nobody judged
    details: RunDetails | None = None  # left out: nothing is known of single windows
    since: str | None = None  # begin of the first window, ISO 8601; left out: there is none
    until: str | None = None
    title: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        silent = sorted(_nulls(self) - self.unavailable.keys())
        if silent:
            raise ValueError(f"{silent[0]} is null and unavailable gives no reason")


def _nulls(summary: RunSummary) -> set[str]:
    columns = {key for cgroup in summary.cgroups for key in null_keys(cgroup)}
    signals = [cgroup.signals for cgroup in summary.cgroups if cgroup.signals]
    return (
        columns
        | {f"self_cost.{key}" for key in null_keys(summary.self_cost)}
        | signal_nulls(signals, summary.host_signals)
    )


def signal_nulls(signals: Iterable[SignalFigures], host: HostSummary | None) -> set[str]:
    """The names, as in `unavailable`, of what is null in the signals of cgroups and host."""
    nulls = {f"signals.{name}" for each in signals for name, figure in each.items() if figure is None}
    if host is None:
        return nulls
    nulls |= {f"host.{name}" for name, figure in host.pressure.items() if figure is None}
    nulls |= {f"cpu.{key}" for cpu in host.cpus for key in null_keys(cpu)}
    return nulls | {f"cache.{key}" for cache in host.caches for key in null_keys(cache)}
