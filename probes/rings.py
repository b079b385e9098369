"""Who ran on each CPU lately: the newest of the slices in its ring, from which waits are charged (bpf/blame.h)."""

import mmap
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from probes import layout
from probes.rows import Running

SLICE = struct.Struct("<QQ")  # start, slot
# The slices that all CPUs together give at a reading: to compare those of every pair of CPUs takes this many steps.
_BUDGET = 4096


class Ring(NamedTuple):
    """One CPU: (start in ns, cgroup's key) of slices in order, each until the next one, the last until `until_ns`."""

    until_ns: int
    slices: tuple[tuple[int, int], ...]


def newest(memory: mmap.mmap, heads: Sequence[Running], key: Callable[[int], int]) -> tuple[Ring, ...]:
    """The rings now, by CPU; `key` makes a cgroup's key of a slot.

    A switch that comes in between may push its slice over the oldest one, so not the whole ring is taken.
    """
    most = max(4, min(layout.NR_SLICES // 2, _BUDGET // max(1, len(heads)) ** 2))
    return tuple(_ring(memory, cpu, head, most, key) for cpu, head in enumerate(heads))


def _ring(memory: mmap.mmap, cpu: int, head: Running, most: int, key: Callable[[int], int]) -> Ring:
    size, whole = SLICE.size, layout.NR_SLICES * SLICE.size
    ring, oldest = memory[cpu * whole : (cpu + 1) * whole], (head.head + 1) % layout.NR_SLICES * size
    newest_bytes = (ring[oldest:] + ring[:oldest])[-most * size :]
    slices = [
        (start, key(slot)) for start, slot in SLICE.iter_unpack(newest_bytes) if 0 < start <= head.clock
    ]
    starts = [start for start, _ in slices]
    return Ring(head.clock, tuple(slices) if starts == sorted(starts) else ())
