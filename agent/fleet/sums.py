"""The windows of an hour added up by five minutes, as arrays.

A host-hour of 300 cgroups is 100,000 histograms. Of each window only what is shipped is unpacked, and that is added
row by row: as records of Python's it took 5 s of CPU and 160 MB.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from agent.documents.times import span_of
from agent.fleet.schema import BUCKET_S, HOUR_S
from collectors.host.workloads import Workload
from collectors.windows.figures import ARE_COUNTERS, CGROUP_FIGURES, HOST_PRESSURE, SCHED_FIGURES, total
from collectors.windows.histogram import EDGES_NS, OCTAVES_NS
from collectors.windows.sched import CpuWindow
from collectors.windows.signals import HostSignals

NS = 10**9
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Row = tuple[object, ...]

_NAMES = tuple(spec.name for spec in SCHED_FIGURES)
RUN, WAIT, _SAMPLED = (_NAMES.index(name) for name in ("run_ns", "wait_ns", "sampled_ns"))
_OCTAVES = [EDGES_NS.index(edge_ns) for edge_ns in OCTAVES_NS]
_PAIRS_AT_ONCE = 200_000  # of a window's pairs, before they are added up: 6 MB

Count = Annotated[int, msgspec.Meta(ge=0)]
_Cgroup: Any = msgspec.defstruct(
    "_Cgroup",
    [
        *((name, Count) for name in _NAMES),
        ("histogram", msgspec.Raw),
        ("waited_for", dict[str, tuple[Count, Count]]),
    ],
)
_Signals: Any = msgspec.defstruct(
    "_Signals",
    [
        ("cgroups", dict[str, list[int | float | None]]),
        ("host", HostSignals),
        ("names", dict[str, msgspec.Raw]),
    ],
)
_Parts: Any = msgspec.defstruct(
    "_Parts",
    [
        ("duration_ns", Count),
        ("cgroups", dict[str, _Cgroup]),
        ("cpus", list[CpuWindow]),
        ("untracked", Count),
        ("impossible", Count),
        ("shed", list[str]),
        ("signals", _Signals | None),
    ],
)
PARTS: "msgspec.msgpack.Decoder[Any]" = msgspec.msgpack.Decoder(_Parts)
"""What is taken of a window; `add` takes this, and the whole window as well."""

_WORKLOAD = msgspec.msgpack.Decoder(Workload)
_HISTOGRAM = msgspec.msgpack.Decoder(list[Count])
_COUNTERS = attrgetter(*_NAMES)
# An array of 96 in MessagePack: three bytes, then one for each count below 128.
_HEAD_BYTES = 3


@dataclass(slots=True)
class Bucket:
    """Five minutes: a row for each cgroup by its number, and the host's figures."""

    begin_s: int
    windows: int = 0
    duration_ns: int = 0
    room_ns: int = 0
    run_ns: float = 0.0
    waiting_ns: float = 0.0
    switches: int = 0
    untracked: int = 0
    impossible: int = 0
    shed: dict[str, None] = field(default_factory=dict)
    sampled_ns: int = 0
    taken: dict[str, int | None] = field(default_factory=dict)
    rows: "CgroupSums" = field(default_factory=lambda: CgroupSums.empty(0))

    @property
    def util(self) -> float:
        """CPU time used, of all there was."""
        return min(1.0, self.run_ns / max(1, self.room_ns))

    def host_row(self) -> Row:
        """As `schema.TABLES["host_windows"]` has it, from `time_s` on."""
        return (
            *(self.begin_s, self.duration_ns, self.windows, round(self.run_ns), round(self.waiting_ns)),
            *(self.sampled_ns, self.switches, *(self.taken.get(name) for name in (*_TAKEN, *HOST_PRESSURE))),
            *(self.untracked, self.impossible, ", ".join(self.shed)),
        )


_TAKEN = ("steal_ns", "irq_ns", "softirq_ns")


