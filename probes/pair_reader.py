"""Reads who waited for whom, as the switch hook and the sweep write it, into cumulative totals per victim."""

import mmap
from array import array
from collections.abc import Iterable, Iterator

from probes import layout
from probes.bpf_syscall import ArrayMap
from probes.layout import Dimensions
from probes.snapshot import Waits

_U32 = 0xFFFFFFFF
_SLOT = 0xFFFF


class PairReader:
    """Totals per victim slot, with aggressor slots in them."""

    def __init__(self, claimed: mmap.mmap, buckets: ArrayMap, dimensions: Dimensions) -> None:
        self._claimed_memory = claimed
        self._memory = buckets
        self._rows = dimensions.cpus + 1
        self._row_buckets = dimensions.pair_buckets
        self._bitmap_bytes = dimensions.pairs // 8
        self._bitmaps = [b""] * self._rows
        self._in_use = [array("I") for _ in range(self._rows)]
        self._seen = [bytes(dimensions.pairs * layout.PAIR.size)] * self._rows
        self._victims: dict[int, _Victim] = {}
        self._grown: set[int] = set()

    def copy(self, row: int) -> bytes:
        """One row's pairs as they are now, for `take_in`; empty when it has none."""
        if not self._buckets_in_use(row):
            return b""
        with self._memory.mapped(row * self._row_buckets, self._row_buckets) as memory:
            return memory[:]

    def take_in(self, row: int, new: bytes) -> None:
        """Add what has grown in a row since its last copy."""
        old = self._seen[row]
        if not new or new == old:
            return
        # After the copy: a pair that is in it has been claimed by now.
        for at in self._buckets_in_use(row):
            end = at + layout.SIZE_PAIR_BUCKET
            if new[at:end] != old[at:end]:
                self._grown.update(self._grow(old[at:end], new[at:end]))
        self._seen[row] = new

    def grown(self) -> dict[int, Waits]:
        """The totals of those victims that have any that grew since this was last asked."""
        grown, self._grown = self._grown, set()
        return {slot: self._victims[slot].waits() for slot in grown}

    def clear(self, slots: Iterable[int]) -> None:
        """Forget all pairs that one of these slots takes part in, here and in the kernel's memory."""
        dead = set(slots)
        for row in range(self._rows):
            buckets = self._buckets_in_use(row)
            if not buckets:
                continue
            seen = bytearray(self._seen[row])
            with self._memory.mapped(row * self._row_buckets, self._row_buckets) as memory:
                for at in (at for bucket in buckets for at in _places(bucket)):
                    key = layout.PAIR.unpack_from(memory, at)[0]
                    if key >> 16 in dead or key & _SLOT in dead:
                        layout.PAIR.pack_into(memory, at, 0, 0, 0)
                        layout.PAIR.pack_into(seen, at, 0, 0, 0)
            self._seen[row] = bytes(seen)
        self._grown -= dead
        for slot in dead & self._victims.keys():
            del self._victims[slot]
        for victim in self._victims.values():
            victim.forget(dead)

    def _buckets_in_use(self, row: int) -> "array[int]":
        """Byte offsets within the row of the buckets that hold a pair."""
        start = row * self._bitmap_bytes
        bitmap = self._claimed_memory[start : start + self._bitmap_bytes]
        if bitmap != self._bitmaps[row]:
            self._bitmaps[row] = bitmap
            self._in_use[row] = array("I", _buckets_used(bitmap))
        return self._in_use[row]

    def _grow(self, old: bytes, new: bytes) -> Iterator[int]:
        """Add a bucket's growth to the totals; the victims of the pairs that grew."""
        for before, after in zip(layout.PAIR.iter_unpack(old), layout.PAIR.iter_unpack(new), strict=True):
            key, preemptions, wait_ns = after
            if key == 0 or before == after:
                continue
            old_preemptions, old_wait_ns = before[1:] if before[0] == key else (0, 0)
            victim = self._victims.setdefault(key >> 16, _Victim())
            victim.add(key & _SLOT, wait_ns - old_wait_ns, preemptions - old_preemptions & _U32)
            yield key >> 16


class _Victim:
    """Totals of one victim, as columns that grow."""

    __slots__ = ("_aggressors", "_places", "_preemptions", "_wait_ns")

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._aggressors, self._wait_ns, self._preemptions = array("H"), array("Q"), array("Q")

    def add(self, aggressor: int, wait_ns: int, preemptions: int) -> None:
        place = self._places.get(aggressor)
        if place is None:
            self._places[aggressor] = len(self._aggressors)
            self._aggressors.append(aggressor)
            self._wait_ns.append(wait_ns)
            self._preemptions.append(preemptions)
        else:
            self._wait_ns[place] += wait_ns
            self._preemptions[place] += preemptions

    def forget(self, dead: set[int]) -> None:
        if dead.isdisjoint(self._places):
            return
        kept = [place for aggressor, place in self._places.items() if aggressor not in dead]
        self._aggressors = array("H", [self._aggressors[place] for place in kept])
        self._wait_ns = array("Q", [self._wait_ns[place] for place in kept])
        self._preemptions = array("Q", [self._preemptions[place] for place in kept])
        self._places = {aggressor: place for place, aggressor in enumerate(self._aggressors)}

    def waits(self) -> Waits:
        return Waits(self._aggressors[:], self._wait_ns[:], self._preemptions[:])


def _places(bucket: int) -> range:
    return range(bucket, bucket + layout.SIZE_PAIR_BUCKET, layout.PAIR.size)


def _buckets_used(bitmap: bytes) -> Iterator[int]:
    """Byte offsets of the buckets that have one of their four bits set: two buckets to a byte."""
    for index, byte in enumerate(bitmap):
        for half in range(8 // layout.PAIR_WAYS):
            if byte >> half * layout.PAIR_WAYS & 0xF:
                yield (2 * index + half) * layout.SIZE_PAIR_BUCKET
