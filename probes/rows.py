"""The head of each CPU's row (struct row in bpf/layout.h): who runs there, since when."""

import mmap
from dataclasses import dataclass

from probes import layout


@dataclass(frozen=True, slots=True)
class Running:
    """Who runs on a CPU since when, how often it switched, and what the sweep counted as waiting for it."""

    since: int
    clock: int
    slot: int
    head: int
    switches: int
    swept_wait_ns: int

    @property
    def in_progress_ns(self) -> int:
        """Length of the slice that has not ended, as far as the sweep saw; the idle task's does not count."""
        return 0 if self.slot == layout.SLOT_IDLE else max(0, self.clock - self.since)


def running(rows: mmap.mmap, cpu: int) -> Running:
    """On one CPU, now."""
    h = layout.ROW_HEAD.unpack_from(rows, cpu * layout.SIZE_ROW)
    return Running(since=h[1], clock=h[2], slot=h[4], head=h[5], switches=h[8], swept_wait_ns=h[10])


def set_shed(rows: mmap.mmap, cpus: int, flags: int) -> None:
    """Tell the hook of every CPU what to leave out: SHED_… flags."""
    for cpu in range(cpus):
        offset = cpu * layout.SIZE_ROW + layout.ROW_SHED_OFFSET
        rows[offset : offset + 4] = flags.to_bytes(4, "little")
