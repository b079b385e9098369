"""Totals as families of the Prometheus client. docs/metrics.md lists them; times are in seconds, shares from 0 to 1."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from agent.daemon.metrics.totals import BOUNDS_NS, NAMED, CgroupTotals, CpuTotals, PairTotals, Totals
from agent.daemon.sinks import Observation
from agent.documents.verdict import SelfCost
from collectors.windows.figures import (
    CGROUP_FIGURES,
    CONTENTION,
    DEVICE_FIGURES,
    SCHED_FIGURES,
    Amount,
    Family,
    FigureSpec,
    Growth,
    Unit,
    waited,
)
from collectors.windows.sched import NS_PER_S, OTHER

# Waits are whole nanoseconds below the next bucket's edge.
_LE = (*(str(bound / NS_PER_S) for bound in BOUNDS_NS), "+Inf")
_SCHED = (
    # The histogram of waits has their sum.
    *(spec for spec in SCHED_FIGURES if spec.name != "wait_ns"),
    replace(waited("others", "wait for others"), name="others_ns"),
    CONTENTION,
)

LabelValues = tuple[str, ...]
Named = Callable[[str], LabelValues]
"""The values of NAMED for the label of a cgroup."""

ESSENTIAL = frozenset(
    {"jostle_cgroup_run_seconds", "jostle_cgroup_wait_cause_seconds", "jostle_cgroup_contention_ratio"}
    | {"jostle_blame_wait_seconds"}
)
"""Of the families of cgroups, pairs and CPUs, those that a fleet can pay for."""


def named_of(*sides: str) -> list[str]:
    """The labels that say whose cgroups the sides of a pair are."""
    return [f"{side}_{name}" for side in sides for name in NAMED]


NAMES = frozenset({*NAMED, *named_of("victim", "aggressor", "suspect")})


def is_essential(family: Metric) -> bool:
    """Whether it is one of ESSENTIAL, or of those that are few: about the agent, its probe, events."""
    return family.name in ESSENTIAL or not family.name.startswith(
        ("jostle_cgroup_", "jostle_blame_", "jostle_cpu_")
    )


def scheduler(totals: Totals) -> Iterator[Metric]:
    """The families that the scheduler's figures of cgroups, pairs and CPUs make."""
    yield from _cgroups(
        [((*labels, *totals.named(labels[0])), total) for labels, total in totals.cgroups.items()]
    )
    yield from _pairs(list(totals.pairs.items()), totals.named)
    yield from _cpus(totals.cpus)
    yield _gauge(
        "jostle_untracked_cgroups", "Cgroups without a slot in the probe, counted as other.", totals.untracked
    )


def _cgroups(cgroups: Sequence[tuple[LabelValues, CgroupTotals]]) -> Iterator[Metric]:
    waits = HistogramMetricFamily(
        "jostle_cgroup_wait_seconds",
        "How long its tasks waited on a run queue, each time; the sum includes waits still in progress.",
        labels=["cgroup", *NAMED],
    )
    sums = [(labels, total.figures()) for labels, total in cgroups]
    for (labels, total), (_, figures) in zip(cgroups, sums, strict=True):
        buckets = list(zip(_LE, map(float, total.waits), strict=True))
        waits.add_metric(labels, buckets, (figures["wait_ns"] or 0) / NS_PER_S)
    yield waits
    yield from figure_families(_SCHED, sums)
    yield from figure_families((*CGROUP_FIGURES, *DEVICE_FIGURES), sums, since_first=True)


def figure_families(
    specs: Iterable[FigureSpec],
    cgroups: Sequence[tuple[LabelValues, Mapping[str, Amount]]],
    *,
    since_first: bool = False,
) -> Iterator[Metric]:
    """The families of these figures, of each cgroup those that are known.

    No limit is not a figure, and of several cgroups together there are no levels. With `since_first` what has never
    counted is left out: of a cgroup's kernel files that is most, and all of them double the time that a scrape takes,
    45 ms of 100 cgroups.
    """
    found: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for spec in specs:
        name, what, label = spec.family or _own_family(spec)
        is_counter = spec.growth is Growth.COUNTER
        if name not in found:
            kind = CounterMetricFamily if is_counter else GaugeMetricFamily
            found[name] = kind(name, what, labels=["cgroup", *NAMED, *(label or ())[:1]])
        per = NS_PER_S if spec.unit is Unit.NS else 1
        for labels, figures in cgroups:
            amount = figures[spec.name]
            if amount is None or amount == inf or (since_first and not amount):
                continue
            if is_counter or labels[0] != OTHER:
                found[name].add_metric((*labels, *(label or ())[1:]), amount / per)
    yield from found.values()


