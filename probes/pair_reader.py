"""Reads who waited for whom: what bpf/pairs.c found grown in each row, summed over the rows."""

import mmap
from collections.abc import Callable, Container, Iterable, Mapping

from probes import layout
from probes.bpf_syscall import ArrayMap
from probes.snapshot import KEY_OTHER, Wait

_SLOT = 0xFFFF


class PairReader:
    """Waits since the last reading: `doom`, then `take` every row, then ask for the `waits`."""

    def __init__(self, walk: Callable[[], None], maps: Mapping[str, mmap.mmap], grown: ArrayMap) -> None:
        """`walk` runs on_claimed() over the words of the row that `growths` names."""
        self._walk = walk
        self._growth = maps["growths"]
        self._doomed = maps["doomed_slots"]
        self._grown = grown
        self._any_doomed = False
        self._early: dict[int, dict[int, Wait]] = {}  # by the slots of victim and aggressor

    def doom(self, slots: Iterable[int]) -> None:
        """From now on free the pairs that one of these slots takes part in, and of no others, once they are taken."""
        bits = sum(1 << slot for slot in set(slots))
        self._any_doomed = bits != 0
        self._doomed[:] = bits.to_bytes(len(self._doomed), "little")

    def take(self, row: int) -> bytes:
        """The records of what has grown in a row since it was last taken."""
        layout.GROWTH.pack_into(self._growth, 0, row, self._any_doomed, 0)
        self._walk()
        _, _, records = layout.GROWTH.unpack_from(self._growth)
        if not records:
            return b""
        with self._grown.mapped(0, records) as memory:
            return memory[: records * layout.PAIR.size]

    def waits(
        self, records: bytes, victims: Container[int], keys: Mapping[int, int]
    ) -> dict[int, list[Wait]]:
        """By key, from the slots of these victims; `keys` has the key of every slot that is in use by now.

        Other victims are too young to have been read: what they waited is kept for the next time.
        """
        found = self._early
        for pair, count, ns in layout.PAIR.iter_unpack(records):
            victim, aggressor = pair >> 16, pair & _SLOT
            waits = found.get(victim)
            if waits is None:
                waits = found[victim] = {}
            if aggressor in waits:
                old_ns, old_count, key = waits[aggressor]
                waits[aggressor] = old_ns + ns, old_count + count, key
            else:
                waits[aggressor] = ns, count, keys.get(aggressor, KEY_OTHER)
        self._early = {slot: waits for slot, waits in found.items() if slot in keys and slot not in victims}
        return {keys[slot]: list(waits.values()) for slot, waits in found.items() if slot in victims}
