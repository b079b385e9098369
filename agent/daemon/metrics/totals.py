"""What the metrics count: sums since the agent's start, of as many cgroups and pairs as there is room for.

Who is large has one, whoever came first. A series never goes down: what is let go for want of room is kept aside for a
while, and goes on where it was when it comes back. What has no series of its own is counted under OTHER, which is never
let go.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from itertools import accumulate
from operator import add, attrgetter, itemgetter
from typing import Generic, TypeVar

from collectors.host.workloads import Workload, identify
from collectors.windows.devices import device_figures
from collectors.windows.figures import (
    ARE_COUNTERS,
    CGROUP_FIGURES,
    DEVICE_FIGURES,
    SCHED_FIGURES,
    Amount,
    CgroupSignals,
    DeviceFigures,
)
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import OTHER, REST, CgroupWindow, SchedWindow

Total = TypeVar("Total")

# A series that has not grown for so long has left Prometheus' view (its lookback is 5 minutes), and makes room.
IDLE_NS = 300 * 10**9
# A series changes hands when the new one is so many times as large, for one in so many series a window.
_LARGER, _TURNOVER = 2.0, 10
# The size of a series' owner is the mean over about so many windows.
_REMEMBERED = 8
# So many times as many are kept aside as have series.
_ASIDE = 4
# A pair gets a series when it is at least this much of all waiting for others in a window.
_LEAST_PAIR_SHARE = 0.01
# 12 with what is above: from 66 µs to 1 s, octaves where schedulers' slices lie; each of whole buckets of the probe.
BOUNDS_NS = tuple(1 << octave for octave in (16, 18, *range(20, 27), 28, 30))
NAMED = ("namespace", "pod", "container", "workload")
"""The labels that say whose cgroup it is, beside its path; empty, which is none, where that is not known."""
_SCHED = tuple(spec.name for spec in SCHED_FIGURES)
_counters_of = attrgetter(*_SCHED)
# Of the running sum of a histogram, with a 0 before it, what lies below each bound, and all.
_below_bounds = itemgetter(*map(EDGES_NS.index, BOUNDS_NS), len(EDGES_NS))


@dataclass(slots=True)
class _Held(Generic[Total]):
    total: Total
    seen_ns: int
    size: float


class Capped(Generic[Total]):
    """Totals by labels, of which at most `most` have one of their own at a time; `other` is of all the others."""

    def __init__(self, most: int, other: tuple[str, ...], make: Callable[[], Total]) -> None:
        self.most = most
        self._make = make
        self._other_labels = other
        self.other = make()
        self._held: dict[tuple[str, ...], _Held[Total]] = {}
        self._aside: OrderedDict[tuple[str, ...], Total] = OrderedDict()

    def of(self, labels: tuple[str, ...]) -> Total:
        """The sums to which what these labels did is added."""
        held = self._held.get(labels)
        return self.other if held is None else held.total

    def admit(self, sizes: Mapping[tuple[str, ...], float], now_ns: int) -> None:
        """Give series to the largest of a window, by the amounts of those who may have one, and keep theirs."""
        for labels, held in self._held.items():
            held.size += (sizes.get(labels, 0.0) - held.size) / _REMEMBERED
            if labels in sizes:
                held.seen_ns = now_ns
        room, least = self.most - len(self._held), max(1, self.most // _TURNOVER)
        new = nlargest(
            max(0, room) + least, (item for item in sizes.items() if self._may_begin(item[0])), itemgetter(1)
        )
        smallest = iter(nsmallest(least, self._held.items(), lambda item: item[1].size))
        for number, (labels, size) in enumerate(new):
            if number >= room:
                before = next(smallest, None)
                if before is None or size <= _LARGER * before[1].size:
                    break
                self._put_aside(before[0])
            self._held[labels] = _Held(self._aside.pop(labels, None) or self._make(), now_ns, size)

    def _may_begin(self, labels: tuple[str, ...]) -> bool:
        return labels not in self._held and OTHER not in labels

    def _put_aside(self, labels: tuple[str, ...]) -> None:
        self._aside[labels] = self._held.pop(labels).total

    def forget(self, now_ns: int) -> None:
        """Make room: of those idle for long, and of those too many, the longest idle."""
        by_age = sorted(self._held.items(), key=lambda item: item[1].seen_ns)
        surplus = len(by_age) - self.most
        for number, (labels, held) in enumerate(by_age):
            if number < surplus or held.seen_ns <= now_ns - IDLE_NS:
                self._put_aside(labels)
        while len(self._aside) > _ASIDE * self.most:
            self._aside.popitem(last=False)

    def items(self) -> Iterator[tuple[tuple[str, ...], Total]]:
        """The labels and the amounts of each series, OTHER last."""
        yield from ((labels, held.total) for labels, held in self._held.items())
        yield self._other_labels, self.other


@dataclass(slots=True)
class CgroupTotals:
    """One cgroup's sums, in the order of the registry; `others_ns` is what it waited for others.

    A figure of its kernel files that no window has had is None; of levels there is the latest. `waits` counts those
    below each of BOUNDS_NS, and all. `contention_ratio` is the latest window's, None where it did nothing in it.
    """

    sched: tuple[int, ...] = (0,) * len(SCHED_FIGURES)
    signals: tuple[Amount, ...] = (None,) * len(CGROUP_FIGURES)
    devices: tuple[int, ...] = (0,) * len(DEVICE_FIGURES)
    others_ns: int = 0
    contention_ratio: float | None = None
    waits: tuple[int, ...] = (0,) * (len(BOUNDS_NS) + 1)

    def add(
        self, cgroup: CgroupWindow, row: CgroupSignals | None, devices: DeviceFigures | None = None
    ) -> None:
        """One more window of it, what its kernel files say, and what it had of devices."""
        self.sched = tuple(map(add, self.sched, _counters_of(cgroup)))
        if devices is not None:
            self.devices = tuple(map(add, self.devices, devices))
        if row is not None:
            # 300 cgroups in every window: some 2 µs each.
            self.signals = tuple(
                new if old is None or not is_counter else old if new is None else old + new
                for is_counter, old, new in zip(ARE_COUNTERS, self.signals, row, strict=True)
            )
        self.others_ns += cgroup.others_ns
        self.contention_ratio = cgroup.contention_ratio
        # At once, as the sums above: 300 cgroups in every window. A loop over the bounds takes twice as long.
        self.waits = tuple(map(add, self.waits, _below_bounds((0, *accumulate(cgroup.histogram)))))

    def figures(self) -> dict[str, Amount]:
        """Each by its name in the registry, `others_ns` and `contention_ratio`."""
        return {
            **dict(zip(_SCHED, self.sched, strict=True)),
            **dict(zip(CgroupSignals._fields, self.signals, strict=True)),
            **dict(zip(DeviceFigures._fields, self.devices, strict=True)),
            "others_ns": self.others_ns,
            "contention_ratio": self.contention_ratio,
        }


@dataclass(slots=True)
class PairTotals:
    """How long a victim waited for an aggressor, and how often that one preempted it."""

    wait_ns: int = 0
    preemptions: int = 0

    def add(self, wait_ns: int, preemptions: int) -> None:
        """More of both."""
        self.wait_ns += wait_ns
        self.preemptions += preemptions


@dataclass(slots=True)
class CpuTotals:
    """One CPU's time with a task, tasks' time waiting for it, and its switches."""

    run_ns: int = 0
    wait_ns: int = 0
    switches: int = 0


class Totals:
    """All sums. `escape` makes a tenant's name harmless; names that look the same then are counted as one."""

    def __init__(self, most_cgroups: int, most_pairs: int, escape: Callable[[str], str]) -> None:
        self.cgroups = Capped(most_cgroups, (OTHER,), CgroupTotals)
        self.pairs = Capped(most_pairs, (OTHER, OTHER), PairTotals)
        self.cpus: list[CpuTotals] = []
        self.untracked = 0
        self._escape = escape
        self._named: dict[str, tuple[Workload, tuple[str, ...]]] = {}

    def add(self, window: SchedWindow) -> None:
        """Add one window to the totals of every cgroup and pair."""
        now_ns = window.end_ns
        signals = window.signals.cgroups if window.signals else {}
        for held in self.cgroups.items():
            held[1].contention_ratio = None
        names = window.signals.names if window.signals else {}
        devices = device_figures([window])
        sizes: dict[tuple[str, ...], float] = {}
        for path, cgroup in window.cgroups.items():
            label = self._escape(path)
            sizes[label,] = sizes.get((label,), 0.0) + cgroup.run_ns + cgroup.wait_ns
        self.cgroups.admit(sizes, now_ns)
        for path, cgroup in window.cgroups.items():
            label = self._escape(path)
            self.cgroups.of((label,)).add(cgroup, signals.get(path), devices.get(path))
            self._name(label, names.get(path) or path)
        self._add_pairs(window.cgroups.values(), now_ns)
        self._add_cpus(window)
        self.untracked = window.untracked
        self.cgroups.forget(now_ns)
        self.pairs.forget(now_ns)
        if len(self._named) > 2 * (len(window.cgroups) + self.cgroups.most + 2 * self.pairs.most):
            kept = {
                label
                for totals in (self.cgroups, self.pairs)
                for labels, _ in totals.items()
                for label in labels
            }
            kept |= {self._escape(path) for path in window.cgroups}
            self._named = {label: named for label, named in self._named.items() if label in kept}

    def named(self, label: str) -> tuple[str, ...]:
        """The values of NAMED for a label that shows a cgroup."""
        known = self._named.get(label)
        return known[1] if known else ("",) * len(NAMED)

    def _name(self, label: str, named: Workload | str) -> None:
        """Whose cgroup it is: as the window says, or as far as its path does."""
        known = self._named.get(label)
        if known is not None and (isinstance(named, str) or known[0] is named):
            return
        workload = identify(named) if isinstance(named, str) else named
        values = (workload.namespace, workload.pod_name, workload.container_name, workload.owner)
        self._named[label] = workload, tuple(self._escape(value) if value else "" for value in values)

    def _add_pairs(self, cgroups: Iterable[CgroupWindow], now_ns: int) -> None:
        waits = [
            (cgroup, tuple(zip(*cgroup.waited_for.values(), strict=True)))
            for cgroup in cgroups
            if cgroup.waited_for
        ]
        least_ns = max(1, _LEAST_PAIR_SHARE * sum(sum(columns[0]) for _, columns in waits))
        victims = {labels[0] for labels, _ in self.pairs.items()}
        told = []
        for cgroup, (wait_ns, preemptions) in waits:
            victim = self._escape(cgroup.path)
            if max(wait_ns) >= least_ns or victim in victims:
                told += [(victim, name, wait) for name, wait in cgroup.waited_for.items()]
            else:  # as most of the thousands of a crowded host: none of its pairs has a series, or gets one
                self.pairs.other.add(sum(wait_ns), sum(preemptions))
        # Whom the probe does not tell apart is nobody in particular.
        pairs = [
            ((victim, OTHER if aggressor == REST else self._escape(aggressor)), wait)
            for victim, aggressor, wait in told
        ]
        self.pairs.admit({labels: wait.wait_ns for labels, wait in pairs if wait.wait_ns >= least_ns}, now_ns)
        for labels, wait in pairs:
            self.pairs.of(labels).add(*wait)

    def _add_cpus(self, window: SchedWindow) -> None:
        self.cpus += [CpuTotals() for _ in window.cpus[len(self.cpus) :]]
        for total, cpu in zip(self.cpus, window.cpus, strict=False):
            total.run_ns += round(cpu.running * window.duration_ns)
            total.wait_ns += round(cpu.waiting * window.duration_ns)
            total.switches += cpu.switches