def _own_family(spec: FigureSpec) -> Family:
    name = f"{spec.name.removesuffix('_ns')}_seconds" if spec.unit is Unit.NS else spec.name
    return Family(f"jostle_cgroup_{name}", f"{spec.label[:1].upper()}{spec.label[1:]}.")


def _pairs(of_two: Sequence[tuple[LabelValues, PairTotals]], named: Named) -> Iterator[Metric]:
    names = ("victim", "aggressor", *named_of("victim", "aggressor"))
    pairs = [((victim, other, *named(victim), *named(other)), total) for (victim, other), total in of_two]
    yield _counter(
        "jostle_blame_wait_seconds",
        "Time that a cgroup waited while another ran on its CPU; the top pairs, the others together.",
        names,
        ((labels, total.wait_ns / NS_PER_S) for labels, total in pairs),
    )
    yield _counter(
        "jostle_blame_preemptions",
        "How often a cgroup was preempted by another; the top pairs, the others together.",
        names,
        ((labels, total.preemptions) for labels, total in pairs),
    )


def _cpus(cpus: Sequence[CpuTotals]) -> Iterator[Metric]:
    for name, what, values in (
        ("jostle_cpu_run_seconds", "Time with a task.", [cpu.run_ns / NS_PER_S for cpu in cpus]),
        (
            "jostle_cpu_wait_seconds",
            "Time that tasks waited for it.",
            [cpu.wait_ns / NS_PER_S for cpu in cpus],
        ),
        ("jostle_cpu_switches", "Context switches.", [cpu.switches for cpu in cpus]),
    ):
        yield _counter(name, what, ("cpu",), (((str(cpu),), value) for cpu, value in enumerate(values)))


def agent(observation: Observation) -> Iterator[Metric]:
    """The families about the agent itself."""
    health = observation.health
    yield _gauge(
        "jostle_last_window_timestamp_seconds",
        "When the latest window ended.",
        observation.end_utc_ns / NS_PER_S,
    )
    yield _counter("jostle_agent_windows", "Windows read.", (), [((), health.windows)])
    yield _counter(
        "jostle_agent_lost_windows", "Windows that could not be read.", (), [((), health.lost_windows)]
    )
    yield _gauge("jostle_agent_uptime_seconds", "Since the agent started.", health.uptime_s)
    yield _gauge(
        "jostle_agent_cpu_ratio",
        "Share of one CPU that the agent took, its probe excluded.",
        health.cpu_pct / 100,
    )
    yield _gauge("jostle_agent_resident_memory_bytes", "Resident memory.", health.rss_bytes)
    yield _gauge("jostle_agent_open_descriptors", "Open file descriptors.", health.descriptors)
    yield _counter(
        "jostle_agent_sink_windows",
        "Windows and events that a sink took, or lost because it failed or was busy.",
        ("sink", "outcome"),
        (
            ((sink.name, outcome), count)
            for sink in health.sinks
            for outcome, count in (("taken", sink.taken), ("lost", sink.lost))
        ),
    )
    up = GaugeMetricFamily("jostle_agent_sink_up", "Whether a sink works.", labels=["sink"])
    for sink in health.sinks:
        up.add_metric((sink.name,), float(sink.trouble is None))
    yield up
    if health.probe is not None:
        yield from _probe(health.probe)


def _probe(cost: SelfCost) -> Iterator[Metric]:
    """Absent where it is not known: never 0."""
    if cost.ns_per_switch is not None:
        yield _gauge(
            "jostle_probe_switch_seconds",
            "Time in the probe per context switch.",
            cost.ns_per_switch / NS_PER_S,
        )
    if cost.cpu_pct is not None:
        yield _gauge(
            "jostle_probe_cpu_ratio", "Share of the host's CPU time that the probe took.", cost.cpu_pct / 100
        )
    if cost.kernel_memory_bytes is not None:
        yield _gauge(
            "jostle_probe_kernel_memory_bytes", "Of the kernel, held by the probe.", cost.kernel_memory_bytes
        )


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _counter(
    name: str, what: str, labels: LabelValues, values: Iterable[tuple[LabelValues, float]]
) -> Metric:
    family = CounterMetricFamily(name, what, labels=list(labels))
    for each, value in values:
        family.add_metric(each, value)
    return family
