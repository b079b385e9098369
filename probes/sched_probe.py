"""The scheduler probe: attached while it is open, read by `read`.

One hook on sched_switch (bpf/switch.c), two on cgroups coming and going (bpf/lifecycle.c), and a scan of all
tasks at each reading (bpf/wait_scan.c), so that waits in progress are in every snapshot.
"""

import contextlib
import mmap
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from probes import bpf_syscall, compiler, kernel, layout, loader, readout
from probes.bpf_syscall import ArrayMap
from probes.counters import CountingCost, OpenEvents, SlotCounters
from probes.errors import refusal
from probes.perf_event import PerfEvent
from probes.readout import Copy, CpuState, PairReader, RowCopier, SlotReader, TaskReader
from probes.slots import SlotDirectory
from probes.snapshot import KEY_IDLE, KEY_KERNEL, KEY_OTHER, CpuFigures, SchedFigures, Snapshot

_RESERVED = {layout.SLOT_IDLE: KEY_IDLE, layout.SLOT_KERNEL: KEY_KERNEL, layout.SLOT_OTHER: KEY_OTHER}
_RESERVED_PATHS = {KEY_IDLE: "idle", KEY_KERNEL: "kernel", KEY_OTHER: "other"}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which hierarchy says what a cgroup is: v2, v1's cpu, or (hybrid) v2 and, where that tells more, v1's cpu.

    Attributes:
        v2_root_id: Inode of the v2 root, or None to leave v2 out.
        v1_hierarchy_id: Id of the v1 hierarchy with the cpu controller, or None to leave v1 out.
        tells_more: Whether a v1 cgroup of this path tells its tasks apart better than v2 does.
    """

    v2_root_id: int | None
    v1_hierarchy_id: int | None
    tells_more: Callable[[str], bool] = lambda _: False

    def defines(self) -> dict[str, int]:
        """What the C side is compiled with."""
        return {
            "IDENTITY_V2": int(self.v2_root_id is not None),
            "IDENTITY_V1": int(self.v1_hierarchy_id is not None),
            "ROOT_KEY_V2": self.v2_root_id or 0,
            "V1_HIERARCHY_ID": self.v1_hierarchy_id or 0,
        }


# What the hook can leave out to save time, the first first. Without blame a wait's part behind others counts as
# unattributed; without the histogram there are no percentiles.
SHEDDING_ORDER = ("blame", "histogram")
_ATTACHED = ("on_switch", "on_migrate", "on_task", "on_cgroup_mkdir", "on_cgroup_rmdir", "on_cgroup_attach")
# The most scans of one reading, and how long it may be kept from the CPU after one.
_SCANS, _LATE_NS = 3, 5_000_000
_SHED_FLAGS = (layout.SHED_BLAME, layout.SHED_HISTOGRAM)

ListCgroups = Callable[[], Iterable[tuple[int, str]]]


class _Keys(dict[int, int]):
    """By slot the key of its cgroup; 2,000 slices are looked up at a reading, each in a fifth of a lambda's time."""

    def __missing__(self, slot: int) -> int:
        return KEY_OTHER


