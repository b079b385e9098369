"""The shared memory of the BPF programs, as Python sees it: the same as `bpf/layout.h`.

The sizes computed here are passed to the compiler and asserted there.
"""

import struct
from dataclasses import dataclass

SLOT_IDLE, SLOT_KERNEL, SLOT_OTHER, FIRST_SLOT = 0, 1, 2, 3

SHED_BLAME, SHED_HISTOGRAM = 1, 2

NR_BUCKETS = 96
NR_SLICES = 2048
# The newest of them, where most waits began: 4 kB.
NEAR_SLICES = 256
# The most slices that a wait is laid over one by one, and that are drawn from those before them; see bpf/blame.h.
NR_EXACT, NR_SAMPLES = 64, 32
PAIR_WAYS = SLOT_WAYS = 4
NR_TASK_RECORDS = 65536
PATH_BYTES = 240

KEY_V1 = 1 << 63

# The figures of struct slot_stats, in order, with kernel bookkeeping after the counts; then comes the histogram.
_FREQUENT_TIMES = ("run_ns", "wait_ns", "self_ns", "wakeup_ns", "preempt_wait_ns", "stolen_ns")
COUNT_FIELDS = ("switches_in", "preempted_own", "preempted_foreign", "preempted_throttled")
_RARE = ("throttled_ns", "unattributed_ns", "rest_ns", "sampled_ns", "newcomers")
FIELDS = (*_FREQUENT_TIMES, *COUNT_FIELDS, *_RARE)

STATS = struct.Struct(f"<{len(_FREQUENT_TIMES)}Q{len(COUNT_FIELDS)}I32x{len(_RARE)}Q")
HISTOGRAM = struct.Struct(f"<{NR_BUCKETS}I")
CACHE_LINE = 64
SIZE_SLOT_STATS = -(-(STATS.size + HISTOGRAM.size) // CACHE_LINE) * CACHE_LINE

# attached, since, clock, stolen, slot, head, shed, runner, switches, unreported, scanned_wait; the rest is scratch
CPU_STATE = struct.Struct("<4Q4I3Q56x")
CPU_STATE_SHED_OFFSET = 40
SIZE_CPU_STATE = CPU_STATE.size
SLICE = struct.Struct("<QQ")  # start, slot
PAIR = struct.Struct("<IIQ")
SIZE_PAIR_BUCKET = PAIR.size * PAIR_WAYS
GROWTH = struct.Struct("<IIQ")

SIZE_TASK_RECORD = 64
SLOT_ENTRY = struct.Struct("<QQ")
SIZE_SLOT_BUCKET = SLOT_ENTRY.size * SLOT_WAYS
TELLS_MORE = 1 << 32
NAME_HEAD = struct.Struct("<QQ")
SIZE_SLOT_NAME = NAME_HEAD.size + PATH_BYTES
LIFECYCLE = struct.Struct("<3Qq3Q")
LIFECYCLE_ASSIGNED_OFFSET, LIFECYCLE_MOVES_OFFSET = 40, 48


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Sizes chosen for a host; all but `cpus` are powers of two.

    Attributes:
        cpus: One more than the highest number a CPU may have.
        slots: Cgroups that are told apart.
        slot_buckets: Of SLOT_WAYS places each, from a cgroup's key to its slot.
        pair_buckets: Of PAIR_WAYS places each, per CPU: who waited for whom.
    """

    cpus: int
    slots: int
    slot_buckets: int
    pair_buckets: int

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
            "NR_SLICES": NR_SLICES,
            "NEAR_SLICES": NEAR_SLICES,
            "NR_EXACT": NR_EXACT,
            "NR_SAMPLES": NR_SAMPLES,
            "NR_PAIR_BUCKETS": self.pair_buckets,
            "PAIR_BUCKET_SHIFT": 32 - (self.pair_buckets.bit_length() - 1),
            "NR_TASK_RECORDS": NR_TASK_RECORDS,
            "SIZE_SLOT_STATS": SIZE_SLOT_STATS,
            "SIZE_CPU_STATE": SIZE_CPU_STATE,
            "SIZE_GROWTH": GROWTH.size,
            "SIZE_TASK_RECORD": SIZE_TASK_RECORD,
            "SIZE_SLOT_BUCKET": SIZE_SLOT_BUCKET,
            "SIZE_SLOT_NAME": SIZE_SLOT_NAME,
            "SIZE_LIFECYCLE": LIFECYCLE.size,
        }


def dimensions_for(cpus: int, cgroups: int) -> Dimensions:
    """Room for twice the cgroups there are, at least 4,096, within 64 MB of kernel memory where that is possible.

    A slot costs 576 bytes per CPU. Cgroups beyond the slots are counted together, as `other`. Pairs, with what was read
    of them, get 48 MB at most: 200 cgroups that all wait for one another need 40,000 places; a small host has 65,536
    per CPU.
    """
    wanted = 1 << max(12, (2 * cgroups).bit_length())
    affordable = _power_of_two_within((64 << 20) // (SIZE_SLOT_STATS * (cpus + 1)))
    slots = min(wanted, max(affordable, 1024), 1 << 15)
    pair_buckets = _power_of_two_within((48 << 20) // (2 * SIZE_PAIR_BUCKET * (cpus + 1)))
    return Dimensions(
        cpus=cpus, slots=slots, slot_buckets=2 * slots, pair_buckets=min(max(pair_buckets, 1024), 1 << 14)
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
