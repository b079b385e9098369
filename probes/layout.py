"""The shared memory of the BPF programs, as Python sees it: the same as `bpf/layout.h`.

The sizes computed here are passed to the compiler and asserted there.
"""

import struct
from dataclasses import dataclass

SLOT_IDLE, SLOT_KERNEL, SLOT_OTHER, FIRST_SLOT = 0, 1, 2, 3

SHED_BLAME, SHED_HISTOGRAM, SHED_IO, SHED_NET = 1, 2, 4, 8

NR_BUCKETS = 96
# The newest of them, where most waits began: 2 kB.
NEAR_SLICES = 256
# The most slices that a wait is laid over one by one, and that are drawn from those before them; see bpf/blame.h.
NR_EXACT, NR_SAMPLES = 64, 32
PAIR_WAYS = SLOT_WAYS = 4
NR_TASK_RECORDS = 65536
PATH_BYTES = 240

KEY_V1 = 1 << 63

# The figures of struct slot_sums, in order; then come the histogram and the counters.
_FREQUENT_TIMES = ("run_ns", "wait_ns", "self_ns", "wakeup_ns", "preempt_wait_ns", "stolen_ns")
COUNT_FIELDS = ("switches_in", "preempted_own", "preempted_foreign", "preempted_throttled")
_RARE = ("throttled_ns", "unattributed_ns", "rest_ns", "sampled_ns", "newcomers")
FIELDS = (*_FREQUENT_TIMES, *COUNT_FIELDS, *_RARE)

STATS = struct.Struct(f"<{len(_FREQUENT_TIMES)}Q{len(COUNT_FIELDS)}I{len(_RARE)}Q")
HISTOGRAM = struct.Struct(f"<{NR_BUCKETS}I")
CACHE_LINE = 64
# struct slot_stats: the figures, of which newcomers has 4 bytes, kernel bookkeeping of 28, and a histogram of u16.
_SIZE_SLOT_STATS = STATS.size - 4 + 28 + 2 * NR_BUCKETS
COUNTER = struct.Struct("<3Q")
# Numbers of cells are u16.
MOST_CELLS = 1 << 16
GROUP_CELLS, INDEX_CELLS = 32, 32
CELL_WALK = struct.Struct("<5I")
WALK_SUM, WALK_RETIRE, WALK_FREE, WALK_DETACH, WALK_OFFER = range(5)

# attached, since, clock, stolen, slot, head, shed, runner, switches, settled, scratch, run, wait; then how many
# switches, moves and steps of block I/O were timed, and how long those took; then unreported, scanned_wait
CPU_STATE = struct.Struct("<4Q4I2Q48x2Q" + 3 * "4xIQ16x" + "2Q16x")
CPU_STATE_SHED_OFFSET = 40
TIMED_EVERY = 61
SIZE_CPU_STATE = CPU_STATE.size
SLICE = struct.Struct("<Q")  # the low 48 bits of its start << 16 | slot
PAIR = struct.Struct("<IIQ")
SIZE_PAIR_BUCKET = PAIR.size * PAIR_WAYS
SIZE_DRAINED_BUCKET = 12 * PAIR_WAYS
GROWTH = struct.Struct("<IIQ")