@dataclass(slots=True)
class CgroupSums:
    """Sums of cgroups, a row each: scheduler figures, octaves of the histogram, kernel files' figures.

    `figures` is a sum, or the latest of a level; where it is not `known` there was none.
    """

    seen: npt.NDArray[np.bool_]
    counters: Ints
    waits: Ints
    others_ns: Ints
    figures: Floats
    known: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, rows: int) -> "CgroupSums":
        """Of so many cgroups, none of which was seen."""
        return cls(
            np.zeros(rows, bool),
            np.zeros((rows, len(_NAMES)), np.int64),
            np.zeros((rows, len(OCTAVES_NS)), np.int64),
            np.zeros(rows, np.int64),
            np.zeros((rows, len(CGROUP_FIGURES))),
            np.zeros((rows, len(CGROUP_FIGURES)), bool),
        )

    def grow(self, rows: int) -> None:
        """Make room for more cgroups."""
        have = len(self.seen)
        if have < rows:
            more = CgroupSums.empty(max(rows, 2 * have) - have)
            for name in self.__slots__:
                setattr(self, name, np.concatenate([getattr(self, name), getattr(more, name)]))


IS_COUNTED = np.array(ARE_COUNTERS)
"""Which figures of kernel files are added up; of the others the latest holds."""


