"""User space's half of the counters per cgroup, whose other half is bpf/counters.h.

The hook reads the events of a CPU when the CPU goes over to another slot. What the slot that runs now has counted
since then is added here, by reading the events themselves: without it a cgroup that keeps its CPU for itself
would show nothing until it leaves. That costs a busy CPU one interrupt per event and reading; idle CPUs are left
alone. A switch may come between the two readings; then the sums alone are taken, and what was shown before is
never taken back, so each figure only grows.
"""

import contextlib
import ctypes
import mmap
import operator
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

from probes import bpf_syscall, layout, perf_event
from probes.bpf_syscall import _bpf
from probes.layout import Dimensions
from probes.perf_event import PerfEvent, Reading, Refusal
from probes.snapshot import CountingCost

_MAP_UPDATE_ELEM = 2
_FIGURES = 3  # per event: value, enabled_ns, running_ns
_STATE_HEAD = struct.Struct("<QQ4xIQ16x")  # slot, changes, timed, timed_ns


class OpenEvents:
    """Events that count on every CPU that has them, in the order in which the hook reads them.

    Opened before the hook is compiled, since it is compiled for their number.

    Attributes:
        events: Those that are counted.
        descriptors: Of each of them, by CPU.
        refused: Why the others are not.
    """

    def __init__(self, wanted: Iterable[PerfEvent], cpus: int) -> None:
        self._resources = contextlib.ExitStack()
        self.events: list[PerfEvent] = []
        self.descriptors: list[Mapping[int, int]] = []
        self.refused: dict[PerfEvent, Refusal] = {}
        for event in wanted:
            opened = perf_event.open_per_cpu(event, range(cpus))
            if isinstance(opened, Refusal):
                self.refused[event] = opened
                continue
            self.events.append(event)
            self.descriptors.append(opened)
            for descriptor in opened.values():
                self._resources.callback(os.close, descriptor)

    def read(self, cpu: int) -> list[int]:
        """(value, enabled, running) of each event on a CPU, in one list; zeros where the CPU lacks the event."""
        readings = [
            perf_event.read(opened[cpu]) if cpu in opened else Reading(0, 0, 0) for opened in self.descriptors
        ]
        return [figure for r in readings for figure in (r.value, r.enabled_ns, r.running_ns)]

    def close(self) -> None:
        """Stop counting; may be called twice."""
        self._resources.close()