class SchedProbe:
    """Open it, read it, close it; a context manager. Nothing stays attached when the process ends, however it ends."""

    def __init__(
        self,
        identity: Identity,
        list_cgroups: ListCgroups,
        *,
        typed: bool = True,
        events: Sequence[PerfEvent] = (),
        dimensions: layout.Dimensions | None = None,
    ) -> None:
        """Compile, load, check and attach.

        Args:
            identity: What tells cgroups apart on this host.
            list_cgroups: Lists (key, path) of the cgroups there are now.
            typed: False for the slower programs that need no typed pointers.
            events: What to count per cgroup; those that cannot be counted are left out.
            dimensions: Other sizes than those chosen for this host.

        Raises:
            HostError: No privilege, no BTF, a member missing, or the verifier refused.
        """
        loader.require_privilege()
        cgroups = sum(1 for _ in list_cgroups())
        self._dimensions = dimensions or layout.dimensions_for(kernel.possible_cpus(), cgroups)
        self.kernel = kernel.describe(typed=typed)
        self._resources = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._resources)
            try:
                self._open(identity, list_cgroups, events)
            except OSError as error:
                raise refusal("attaching the probes", error) from error
            undo.pop_all()

    def _open(self, identity: Identity, list_cgroups: ListCgroups, events: Sequence[PerfEvent]) -> None:
        self._events = OpenEvents(events, self._dimensions.cpus)
        self._resources.callback(self._events.close)
        defines = {
            **self.kernel.defines(),
            **self._dimensions.defines(),
            **identity.defines(),
            **self._events.defines(),
        }
        request = compiler.CompileRequest(defines, self.kernel.attach_ids, self.kernel.typed)
        self._descriptors = loader.load(request)
        for descriptor in self._descriptors.values():
            self._resources.callback(os.close, descriptor)
        maps, arrays = self._map_memory(), self._array_maps()
        loader.check(self._descriptors["on_canary"], maps["canaries"], identity.v2_root_id is not None)
        self._states, self._slices = maps["cpu_states"], maps["slices"]
        self._slots = SlotReader(arrays["slot_stats"], self._dimensions)
        walk_link = self._attach_iterator("on_claimed", "row_words")
        self._pairs = PairReader(partial(bpf_syscall.run_iterator, walk_link), maps, arrays["grown_pairs"])
        self._copier = RowCopier(self._states, self._slots, self._pairs, self._dimensions.cpus)
        self._directory = SlotDirectory(maps, arrays, self._dimensions, identity.tells_more)
        self._directory.assign_existing(list_cgroups())  # loading took a while
        self._attach("on_cgroup_mkdir", "cgroup_mkdir")
        self._attach("on_cgroup_rmdir", "cgroup_rmdir")
        self._attach("on_cgroup_attach", "cgroup_attach_task")
        self._directory.assign_missed(list_cgroups)
        self._scan_link = self._attach_iterator("on_task")
        self._counters = SlotCounters(self._events, self._descriptors, self._dimensions)
        self._resources.callback(self._counters.close)
        self._tasks = TaskReader(arrays["slot_tasks"])
        self._read_ns = self._began_ns = time.monotonic_ns()
        self._busy_clocks: dict[int, int] = {}
        self._pending_free: list[int] = []
        self._shed: tuple[str, ...] = ()
        self._attach("on_migrate", "sched_migrate_task")
        self._attach("on_switch", "sched_switch")
        bpf_syscall.run_iterator(self._scan_link)  # finds who runs; who waits there, the first reading does
        for cpu in range(self._dimensions.cpus):
            state = readout.cpu_state(self._states, cpu)
            if state.attached:
                self._counters.seed(cpu, state.slot)

    def __enter__(self) -> "SchedProbe":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Detach and free; may be called twice."""
        self._resources.close()

    def read(self) -> Snapshot:
        """Scan all waits, then read everything. Costs some 30 µs per cgroup that ran."""
        died = self._directory.update()
        slots = [*_RESERVED, *self._directory.live]
        self._pairs.free_next(self._pending_free)
        began_ns, before_ns, moves = time.monotonic_ns(), self._began_ns, self._directory.moves
        scanned_ns, copies, pairs = self._scan_and_copy(slots)
        for row, copy in copies.items():
            self._slots.take_in(row, slots, copy.cells)
        figures = self._slots.figures(slots)
        for copy in copies.values():
            if copy.running in figures:  # its birth may not be known yet
                figures[copy.running] = _plus_run(figures[copy.running], copy.run_ns)
        died += self._directory.update()  # who was born meanwhile may have been waited for
        keys = _Keys(_RESERVED | {slot: key for slot, (key, _) in self._directory.live.items()})
        states = [readout.cpu_state(self._states, cpu) for cpu in range(self._dimensions.cpus)]
        snapshot = Snapshot(
            monotonic_ns=scanned_ns,
            cgroups={keys[slot]: cgroup for slot, cgroup in figures.items() if slot != layout.SLOT_IDLE},
            waits=self._pairs.waits(pairs, figures, keys),
            cpus=self._cpu_figures(states, copies),
            paths=_RESERVED_PATHS | dict(self._directory.live.values()),
            untracked=self._directory.untracked,
            waits_since_ns=self._read_ns,
            shed=self._shed,
            counters={keys[slot]: counted for slot, counted in self._counters.read(slots).items()},
            rings=readout.rings(self._slices, states, keys.__getitem__),
            removed=frozenset(keys[slot] for slot in (*self._pending_free, *died)),
            tasks={keys[slot]: most for slot, most in self._tasks.most(figures, moves).items()},
            reach_ns=self._reach_ns(before_ns, states),
            uncounted={event.name: refusal for event, refusal in self._events.refused.items()},
        )
        self._free(self._pending_free)
        self._pending_free, self._read_ns, self._began_ns = died, snapshot.monotonic_ns, began_ns
        return snapshot

    def _scan_and_copy(self, slots: Sequence[int]) -> tuple[int, dict[int, Copy], bytes]:
        """When the scan ended, the copies of the rows, and the growth of all their pairs.

        Who does not switch is known until the scan, who does until the copy; so both are made again where the reader
        was kept from the CPU in between. Windows of 100 ms beside it were 45 ms longer than what was in them.
        """
        pairs = b""
        for _ in range(_SCANS):
            self._tasks.clear()
            bpf_syscall.run_iterator(self._scan_link)
            scanned_ns, ran_ns = time.monotonic_ns(), time.thread_time_ns()
            copies = self._copier.copy(slots)
            pairs += b"".join(copy.pairs for copy in copies.values())
            if time.monotonic_ns() - scanned_ns - (time.thread_time_ns() - ran_ns) < _LATE_NS:
                break
        return scanned_ns, copies, pairs

    def shed(self, level: int) -> None:
        """Leave out the first `level` steps of SHEDDING_ORDER from now on; 0 does all the work."""
        readout.set_shed(self._states, self._dimensions.cpus, sum(_SHED_FLAGS[:level]))
        self._shed = SHEDDING_ORDER[:level]

    def run_stats(self) -> list[bpf_syscall.RunStats]:
        """The kernel's accounting of every program that is attached, the switch hook's first."""
        return [bpf_syscall.run_stats(self._descriptors[name]) for name in _ATTACHED]

    def counting_cost(self) -> CountingCost | None:
        """What the events cost the switch hook until now; None where none is counted."""
        return self._counters.cost()

    def _map_memory(self) -> dict[str, mmap.mmap]:
        """What is read or written all the time: some 200 kB."""
        nr_rows, slots = self._dimensions.cpus + 1, self._dimensions.slots
        sizes = {
            "cpu_states": (nr_rows, layout.SIZE_CPU_STATE),
            "slices": (nr_rows * layout.NR_SLICES, layout.SLICE.size),
            "growths": (1, layout.GROWTH.size),
            "pending_free_slots": (slots // 64, 8),
            "lifecycle": (1, layout.LIFECYCLE.size),
            "free_slots": (slots, 8),
            "died_slots": (slots, 8),
            "canaries": (1, loader.CANARY.size),
        }
        maps = {name: bpf_syscall.map_memory(self._descriptors[name], *size) for name, size in sizes.items()}
        for memory in maps.values():
            self._resources.callback(memory.close)
        return maps

    def _array_maps(self) -> dict[str, ArrayMap]:
        """What is mapped only while it is used: 9 MB on a small host."""
        nr_rows, slots = self._dimensions.cpus + 1, self._dimensions.slots
        sizes = {
            "slot_stats": (nr_rows * slots, layout.SIZE_SLOT_STATS),
            "grown_pairs": (self._dimensions.pairs, layout.PAIR.size),
            "slot_buckets": (self._dimensions.slot_buckets, layout.SIZE_SLOT_BUCKET),
            "slot_tasks": (slots, 8),
            "slot_names": (slots, layout.SIZE_SLOT_NAME),
        }
        return {name: ArrayMap(self._descriptors[name], *size) for name, size in sizes.items()}

    def _attach(self, program: str, tracepoint: str) -> None:
        name = None if self.kernel.typed else tracepoint
        link = bpf_syscall.attach_tracepoint(self._descriptors[program], name)
        self._resources.callback(os.close, link)

    def _attach_iterator(self, program: str, over: str | None = None) -> int:
        descriptor = None if over is None else self._descriptors[over]
        link = bpf_syscall.attach_iterator(self._descriptors[program], descriptor)
        self._resources.callback(os.close, link)
        return link

    def _free(self, slots: list[int]) -> None:
        if not slots:
            return
        self._slots.clear(slots)
        self._pairs.forget(slots)
        for slot in slots:
            self._counters.clear(slot)
        self._tasks.forget(slots)
        self._directory.free(slots)

    def _reach_ns(self, began_ns: int, states: Sequence[CpuState]) -> int:
        """Since the reading before, which began then, by the clock that says most: a CPU's stops with its tick."""
        before = self._busy_clocks
        self._busy_clocks = {
            cpu: state.clock
            for cpu, state in enumerate(states)
            if state.attached and state.slot != layout.SLOT_IDLE
        }
        by_cpus = (clock - before[cpu] for cpu, clock in self._busy_clocks.items() if cpu in before)
        return max(time.monotonic_ns() - began_ns, *by_cpus, 0)

    def _cpu_figures(self, states: list[CpuState], copies: Mapping[int, Copy]) -> tuple[CpuFigures, ...]:
        return tuple(
            CpuFigures(
                run_ns=self._slots.cpu_run_ns[cpu] + (copies[cpu].run_ns if cpu in copies else 0),
                wait_ns=self._slots.cpu_wait_ns[cpu] + state.scanned_wait_ns,
                switches=state.switches,
            )
            for cpu, state in enumerate(states)
        )


def _plus_run(figures: SchedFigures, run_ns: int) -> SchedFigures:
    return figures._replace(run_ns=figures.run_ns + run_ns) if run_ns else figures
