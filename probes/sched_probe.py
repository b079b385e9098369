"""The scheduler probe: attached while it is open, read by `read`.

One hook on sched_switch (bpf/switch.c), two on cgroups coming and going (bpf/lifecycle.c), and a scan of all
tasks at each reading (bpf/wait_scan.c), so that waits in progress are in every snapshot.
"""

import contextlib
import mmap
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from probes import block_io, bpf_syscall, kernel, kernel_work, layout, loader, network, readout, reclaim
from probes.bpf_syscall import ArrayMap
from probes.compiled import CompileRequest
from probes.counters import OpenEvents, SlotCounters
from probes.errors import HostChangedError, refusal
from probes.perf_event import PerfEvent
from probes.privilege import require_privilege
from probes.readout import CellReader, CpuState, PairReader, TaskReader
from probes.slots import SlotDirectory
from probes.snapshot import KEY_IDLE, KEY_KERNEL, KEY_OTHER, CpuFigures, ProbeCost, SchedFigures, Snapshot

_RESERVED = {layout.SLOT_IDLE: KEY_IDLE, layout.SLOT_KERNEL: KEY_KERNEL, layout.SLOT_OTHER: KEY_OTHER}
_RESERVED_PATHS = {KEY_IDLE: "idle", KEY_KERNEL: "kernel", KEY_OTHER: "other"}


@dataclass(frozen=True, slots=True)
class CgroupIdentity:
    """Which hierarchy says what a cgroup is: v2, v1's cpu, or (hybrid) v2 and, where that tells more, v1's cpu.

    Attributes:
        v2_root_id: Inode of the v2 root, or None to leave v2 out.
        v1_hierarchy_id: Id of the v1 hierarchy with the cpu controller, or None to leave v1 out.
        tells_more: Whether a v1 cgroup of this path tells its tasks apart better than v2 does.
        holds_tasks: Whether the cgroup of this key and path has tasks now: those come first where slots are few.
    """

    v2_root_id: int | None
    v1_hierarchy_id: int | None
    tells_more: Callable[[str], bool] = lambda _: False
    holds_tasks: Callable[[int, str], bool] = lambda _key, _path: True

    def defines(self) -> dict[str, int]:
        """What the C side is compiled with."""
        return {
            "IDENTITY_V2": int(self.v2_root_id is not None),
            "IDENTITY_V1": int(self.v1_hierarchy_id is not None),
            "ROOT_KEY_V2": self.v2_root_id or 0,
            "V1_HIERARCHY_ID": self.v1_hierarchy_id or 0,
        }


def compile_request(
    host: kernel.Kernel, dimensions: layout.Dimensions, identity: CgroupIdentity, counters: int
) -> CompileRequest:
    """What the probe is compiled with.

    Args:
        host: The kernel that it is for.
        dimensions: Its sizes.
        identity: What tells cgroups apart there.
        counters: How many events are counted per cgroup.
    """
    sizes = {
        **dimensions.defines(),
        **block_io.DEFINES,
        **kernel_work.DEFINES,
        "SIZE_CELL": layout.size_cell(counters),
        "SIZE_SLOT_SUMS": layout.size_slot_sums(counters),
    }
    defines = {**host.defines(), **sizes, **identity.defines(), "NR_COUNTERS": counters}
    return CompileRequest(defines, host.attach_ids, host.typed)


# What can be left out to save time, the first first. Without blame a wait's part behind others counts as
# unattributed; without the histogram there are no percentiles.
SHEDDING_ORDER = ("network", "io", "blame", "histogram")
# The most scans of one reading, and how long it may be kept from the CPU after one.
_SCANS, _LATE_NS = 3, 5_000_000
_SHED_FLAGS = (layout.SHED_NET, layout.SHED_IO, layout.SHED_BLAME, layout.SHED_HISTOGRAM)

ListCgroups = Callable[[], Iterable[tuple[int, str]]]


class _Keys(dict[int, int]):
    """By slot the key of its cgroup; 2,000 slices are looked up at a reading, each in a fifth of a lambda's time."""

    def __missing__(self, slot: int) -> int:
        return KEY_OTHER


