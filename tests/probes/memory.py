"""Memory like that which the BPF programs write, for tests to write instead."""

import contextlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from probes import layout
from probes.bpf_syscall import ArrayMap
from probes.layout import Dimensions
from probes.readout import CellReader, PairReader

SMALL = Dimensions(cpus=2, slots=128, slot_buckets=8, pair_buckets=16, cells=384)
_U32, _U64 = 0xFFFFFFFF, (1 << 64) - 1


def zeroed(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size)


def array_map(memory: mmap.mmap, value_bytes: int) -> ArrayMap:
    """The memory as an array map; that it is mapped in parts, from the start of a page, is the kernel tests' affair."""
    return cast("ArrayMap", _Mapped(memory, value_bytes))


@dataclass(frozen=True, slots=True)
class _Mapped:
    memory: mmap.mmap
    value_bytes: int

    @property
    def entries(self) -> int:
        return len(self.memory) // self.value_bytes

    @contextlib.contextmanager
    def mapped(self, first: int = 0, entries: int | None = None) -> Iterator[mmap.mmap]:
        if entries is None:
            yield self.memory
            return
        start = first * self.value_bytes
        end = start + entries * self.value_bytes
        with mmap.mmap(-1, end - start) as part:
            part[:] = self.memory[start:end]
            yield part
            self.memory[start:end] = part[:]


