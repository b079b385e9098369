"""What bpf/kwork.c is compiled with and attached to: whom kernel workers work for."""

import mmap
import struct

TRACEPOINTS = {
    "on_work_queue": "workqueue_queue_work",
    "on_work_start": "workqueue_execute_start",
    "on_work_end": "workqueue_execute_end",
}
MAPS = ("queued_work", "work_cpus")
_NR_QUEUED = 8192
DEFINES = {"NR_QUEUED_WORK": _NR_QUEUED, "QUEUED_WORK_SHIFT": 64 - (_NR_QUEUED.bit_length() - 1)}
WORK_CPU = struct.Struct("<16x4xIQ16x16x")
"""struct work_cpu: how many runs were timed, and how long those took."""


def timed_ns(memory: mmap.mmap, cpus: int) -> int:
    """What the hooks took of those runs that they timed, on all CPUs."""
    return sum(int(WORK_CPU.unpack_from(memory, cpu * WORK_CPU.size)[1]) for cpu in range(cpus))