class HourSums:
    """Every window of an hour, added up. `paths` are the cgroups, and who was waited for, by number."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._written: dict[str, bytes] = {}
        self.names: dict[str, Workload] = {}
        self.buckets: list[Bucket] = []
        self._pairs: list[tuple[Ints, Ints]] = []

    @property
    def paths(self) -> list[str]:
        """Of cgroups, and who is none; the number of each is its place."""
        return list(self._ids)

    @property
    def time_s(self) -> int:
        """Begin of the hour."""
        return self.buckets[-1].begin_s // HOUR_S * HOUR_S

    @property
    def duration_ns(self) -> int:
        """Of all windows together."""
        return sum(bucket.duration_ns for bucket in self.buckets)

    @property
    def shed(self) -> str:
        """What was left out in any of them."""
        return ", ".join(dict.fromkeys(name for bucket in self.buckets for name in bucket.shed))

    def add(self, end_utc_ns: int, window: Any, sum_of: int = 1) -> None:  # noqa: ANN401  of PARTS, or a SchedWindow
        """Add a window, the sum of so many. Each begins where the one before ended or later, or the clock was set back.

        Raises:
            ValueError: It holds a negative count, or a histogram of other buckets.
        """
        begin_s = span_of(end_utc_ns, BUCKET_S)
        if not self.buckets or self.buckets[-1].begin_s != begin_s:
            self.buckets.append(Bucket(begin_s))
        bucket = self.buckets[-1]
        _add_host(bucket, window, sum_of)
        self._add_names(window.signals.names if window.signals else {})
        cgroups = window.cgroups
        if not cgroups:
            return
        ids = self._numbers(cgroups)
        waited = [each.waited_for for each in cgroups.values()]
        waits = _matrix((wait for each in waited for wait in each.values()), 2)
        victims = np.repeat(ids, list(map(len, waited)))
        others = self._numbers([name for each in waited for name in each])
        rows = bucket.rows
        rows.grow(len(self._ids))
        rows.seen[ids] = True
        counters = _matrix(map(_COUNTERS, cgroups.values()), len(_NAMES))
        rows.counters[ids] += counters
        bucket.sampled_ns += int(counters[:, _SAMPLED].sum())
        rows.waits[ids] += _octaves([each.histogram for each in cgroups.values()])
        np.add.at(rows.others_ns, victims, waits[:, 0])
        self._add_pairs(victims, others, waits)
        self._add_figures(rows, cgroups, window.signals.cgroups if window.signals else {})

    def _numbers(self, paths: Iterable[str]) -> Ints:
        known = self._ids
        return np.array([known.setdefault(path, len(known)) for path in paths], np.int64)

    def _add_names(self, names: Mapping[str, Any]) -> None:
        """Each is read once, and again where it changed."""
        for path, named in names.items():
            if isinstance(named, Workload):
                self.names[path] = named
            elif self._written.get(path) != (content := bytes(named)):
                self._written[path], self.names[path] = content, _WORKLOAD.decode(content)

    def _add_figures(self, rows: CgroupSums, cgroups: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        found = [(path, told[path]) for path in cgroups if path in told]
        if not found:
            return
        figures = np.array([row for _, row in found], np.float64)  # None is NaN
        known = ~np.isnan(figures)
        if figures.shape[1] != len(CGROUP_FIGURES) or (figures[known] < 0).any():
            raise ValueError("a cgroup has other figures, or a negative one")
        ids = self._numbers(path for path, _ in found)
        rows.figures[ids] = np.where(
            known, figures + np.where(IS_COUNTED, rows.figures[ids], 0.0), rows.figures[ids]
        )
        rows.known[ids] |= known

    def _add_pairs(self, victims: Ints, others: Ints, waits: Ints) -> None:
        self._pairs.append((victims << 32 | others, waits))
        if sum(len(each) for each, _ in self._pairs) > _PAIRS_AT_ONCE:
            self._pairs = [self._added_pairs()]

    def _added_pairs(self) -> tuple[Ints, Ints]:
        keys, places = np.unique(
            np.concatenate([np.zeros(0, np.int64), *(keys for keys, _ in self._pairs)]), return_inverse=True
        )
        sums = np.zeros((len(keys), 2), np.int64)
        if self._pairs:
            np.add.at(sums, places, np.concatenate([waits for _, waits in self._pairs]))
        return keys, sums

    def pairs(self) -> tuple[Ints, Ints, Ints]:
        """(number of who waited, number of for whom, wait in ns and preemptions) of the hour, each pair once."""
        keys, sums = self._added_pairs()
        return keys >> 32, keys & 0xFFFFFFFF, sums


def rounded(figures: Ints, starts: Ints, bits: int) -> Ints:
    """Columns rounded to so many significant bits, with what that takes or gives added to the largest of its group.

    Args:
        figures: Rows and columns, none negative.
        starts: The first row of each group; the sums of groups stay what they are, and what is 0 stays 0.
        bits: Significant ones.
    """
    step = 1 << np.maximum(0, np.frexp(figures.astype(np.float64))[1].astype(np.int64) - bits)
    found = (figures + step // 2) // step * step
    ends = [*starts[1:].tolist(), len(figures)]
    columns = np.arange(figures.shape[1])
    for begin, end in zip(starts.tolist(), ends, strict=True):
        largest = begin + figures[begin:end].argmax(axis=0)
        found[largest, columns] += (figures[begin:end] - found[begin:end]).sum(axis=0)
    return figures if (found < 0).any() else found


def _matrix(rows: Iterable[Sequence[int]], width: int) -> Ints:
    """By fromiter: half the time of `numpy.array`."""
    return np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, width)


def _add_host(bucket: Bucket, window: Any, sum_of: int) -> None:  # noqa: ANN401
    duration_ns = window.duration_ns
    bucket.windows += sum_of
    bucket.duration_ns += duration_ns
    bucket.room_ns += len(window.cpus) * duration_ns
    bucket.run_ns += sum(cpu.running for cpu in window.cpus) * duration_ns
    bucket.waiting_ns += sum(cpu.waiting for cpu in window.cpus) * duration_ns
    bucket.switches += sum(cpu.switches for cpu in window.cpus)
    bucket.untracked = max(bucket.untracked, window.untracked)
    bucket.impossible += window.impossible
    bucket.shed |= dict.fromkeys(window.shed)
    if window.signals:
        host = window.signals.host
        told = {name: total(getattr(cpu, name) for cpu in host.cpus.values()) for name in _TAKEN}
        for name, figure in {**told, **host.pressure}.items():
            bucket.taken[name] = total((bucket.taken.get(name), figure))


def _octaves(histograms: Sequence[Any]) -> Ints:
    """A row of octaves for each histogram, packed or not."""
    counts = np.zeros((len(histograms), len(EDGES_NS)), np.int64)
    packed = {place: bytes(each) for place, each in enumerate(histograms) if isinstance(each, msgspec.Raw)}
    small = [
        place
        for place, each in packed.items()
        if len(each) == _HEAD_BYTES + len(EDGES_NS) and each.startswith(b"\xdc\x00\x60")
    ]
    if small:
        content = b"".join([packed[place] for place in small])
        found = np.frombuffer(content, np.uint8).reshape(len(small), -1)[:, _HEAD_BYTES:]
        if found.max() > 127:  # it is no count, but a negative one, or another thing
            raise ValueError("a count is negative")
        counts[small] = found
    for place in {*range(len(histograms))}.difference(small):
        row = _HISTOGRAM.decode(packed[place]) if place in packed else histograms[place]
        if len(row) != len(EDGES_NS):
            raise ValueError("a histogram has other buckets")
        counts[place] = row
    return np.add.reduceat(counts, _OCTAVES, axis=1)
