"""The newest slices of each CPU's ring, from memory as the hook writes it."""

import mmap

from probes import layout
from probes.rings import SLICE, newest
from probes.rows import Running


def memory(*cpus: list[tuple[int, int]]) -> mmap.mmap:
    """Slices as pushed one after the other on each CPU, from place 1 on, as the hook does."""
    made = mmap.mmap(-1, (len(cpus) + 1) * layout.NR_SLICES * SLICE.size)
    for cpu, pushed in enumerate(cpus):
        for place, (start, slot) in enumerate(pushed, 1):
            SLICE.pack_into(
                made, (cpu * layout.NR_SLICES + place % layout.NR_SLICES) * SLICE.size, start, slot
            )
    return made


def head(place: int, clock: int) -> Running:
    return Running(since=0, clock=clock, slot=0, head=place, switches=place, swept_wait_ns=0)


def test_slices_come_in_order_with_keys_for_slots() -> None:
    with memory([(10, 5), (20, 6)], [(15, 7)]) as rings:
        found = newest(rings, [head(2, 30), head(1, 40)], lambda slot: slot * 100)
    assert [(ring.until_ns, ring.slices) for ring in found] == [
        (30, ((10, 500), (20, 600))),
        (40, ((15, 700),)),
    ]


def test_of_a_full_ring_the_newest_are_taken() -> None:
    pushed = [(start, start % 7) for start in range(1, 3 * layout.NR_SLICES)]
    with memory(pushed) as rings:
        (ring,) = newest(rings, [head(len(pushed), len(pushed))], lambda slot: slot)
    assert ring.slices == tuple(pushed[-len(ring.slices) :])
    assert len(ring.slices) == layout.NR_SLICES // 2


def test_a_cpu_that_never_switched_has_none() -> None:
    with memory([]) as rings:
        assert newest(rings, [head(0, 0)], lambda slot: slot)[0].slices == ()


def test_many_cpus_share_the_work() -> None:
    pushed = [(start, 3) for start in range(1, 100)]
    with memory(*[pushed] * 16) as rings:
        found = newest(rings, [head(len(pushed), 1000)] * 16, lambda slot: slot)
    assert {len(ring.slices) for ring in found} == {16}
