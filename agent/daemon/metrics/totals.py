"""What the metrics count: sums since the agent's start, of as many cgroups and pairs as there is room for.

A series never goes down: what is let go for want of room is kept aside for a while, and goes on where it was when it
comes back. What has no series of its own is counted under OTHER, which is never let go.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import add, attrgetter, itemgetter
from typing import Generic, TypeVar

from collectors.windows.figures import ARE_COUNTERS, CGROUP_FIGURES, SCHED_FIGURES, Amount, CgroupSignals
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import OTHER, REST, CgroupWindow, SchedWindow

Total = TypeVar("Total")

# A series that has not grown for so long has left Prometheus' view (its lookback is 5 minutes), and makes room.
IDLE_NS = 300 * 10**9
# So many times as many are kept aside as have series.
_ASIDE = 4
# A pair gets a series when it is at least this much of all waiting for others in a window.
_LEAST_PAIR_SHARE = 0.01
# One bucket per octave from 66 µs to 2 s, each made of whole buckets of the probe, below them and above.
BOUNDS_NS = tuple(1 << octave for octave in range(16, 32))
_SCHED = tuple(spec.name for spec in SCHED_FIGURES)
_counters_of = attrgetter(*_SCHED)
# Of the running sum of a histogram, with a 0 before it, what lies below each bound, and all.
_below_bounds = itemgetter(*map(EDGES_NS.index, BOUNDS_NS), len(EDGES_NS))


@dataclass(slots=True)
class _Held(Generic[Total]):
    total: Total
    seen_ns: int


class Capped(Generic[Total]):
    """Totals by labels, of which at most `most` have one of their own at a time; `other` is of all the others."""

    def __init__(self, most: int, other: tuple[str, ...], make: Callable[[], Total]) -> None:
        self.most = most
        self._make = make
        self._other_labels = other
        self.other = make()
        self._held: dict[tuple[str, ...], _Held[Total]] = {}
        self._aside: OrderedDict[tuple[str, ...], Total] = OrderedDict()

    def of(self, labels: tuple[str, ...], now_ns: int, *, worth_it: bool = True) -> Total:
        """The sums to which what these labels did is added. Only who is `worth_it` gets a series, or keeps it."""
        held = self._held.get(labels)
        if held is None:
            if not worth_it or len(self._held) >= self.most or OTHER in labels:
                return self.other
            held = self._held[labels] = _Held(self._aside.pop(labels, None) or self._make(), now_ns)
        if worth_it:
            held.seen_ns = now_ns
        return held.total

    def forget(self, now_ns: int) -> None:
        """Make room: of those idle for long, and of those too many, the longest idle."""
        by_age = sorted(self._held.items(), key=lambda item: item[1].seen_ns)
        surplus = len(by_age) - self.most
        for number, (labels, held) in enumerate(by_age):
            if number < surplus or held.seen_ns <= now_ns - IDLE_NS:
                self._aside[labels] = self._held.pop(labels).total
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
    below each of BOUNDS_NS, and all.
    """

    sched: tuple[int, ...] = (0,) * len(SCHED_FIGURES)
    signals: tuple[Amount, ...] = (None,) * len(CGROUP_FIGURES)
    others_ns: int = 0
    waits: tuple[int, ...] = (0,) * (len(BOUNDS_NS) + 1)

    def add(self, cgroup: CgroupWindow, row: CgroupSignals | None) -> None:
        """One more window of it, and what its kernel files say."""
        self.sched = tuple(map(add, self.sched, _counters_of(cgroup)))
        if row is not None:
            # 300 cgroups in every window: some 2 µs each.
            self.signals = tuple(
                new if old is None or not is_counter else old if new is None else old + new
                for is_counter, old, new in zip(ARE_COUNTERS, self.signals, row, strict=True)
            )
        self.others_ns += sum(wait.wait_ns for wait in cgroup.waited_for.values())
        # At once, as the sums above: 300 cgroups in every window. A loop over the bounds takes twice as long.
        self.waits = tuple(map(add, self.waits, _below_bounds((0, *accumulate(cgroup.histogram)))))

    def figures(self) -> dict[str, Amount]:
        """Each by its name in the registry, and `others_ns`."""
        return {
            **dict(zip(_SCHED, self.sched, strict=True)),
            **dict(zip(CgroupSignals._fields, self.signals, strict=True)),
            "others_ns": self.others_ns,
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

    def add(self, window: SchedWindow) -> None:
        """Add one window to the totals of every cgroup and pair."""
        now_ns = window.end_ns
        signals = window.signals.cgroups if window.signals else {}
        for path, cgroup in window.cgroups.items():
            self.cgroups.of((self._escape(path),), now_ns).add(cgroup, signals.get(path))
        self._add_pairs(window.cgroups.values(), now_ns)
        self._add_cpus(window)
        self.untracked = window.untracked
        self.cgroups.forget(now_ns)
        self.pairs.forget(now_ns)

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
        for victim, aggressor, wait in sorted(told, key=lambda pair: -pair[2].wait_ns):
            # Whom the probe does not tell apart is nobody in particular.
            labels = (victim, OTHER if aggressor == REST else self._escape(aggressor))
            self.pairs.of(labels, now_ns, worth_it=wait.wait_ns >= least_ns).add(*wait)

    def _add_cpus(self, window: SchedWindow) -> None:
        self.cpus += [CpuTotals() for _ in window.cpus[len(self.cpus) :]]
        for total, cpu in zip(self.cpus, window.cpus, strict=False):
            total.run_ns += round(cpu.running * window.duration_ns)
            total.wait_ns += round(cpu.waiting * window.duration_ns)
            total.switches += cpu.switches