class SchedProbe:
    """Open it, read it, close it; a context manager. Nothing stays attached when the process ends, however it ends.

    Attributes:
        kernel: What it was made for.
        dimensions: Its sizes.
        origin: In words, where its programs came from: the compiler or a file.
        not_kept: Why what was compiled could not be kept for the next start.
    """

    def __init__(
        self,
        identity: CgroupIdentity,
        list_cgroups: ListCgroups,
        *,
        typed: bool = True,
        events: Sequence[PerfEvent] = (),
        io: bool = True,
        net: bool = True,
        list_limits: ListCgroups = tuple,
        dimensions: layout.Dimensions | None = None,
    ) -> None:
        """Compile, load, check and attach.

        Args:
            identity: What tells cgroups apart on this host.
            list_cgroups: Lists (key, path) of the cgroups there are now.
            typed: False for the slower programs that need no typed pointers.
            events: What to count per cgroup; those that cannot be counted are left out.
            io: Look at block I/O as well, where this kernel shows it.
            net: Look at queues of network devices as well; they know the cgroups of v2 alone.
            list_limits: Lists (id, path) of the cgroups of the memory controller.
            dimensions: Other sizes than those chosen for this host.

        Raises:
            HostError: No privilege, no BTF, a member missing, or the verifier refused.
        """
        require_privilege()
        self._io, self._net = io, net
        self._list_limits = list_limits
        cgroups = sum(1 for _ in list_cgroups())
        self._identity = identity
        cpus = kernel.watched_cpus(kernel.count_cpus("present"), kernel.count_cpus("possible"))
        self.dimensions = dimensions or layout.dimensions_for(cpus, cgroups)
        self.kernel = kernel.describe(typed=typed)
        self._resources = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._resources)
            try:
                self._open(identity, list_cgroups, events)
            except OSError as error:
                raise refusal("attaching the probes", error) from error
            undo.pop_all()

    def _open(self, identity: CgroupIdentity, list_cgroups: ListCgroups, events: Sequence[PerfEvent]) -> None:
        self._events = OpenEvents(events, self.dimensions.cpus)
        self._resources.callback(self._events.close)
        loaded = loader.load(self.request(len(self._events.events)))
        self._descriptors, self.origin, self.not_kept = loaded.descriptors, loaded.origin, loaded.not_kept
        for descriptor in self._descriptors.values():
            self._resources.callback(os.close, descriptor)
        self._memory_bytes = sum(bpf_syscall.held_bytes(fd) or 0 for fd in self._descriptors.values()) or None
        maps, arrays = self._map_memory(), self._array_maps()
        loader.check(self._descriptors["on_canary"], maps["canaries"], identity.v2_root_id is not None)
        self._states, self._slices = maps["cpu_states"], arrays["slices"]
        self._reading_ns = 0
        counted = len(self._events.events)
        self._cells = CellReader(
            partial(self._walk, "on_cell", arrays["cell_owners"].entries, maps["cell_walks"]),
            maps,
            arrays,
            self.dimensions,
            counted,
        )
        words = self.dimensions.rows * self.dimensions.pairs // 64
        self._pairs = PairReader(
            partial(self._walk, "on_claimed", words, maps["growths"]), maps, arrays["grown_pairs"]
        )
        self._directory = SlotDirectory(maps, arrays, self.dimensions, identity.tells_more)
        self._directory.assign_existing(list_cgroups(), identity.holds_tasks)  # loading took a while
        self._attach("on_cgroup_mkdir", "cgroup_mkdir")
        self._attach("on_cgroup_rmdir", "cgroup_rmdir")
        self._attach("on_cgroup_attach", "cgroup_attach_task")
        self._directory.assign_missed(list_cgroups)
        self._scan_link = bpf_syscall.attach_iterator(self._descriptors["on_task"])
        self._resources.callback(os.close, self._scan_link)
        self._counters = SlotCounters(self._events, self._descriptors, self.dimensions, self._cells.counters)
        self._resources.callback(self._counters.close)
        self._tasks = TaskReader(arrays["slot_tasks"])
        self._read_ns = self._began_ns = time.monotonic_ns()
        self._busy_clocks: dict[int, int] = {}
        self._pending_free: list[int] = []
        self._shed: tuple[str, ...] = ()
        self._disks = block_io.DiskReader(self._descriptors)
        self._work_cpus = maps["work_cpus"]
        self._queues = network.NetworkReader(self._descriptors)
        self._reclaims = reclaim.ReclaimReader(self._descriptors, self._list_limits)
        for program, tracepoint in self._optional().items():
            self._attach(program, tracepoint)
        self._attach("on_migrate", "sched_migrate_task")
        self._attach("on_switch", "sched_switch")
        self._scan()  # finds who runs; who waits there, the first reading does
        for cpu, state in enumerate(self._cpu_states()):
            if state.attached:
                self._counters.seed(cpu, state.slot)

    def _optional(self) -> dict[str, str]:
        """Tracepoints by program, of what this kernel shows beside the scheduler and was asked for."""
        wanted = {"HAVE_BLOCK": self._io, "HAVE_NETWORK": self._net and self._identity.v2_root_id is not None}
        told = (tracepoints for name, tracepoints in self.kernel.optional().items() if wanted.get(name, True))
        return dict(chain.from_iterable(tracepoints.items() for tracepoints in told))

    def __enter__(self) -> "SchedProbe":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def request(self, counters: int) -> CompileRequest:
        """What a probe like this one is compiled with that counts so many events."""
        return compile_request(self.kernel, self.dimensions, self._identity, counters)

    def close(self) -> None:
        """Detach and free; may be called twice."""
        self._resources.close()

    def read(self) -> Snapshot:
        """Scan all waits, then read everything. Costs some 15 µs per cgroup that ran, 0.2 more for each CPU it ran on.

        Raises:
            HostChangedError: There are more CPUs than there was room for.
        """
        if (cpu := self._directory.unwatched_cpu) is not None:
            raise HostChangedError(f"CPU {cpu} was added, for which there is no room", "start again")
        died = self._directory.update()
        slots = [*_RESERVED, *self._directory.live]
        self._pairs.free_next(self._pending_free)
        began_ns, before_ns, moves = time.monotonic_ns(), self._began_ns, self._directory.moves
        scanned_ns, states, figures, pairs = self._scan_and_read(slots)
        died += self._directory.update()  # who was born meanwhile may have been waited for
        keys = _Keys(_RESERVED | {slot: key for slot, (key, _) in self._directory.live.items()})
        snapshot = Snapshot(
            monotonic_ns=scanned_ns,
            cgroups={keys[slot]: cgroup for slot, cgroup in figures.items() if slot != layout.SLOT_IDLE},
            waits=self._pairs.waits(pairs, figures, keys),
            cpus=tuple(
                CpuFigures(state.run_ns + state.in_progress_ns, state.wait_ns, state.switches)
                for state in states
            ),
            paths=_RESERVED_PATHS | dict(self._directory.live.values()),
            untracked=self._directory.untracked + self._cells.take_crowded(),
            waits_since_ns=self._read_ns,
            shed=self._shed,
            counters={keys[slot]: counted for slot, counted in self._counters.read(slots).items()},
            rings=readout.rings(self._slices, self.dimensions.slices, states, keys.__getitem__),
            removed=frozenset(keys[slot] for slot in (*self._pending_free, *died)),
            tasks={keys[slot]: most for slot, most in self._tasks.most(figures, moves).items()},
            reach_ns=self._reach_ns(before_ns, states),
            disks=self._disks.read(keys.__getitem__),
            network=self._queues.read(keys.__getitem__),
            reclaims=self._reclaims.read(keys.__getitem__),
            uncounted={event.name: refusal for event, refusal in self._events.refused.items()},
        )
        self._free(self._pending_free)
        self._cells.make_room()
        self._pending_free, self._read_ns, self._began_ns = died, snapshot.monotonic_ns, began_ns
        return snapshot

    def _scan_and_read(
        self, slots: Sequence[int]
    ) -> tuple[int, list[CpuState], dict[int, SchedFigures], bytes]:
        """When the scan ended, the CPUs, the figures, and the growth of all pairs.

        Who does not switch is known until the scan, who does until it is read; so both are done again where the reader
        was kept from the CPU meanwhile. Windows of 100 ms beside it were 45 ms longer than what was in them.
        """
        pairs = b""
        for _ in range(_SCANS):
            self._tasks.clear()
            began_ns, ran_ns = time.monotonic_ns(), time.thread_time_ns()
            self._scan()
            scanned_ns = time.monotonic_ns()
            states = self._cpu_states()
            self._cells.read(slots)
            pairs += self._pairs.drain()
            if time.monotonic_ns() - began_ns - (time.thread_time_ns() - ran_ns) < _LATE_NS:
                break
        figures = self._cells.figures(slots)
        # Who has run on a CPU since before the probe came has no cell there until it leaves.
        begun = ((cpu, state.slot) for cpu, state in enumerate(states) if state.in_progress_ns)
        for cpu in self._cells.without_cell(begun):
            slot, run_ns = states[cpu].slot, states[cpu].in_progress_ns
            if slot in figures:  # its birth may not be known yet
                figures[slot] = figures[slot]._replace(run_ns=figures[slot].run_ns + run_ns)
        return scanned_ns, states, figures, pairs

    def _cpu_states(self) -> list[CpuState]:
        return readout.cpu_states(self._states, self.dimensions.cpus)

    def shed(self, level: int) -> None:
        """Leave out the first `level` steps of SHEDDING_ORDER from now on; 0 does all the work."""
        readout.set_shed(self._states, self.dimensions.cpus, sum(_SHED_FLAGS[:level]))
        self._shed = SHEDDING_ORDER[:level]

    def cost(self) -> ProbeCost:
        """What the programs took until now."""
        hooks = readout.cost(self._states, self.dimensions.cpus)
        work_ns = layout.TIMED_EVERY * kernel_work.timed_ns(self._work_cpus, self.dimensions.cpus)
        other_ns = hooks.other_ns + self._reading_ns + work_ns
        return replace(
            hooks, other_ns=other_ns, counting=self._counters.cost(), memory_bytes=self._memory_bytes
        )

    def _map_memory(self) -> dict[str, mmap.mmap]:
        """What is read or written all the time: some 200 kB."""
        nr_rows, slots = self.dimensions.cpus + 1, self.dimensions.slots
        sizes = {
            "cpu_states": (nr_rows, layout.SIZE_CPU_STATE),
            "cell_walks": (1, layout.CELL_WALK.size),
            "crowded_slots": (slots // 64, 8),
            "growths": (1, layout.GROWTH.size),
            "pending_free_slots": (slots // 64, 8),
            "lifecycle": (1, layout.LIFECYCLE.size),
            "free_slots": (slots, 8),
            "died_slots": (slots, 8),
            "canaries": (1, loader.CANARY.size),
            "work_cpus": (self.dimensions.cpus, kernel_work.WORK_CPU.size),
        }
        maps = {name: bpf_syscall.map_memory(self._descriptors[name], *size) for name, size in sizes.items()}
        for memory in maps.values():
            self._resources.callback(memory.close)
        return maps

    def _array_maps(self) -> dict[str, ArrayMap]:
        """What is mapped only while it is used: 9 MB on a small host."""
        nr_rows, slots = self.dimensions.cpus + 1, self.dimensions.slots
        sizes = {
            "slot_sums": (self.dimensions.sums, layout.size_slot_sums(len(self._events.events))),
            "cell_owners": (self.dimensions.cells // layout.GROUP_CELLS, 4 * layout.GROUP_CELLS),
            "cell_index": (nr_rows * slots // layout.INDEX_CELLS + 1, 2 * layout.INDEX_CELLS),
            "slices": (nr_rows * self.dimensions.slices, layout.SLICE.size),
            "grown_pairs": (self.dimensions.grown_pairs, layout.PAIR.size),
            "slot_buckets": (self.dimensions.slot_buckets, layout.SIZE_SLOT_BUCKET),
            "slot_tasks": (slots, 8),
            "slot_names": (slots, layout.SIZE_SLOT_NAME),
        }
        return {name: ArrayMap(self._descriptors[name], *size) for name, size in sizes.items()}

    def _attach(self, program: str, tracepoint: str) -> None:
        name = None if self.kernel.typed else tracepoint
        link = bpf_syscall.attach_tracepoint(self._descriptors[program], name)
        self._resources.callback(os.close, link)

    def _scan(self) -> None:
        self._run(partial(bpf_syscall.run_iterator, self._scan_link))

    def _walk(self, program: str, entries: int, place: mmap.mmap) -> None:
        self._run(partial(bpf_syscall.run_over, self._descriptors[program], entries, place))

    def _run(self, programs: Callable[[], object]) -> None:
        """Have the kernel run programs within a call of ours, whose time is a reading's own."""
        began_ns = time.thread_time_ns()
        programs()
        self._reading_ns += time.thread_time_ns() - began_ns

    def _free(self, slots: list[int]) -> None:
        if not slots:
            return
        self._cells.clear(slots)
        self._pairs.forget(slots)
        for slot in slots:
            self._counters.clear(slot)
        self._tasks.forget(slots)
        self._disks.forget(slots)
        self._queues.forget(slots)
        self._reclaims.forget(slots)
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
