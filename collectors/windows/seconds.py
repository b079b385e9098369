"""What happened between two readings as some kB, and back as a window: for a recorder that keeps each second.

Kept is what each cgroup's figures grew by, so what comes back is made by `sched.window` like all windows. Disks,
queues, reclaims and kernel files are not in it: they would double what a second costs.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

import msgspec

from collectors.windows import sched
from collectors.windows.sched import SchedWindow
from probes.layout import FIELDS, NR_BUCKETS
from probes.snapshot import CpuFigures, SchedFigures, Snapshot, Wait

# Of whom a cgroup waited for in a second; the others are its `rest`.
MOST_AGGRESSORS = 5

Grown = Annotated[int, msgspec.Meta(ge=0)]
_REST = FIELDS.index("rest_ns")


class CgroupSecond(msgspec.Struct, array_like=True, frozen=True):
    """One cgroup's growth, in the order of `layout.FIELDS`; its tasks, where they are known; its heaviest waits."""

    key: int
    figures: tuple[Grown, ...]
    histogram: tuple[Grown, ...]
    tasks: Grown | None
    waits: tuple[tuple[Grown, Grown, int], ...]


class Second(msgspec.Struct, array_like=True, frozen=True):
    """All that grew between two readings, the later one at `end_ns` (CLOCK_MONOTONIC)."""

    end_ns: Grown
    duration_ns: Grown
    cgroups: tuple[CgroupSecond, ...]
    cpus: tuple[tuple[Grown, Grown, Grown], ...]
    untracked: Grown
    reach_ns: Grown
    shed: tuple[str, ...]


class Kept(NamedTuple):
    """One second: when it ended, by CLOCK_MONOTONIC, its length in ns, and what grew, by `kept`."""

    end_ns: Grown
    duration_ns: Grown
    packed: bytes


class Flight(NamedTuple):
    """Seconds that follow one another, the oldest first, and the path of each key in them."""

    seconds: tuple[Kept, ...]
    paths: Mapping[int, str]


_DECODER = msgspec.msgpack.Decoder(Second)
_ENCODER = msgspec.msgpack.Encoder()
# Level 1 takes 0.6 ms for 300 busy cgroups.
_LEVEL = 1


def kept(before: Snapshot, after: Snapshot) -> Kept:
    """What grew between two snapshots that follow one another, packed by zlib."""
    grown = second(before, after)
    return Kept(grown.end_ns, grown.duration_ns, zlib.compress(_ENCODER.encode(grown), _LEVEL))


def second(before: Snapshot, after: Snapshot) -> Second:
    """What grew between two snapshots that follow one another."""
    changed = [
        (key, figures, was)
        for key, figures in after.cgroups.items()
        if figures is not (was := before.cgroups.get(key))
    ]
    return Second(
        end_ns=after.monotonic_ns,
        duration_ns=max(1, after.monotonic_ns - before.monotonic_ns),
        cgroups=tuple(
            _cgroup(key, sched.growth_of(was, now), after.tasks.get(key), after.waits.get(key, ()))
            for key, now, was in changed
        ),
        cpus=tuple(
            (max(0, b.run_ns - a.run_ns), max(0, b.wait_ns - a.wait_ns), max(0, b.switches - a.switches))
            for a, b in zip(before.cpus, after.cpus, strict=True)
        ),
        untracked=after.untracked,
        reach_ns=after.reach_ns,
        shed=after.shed,
    )


def _cgroup(key: int, growth: SchedFigures, tasks: int | None, waits: Sequence[Wait]) -> CgroupSecond:
    figures = list(growth[:-1])
    if len(waits) > MOST_AGGRESSORS:
        ranked = sorted(waits, reverse=True)
        waits = ranked[:MOST_AGGRESSORS]
        figures[_REST] += sum([wait[0] for wait in ranked[MOST_AGGRESSORS:]])
    return CgroupSecond(key, tuple(figures), growth.histogram, tasks, tuple(waits))


def window_of(unpacked: bytes, paths: Mapping[int, str]) -> SchedWindow:
    """The window that was kept, of what zlib unpacks, with the paths of its keys.

    Raises:
        ValueError: It holds no such thing.
    """
    found = _DECODER.decode(unpacked)
    if any(len(each.figures) != len(FIELDS) or len(each.histogram) != NR_BUCKETS for each in found.cgroups):
        raise ValueError("a cgroup has other figures")
    begin_ns = found.end_ns - found.duration_ns
    if begin_ns < 0:
        raise ValueError("it began before the host did")
    before = Snapshot(
        monotonic_ns=begin_ns,
        cgroups={},
        waits={},
        cpus=(CpuFigures(0, 0, 0),) * len(found.cpus),
        paths={},
        untracked=0,
    )
    after = Snapshot(
        monotonic_ns=found.end_ns,
        cgroups={each.key: SchedFigures._make((*each.figures, each.histogram)) for each in found.cgroups},
        waits={each.key: each.waits for each in found.cgroups},
        cpus=tuple(CpuFigures(*cpu) for cpu in found.cpus),
        paths=paths,
        untracked=found.untracked,
        waits_since_ns=begin_ns,
        shed=found.shed,
        tasks={each.key: each.tasks for each in found.cgroups if each.tasks is not None},
        reach_ns=found.reach_ns,
    )
    return sched.window(before, after)