def hash_bucket(key: int, dimensions: Dimensions = SMALL) -> int:
    """slot_bucket_of() in bpf/slots.h."""
    return (key * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 64 - (dimensions.slot_buckets.bit_length() - 1)


class Cells:
    """Cells, and on_cell() of bpf/cell_walk.c."""

    def __init__(self) -> None:
        self.arrays = {
            "slot_sums": array_map(zeroed(SMALL.sums * layout.size_slot_sums(0)), layout.size_slot_sums(0)),
            "cell_owners": array_map(zeroed(4 * SMALL.cells), 4),
            "cell_index": array_map(zeroed(2 * SMALL.rows * SMALL.slots), 2),
        }
        self.held: dict[tuple[int, int, bool], tuple[list[int], list[int]]] = {}  # by slot, row, and detached
        self.modes: list[int] = []
        self.pending_free: set[int] = set()
        self._walk_memory = zeroed(layout.CELL_WALK.size)
        maps = {"cell_walks": self._walk_memory, "crowded_slots": zeroed(SMALL.slots // 8)}
        self.reader = CellReader(self._walk, maps, self.arrays, SMALL)

    def write(
        self, row: int, slot: int, histogram: tuple[int, ...] = (), *, detached: bool = False, **figures: int
    ) -> None:
        """Set a cell; u32 figures are cut as the kernel's are."""
        cut = dict.fromkeys(layout.COUNT_FIELDS, _U32)
        scalars = [figures.pop(name, 0) & cut.get(name, -1) for name in layout.FIELDS]
        assert not figures
        self.held[slot, row, detached] = scalars, [*histogram, *[0] * (layout.NR_BUCKETS - len(histogram))]

    def _walk(self) -> None:
        _, mode, first, _, _ = layout.CELL_WALK.unpack_from(self._walk_memory)
        self.modes.append(mode)
        parts = [
            (slot, held, detached)
            for (slot, _, detached), held in self.held.items()
            if mode == layout.WALK_SUM or (mode == layout.WALK_RETIRE and detached)
        ]
        with self.arrays["slot_sums"].mapped() as memory:
            for slot, (scalars, buckets), _ in parts:
                if not first <= slot < first + SMALL.sums:
                    continue
                at = (slot - first) * layout.size_slot_sums(0)
                old = layout.STATS.unpack_from(memory, at)
                limits = [_U32 if name in layout.COUNT_FIELDS else _U64 for name in layout.FIELDS]
                sums = (a + b & limit for a, b, limit in zip(old, scalars, limits, strict=True))
                layout.STATS.pack_into(memory, at, *sums)
                counts = layout.HISTOGRAM.unpack_from(memory, at + layout.STATS.size)
                counted = (a + b & _U32 for a, b in zip(counts, buckets, strict=True))
                layout.HISTOGRAM.pack_into(memory, at + layout.STATS.size, *counted)
        detached = sum(1 for _, _, detached in parts if detached)
        layout.CELL_WALK.pack_into(self._walk_memory, 0, 0, mode, first, len(self.held), detached)
        if mode == layout.WALK_RETIRE:
            self.held = {key: held for key, held in self.held.items() if not key[2]}
        if mode == layout.WALK_FREE:
            self.held = {key: held for key, held in self.held.items() if key[0] not in self.pending_free}


class Grown:
    """on_claimed() of bpf/pairs.c: finds what a test says is `next`, and notes in `walked` what it was asked for."""

    def __init__(self) -> None:
        self.next = b""
        self.walked: set[int] | None = None
        self._maps = {"growths": zeroed(layout.GROWTH.size), "pending_free_slots": zeroed(SMALL.slots // 8)}
        self._records = zeroed(SMALL.grown_pairs * layout.PAIR.size)
        self.reader = PairReader(self._walk, self._maps, array_map(self._records, layout.PAIR.size))

    def _walk(self) -> None:
        _, any_pending_free, _ = layout.GROWTH.unpack_from(self._maps["growths"])
        bits = int.from_bytes(self._maps["pending_free_slots"][:], "little")
        pending_free = {slot for slot in range(SMALL.slots) if bits >> slot & 1}
        assert any_pending_free == bool(pending_free)
        self.walked = pending_free
        now, self.next = self.next[: len(self._records)], self.next[len(self._records) :]
        self._records[: len(now)] = now
        layout.GROWTH.pack_into(self._maps["growths"], 0, 0, any_pending_free, len(now) // layout.PAIR.size)


class Kernel:
    """The mkdir and rmdir hooks of bpf/lifecycle.c, on the same memory as the directory's."""

    def __init__(self) -> None:
        self.maps = {
            "slot_buckets": zeroed(SMALL.slot_buckets * layout.SIZE_SLOT_BUCKET),
            "slot_names": zeroed(SMALL.slots * layout.SIZE_SLOT_NAME),
            "lifecycle": zeroed(layout.LIFECYCLE.size),
            "free_slots": zeroed(SMALL.slots * 8),
            "died_slots": zeroed(SMALL.slots * 8),
        }
        self.arrays = {
            "slot_buckets": array_map(self.maps["slot_buckets"], layout.SIZE_SLOT_BUCKET),
            "slot_names": array_map(self.maps["slot_names"], layout.SIZE_SLOT_NAME),
        }

    def slot_of(self, key: int) -> int | None:
        """slot_of_key()."""
        return next((entry[1] for _, entry in self._bucket(key) if entry[0] == key), None)

    def mkdir(self, key: int, path: bytes) -> int | None:
        """on_cgroup_mkdir(); None: untracked."""
        taken, offered, died, untracked = self._lifecycle()
        free = next((offset for offset, entry in self._bucket(key) if entry[0] == 0), None)
        if taken == offered or free is None:
            self._set_lifecycle(taken, offered, died, untracked + 1)
            return None
        slot = self._ring("free_slots", taken)
        name = layout.NAME_HEAD.pack(key, len(path)) + path
        start = slot * layout.SIZE_SLOT_NAME
        self.maps["slot_names"][start : start + len(name)] = name
        layout.SLOT_ENTRY.pack_into(self.maps["slot_buckets"], free, key, slot)
        self._set_lifecycle(taken + 1, offered, died, untracked)
        return slot

    def rmdir(self, key: int) -> None:
        """on_cgroup_rmdir()."""
        taken, offered, died, untracked = self._lifecycle()
        slot = self.slot_of(key)
        if slot is None:
            self._set_lifecycle(taken, offered, died, untracked - 1)
            return
        start = died % SMALL.slots * 8
        self.maps["died_slots"][start : start + 8] = slot.to_bytes(8, "little")
        self._set_lifecycle(taken, offered, died + 1, untracked)

    def _bucket(self, key: int) -> list[tuple[int, tuple[int, int]]]:
        memory, first = self.maps["slot_buckets"], hash_bucket(key) * layout.SIZE_SLOT_BUCKET
        offsets = range(first, first + layout.SIZE_SLOT_BUCKET, layout.SLOT_ENTRY.size)
        return [(offset, layout.SLOT_ENTRY.unpack_from(memory, offset)) for offset in offsets]

    def _ring(self, name: str, place: int) -> int:
        start = place % SMALL.slots * 8
        return int.from_bytes(self.maps[name][start : start + 8], "little")

    def _lifecycle(self) -> tuple[int, int, int, int]:
        taken, offered, died, untracked, *_ = layout.LIFECYCLE.unpack_from(self.maps["lifecycle"])
        return taken, offered, died, untracked

    def _set_lifecycle(self, taken: int, offered: int, died: int, untracked: int) -> None:
        assigned = layout.LIFECYCLE.unpack_from(self.maps["lifecycle"])[4:]
        layout.LIFECYCLE.pack_into(self.maps["lifecycle"], 0, taken, offered, died, untracked, *assigned)