class SlotCounters:
    """Totals per slot and event since it was made."""

    def __init__(
        self,
        source: OpenEvents,
        maps: Mapping[str, int],
        dimensions: Dimensions,
        finished: Callable[[int], list[int]],
    ) -> None:
        """Hand the events to the hook and start them.

        Args:
            source: The events.
            maps: Descriptors of the probe's maps, by name.
            dimensions: Of these.
            finished: What was counted of a slot in all its cells until these were last read, before this is.
        """
        self._source = source
        self._finished = finished
        self._cpus = dimensions.cpus if source.events else 0  # with no events there are no maps
        self._cell = struct.Struct(f"<{_FIGURES * len(source.events)}Q")
        self._state_bytes = _STATE_HEAD.size + self._cell.size
        self._resources = contextlib.ExitStack()
        self._states = self._memory(maps.get("cpu_counters"), self._cpus, self._state_bytes)
        self._shown: dict[int, list[int]] = {}
        for number, opened in enumerate(source.descriptors):
            for cpu, descriptor in opened.items():
                put_event(maps["counter_events"], cpu * len(source.events) + number, descriptor)
                perf_event.enable(descriptor)

    def read(self, slots: Iterable[int]) -> dict[int, dict[str, Reading]]:
        """Totals now by slot and event name, summed over CPUs; none for the idle task, or when there is no event."""
        if not self._source.events:
            return {}
        running: dict[int, list[int]] = {}
        for slot, grown in filter(None, map(self._running, range(self._cpus))):
            running[slot] = list(map(operator.add, running[slot], grown)) if slot in running else grown
        busy = (slot for slot in slots if slot != layout.SLOT_IDLE)
        return {slot: self._named(self._total(slot, running)) for slot in busy}

    def seed(self, cpu: int, slot: int) -> None:
        """Count from now on for the slot that runs on a CPU, unless the hook has begun there."""
        if not self._cpus or _STATE_HEAD.unpack_from(self._state(cpu))[1]:
            return
        try:
            now = self._source.read(cpu)
        except OSError:  # the CPU went offline
            return
        _STATE_HEAD.pack_into(self._states, cpu * self._state_bytes, slot, 1, 0, 0)
        self._cell.pack_into(self._states, cpu * self._state_bytes + _STATE_HEAD.size, *now)

    def clear(self, slot: int) -> None:
        """Forget a dead cgroup's figures."""
        self._shown.pop(slot, None)

    def cost(self) -> CountingCost | None:
        """What reading the events took the hook until now; None where nothing is counted."""
        if not self._cpus:
            return None
        heads = [_STATE_HEAD.unpack_from(self._states, cpu * self._state_bytes) for cpu in range(self._cpus)]
        _, *columns = zip(*heads, strict=True)
        return CountingCost(*map(sum, columns))

    def close(self) -> None:
        """Unmap; may be called twice."""
        self._resources.close()

    def _memory(self, descriptor: int | None, entries: int, value_bytes: int) -> mmap.mmap | bytearray:
        if descriptor is None:
            return bytearray()
        memory = bpf_syscall.map_memory(descriptor, entries, value_bytes)
        self._resources.callback(memory.close)
        return memory

    def _total(self, slot: int, running: Mapping[int, list[int]]) -> list[int]:
        nothing = [0] * (_FIGURES * len(self._source.events))
        parts = self._shown.get(slot, nothing), self._finished(slot), running.get(slot, nothing)
        self._shown[slot] = [max(old, sum(column)) for old, *column in zip(*parts, strict=True)]
        return self._shown[slot]

    def _running(self, cpu: int) -> tuple[int, list[int]] | None:
        """The slot on a CPU and what it has counted since the hook's last reading; None: idle, or a switch came."""
        before = self._state(cpu)
        slot, *_ = _STATE_HEAD.unpack_from(before)
        if slot == layout.SLOT_IDLE:
            return None
        try:
            now = self._source.read(cpu)
        except OSError:  # the CPU went offline
            return None
        if self._state(cpu) != before:
            return None
        return slot, in_progress(self._cell.unpack_from(before, _STATE_HEAD.size), now)

    def _state(self, cpu: int) -> bytes:
        return bytes(self._states[cpu * self._state_bytes : (cpu + 1) * self._state_bytes])

    def _named(self, figures: list[int]) -> dict[str, Reading]:
        starts = range(0, len(figures), _FIGURES)
        readings = (Reading(*figures[start : start + _FIGURES]) for start in starts)
        return {event.name: reading for event, reading in zip(self._source.events, readings, strict=True)}


def in_progress(seen: Sequence[int], now: Sequence[int]) -> list[int]:
    """What was counted since the hook's last reading, as (value, enabled, running) per event; never below 0.

    Nothing before the hook's first reading, and nothing of an event that went back: as in the hook.
    """
    grown: list[int] = []
    for start in range(0, len(seen), _FIGURES):
        before, after = seen[start : start + _FIGURES], now[start : start + _FIGURES]
        growth = [b - a for a, b in zip(before, after, strict=True)]
        comparable = before[1] > 0 and min(growth) >= 0
        grown += growth if comparable else [0] * _FIGURES
    return grown


def put_event(map_fd: int, index: int, descriptor: int) -> None:
    """Store an event in a perf event array by bpf(2); the entry lives as long as the map's descriptor."""
    key, value = ctypes.c_uint32(index), ctypes.c_uint32(descriptor)
    attr = struct.pack("<I4xQQQ", map_fd, ctypes.addressof(key), ctypes.addressof(value), 0)
    _bpf(_MAP_UPDATE_ELEM, attr)
