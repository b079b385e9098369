"""What a victim read from disks again, as it had been taken from its memory: a cost of memory, not of the disks.

The kernel calls a wait for such a page a stall for memory only where the page had been in steady use (PG_workingset,
mm/workingset.c), and a stall for I/O where it was reclaimed before it came to that. But it counts every page that
comes back, and the probe every request: reads that came with such pages are rereads.
"""

import mmap

from agent.analysis.growth import growth_per_work, growth_ratio, with_neighbours
from agent.analysis.observation import Pairs


def more_requests(pairs: Pairs) -> tuple[float, float]:
    """How many more it made than without them, in all pairs together: rereads, and others."""
    again = _requests(pairs)
    return again, max(0.0, (growth_per_work(pairs, lambda seen: seen.disk.requests) or 0.0) - again)


def reread_ratio(pairs: Pairs) -> float:
    """Of what disks did for it beside the neighbours, how much was for more rereads than without them; 0 to 1.

    By requests or by bytes, whichever is more: a small request takes long for its size, a large one for its number.
    """
    return max(_of_requests(pairs), _of_bytes(pairs))


def fresh_ratio(pairs: Pairs) -> float:
    """Likewise, how much was for more requests, or for larger ones, than without them, rereads apart; 0 to 1."""
    return max(
        growth_ratio(pairs, lambda seen: seen.disk.requests) - _of_requests(pairs),
        growth_ratio(pairs, lambda seen: seen.disk.bytes) - _of_bytes(pairs),
        0.0,
    )


def _requests(pairs: Pairs) -> float:
    return min(growth_per_work(pairs, lambda seen: seen.disk.reads) or 0.0, _pages(pairs))


def _of_requests(pairs: Pairs) -> float:
    return _part(_requests(pairs), with_neighbours(pairs, lambda seen: seen.disk.requests))


def _of_bytes(pairs: Pairs) -> float:
    read = growth_per_work(pairs, lambda seen: seen.disk.read_bytes) or 0.0
    again = min(read, _pages(pairs) * mmap.PAGESIZE)
    return _part(again, with_neighbours(pairs, lambda seen: seen.disk.bytes))


def _pages(pairs: Pairs) -> float:
    return growth_per_work(pairs, lambda seen: seen.signals.refaulted_pages) or 0.0


def _part(amount: float, whole: float) -> float:
    return amount / whole if whole else 0.0