SIZE_TASK_RECORD = 64
SLOT_ENTRY = struct.Struct("<QQ")
SIZE_SLOT_BUCKET = SLOT_ENTRY.size * SLOT_WAYS
TELLS_MORE = 1 << 32
NAME_HEAD = struct.Struct("<QQ")
SIZE_SLOT_NAME = NAME_HEAD.size + PATH_BYTES
LIFECYCLE = struct.Struct("<3Qq4Q")
LIFECYCLE_ASSIGNED_OFFSET, LIFECYCLE_MOVES_OFFSET, LIFECYCLE_UNWATCHED_OFFSET = 40, 48, 56


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Sizes chosen for a host; the buckets are powers of two, and so are the slices.

    Attributes:
        cpus: One more than the highest number a CPU may have.
        slots: Cgroups that are told apart; a multiple of 64.
        cells: Of a cgroup on a CPU where it has run; a multiple of 64.
        slices: Per CPU, of who ran there lately.
        slot_buckets: Of SLOT_WAYS places each, from a cgroup's key to its slot.
        pair_buckets: Of PAIR_WAYS places each, per CPU: who waited for whom.
    """

    cpus: int
    slots: int
    slot_buckets: int
    pair_buckets: int
    cells: int = MOST_CELLS
    slices: int = 2048

    @property
    def rows(self) -> int:
        """One for each CPU, and the wait scan's."""
        return self.cpus + 1

    @property
    def sums(self) -> int:
        """Slots that are added up in one walk."""
        return min(self.slots, 1024)

    @property
    def grown_pairs(self) -> int:
        """Pairs that are handed over in one walk."""
        return min(self.pairs * self.rows, 32768)

    @property
    def pairs(self) -> int:
        """Places for pairs, per CPU."""
        return self.pair_buckets * PAIR_WAYS

    def defines(self) -> dict[str, int]:
        """What the C side is compiled with."""
        return {
            "NR_CPUS": self.cpus,
            "NR_SLOTS": self.slots,
            "NR_SLOT_BUCKETS": self.slot_buckets,
            "SLOT_BUCKET_SHIFT": 64 - (self.slot_buckets.bit_length() - 1),
            "NR_BUCKETS": NR_BUCKETS,
            "TIMED_EVERY": TIMED_EVERY,
            "NR_CELLS": self.cells,
            "NR_SUMS": self.sums,
            "NR_GROWN_PAIRS": self.grown_pairs,
            "NR_SLICES": self.slices,
            "NEAR_SLICES": NEAR_SLICES,
            "NR_EXACT": NR_EXACT,
            "NR_SAMPLES": NR_SAMPLES,
            "NR_PAIR_BUCKETS": self.pair_buckets,
            "PAIR_BUCKET_SHIFT": 32 - (self.pair_buckets.bit_length() - 1),
            "NR_TASK_RECORDS": NR_TASK_RECORDS,
            "SIZE_CELL_WALK": CELL_WALK.size,
            "SIZE_CPU_STATE": SIZE_CPU_STATE,
            "SIZE_GROWTH": GROWTH.size,
            "SIZE_TASK_RECORD": SIZE_TASK_RECORD,
            "SIZE_SLOT_BUCKET": SIZE_SLOT_BUCKET,
            "SIZE_SLOT_NAME": SIZE_SLOT_NAME,
            "SIZE_LIFECYCLE": LIFECYCLE.size,
        }


def size_cell(counters: int) -> int:
    """Bytes of a cell in which so many events are counted."""
    return -(-(_SIZE_SLOT_STATS + counters * COUNTER.size) // CACHE_LINE) * CACHE_LINE


def size_slot_sums(counters: int) -> int:
    """Bytes of what is summed of a slot, with so many events."""
    return -(-(STATS.size + HISTOGRAM.size + counters * COUNTER.size) // 8) * 8


def dimensions_for(cpus: int, cgroups: int) -> Dimensions:
    """Room for the cgroups there are and more, at least 4,096: within 48 MiB on 256 CPUs, 64 on 512, of kernel memory.

    A slot costs 580 bytes and 2 for each CPU: twice the cgroups there are, where 4 MB do, a 32nd more at least. Cgroups
    beyond the slots are counted together, as `other`. Cells, of 320 bytes, are for the places where cgroups run; there
    are at most 65,536, and those that lie idle are given again. Pairs, with what was read of them, cost 112 bytes for
    four; 200 cgroups that all wait for one another need 40,000 places; a small host has 65,536 per CPU, one of 256 CPUs
    1,024, which those have that grow.
    """
    rows = cpus + 1
    least = max(4096, cgroups) + max(4096, cgroups) // 32
    slots = max(least, min(2 * cgroups, (4 << 20) // (580 + 2 * rows)))
    slots = min(-(-slots // 64) * 64, 1 << 15)
    slot_buckets = 1 << (slots * 2 - 1).bit_length() if rows < 64 else 1 << (slots - 1).bit_length()
    pair_buckets = _power_of_two_within((14 << 20) // ((SIZE_PAIR_BUCKET + SIZE_DRAINED_BUCKET) * rows))
    return Dimensions(
        cpus=cpus,
        slots=slots,
        slot_buckets=slot_buckets,
        pair_buckets=min(max(pair_buckets, 256), 1 << 14),
        cells=min(rows * slots, MOST_CELLS),
        slices=2048 if rows < 128 else 1024,
    )


def _power_of_two_within(limit: int) -> int:
    return 1 << limit.bit_length() - 1


def bucket_edges_ns() -> list[int]:
    """Lower edges in ns of the histogram's NR_BUCKETS buckets; each ends where the next begins, the last is open.

    Linear below 1,024 ns, then four linear steps per power of two; the last bucket is open. `bucket_of` in
    bpf/wait.h is the inverse.
    """
    linear = [256 * i for i in range(4)]
    octaves = [(4 + step) << (octave + 8) for octave in range((NR_BUCKETS - 4) // 4) for step in range(4)]
    return [*linear, *octaves]
