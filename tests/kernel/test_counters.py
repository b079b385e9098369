"""Counters per cgroup on software events, whose right answers are known; the path is the same for hardware ones."""

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources.ebpf import identity_of, list_cgroups
from probes import kernel, layout, loader, perf_event
from probes.counters import put_event
from probes.errors import HostError
from probes.perf_event import CPU_CLOCK, CYCLES, PAGE_FAULTS
from probes.sched_probe import CgroupIdentity, SchedProbe, compile_request
from probes.snapshot import SchedFigures, Snapshot
from tests.conftest import REQUIRED

pytestmark = pytest.mark.kernel

EVENTS = (CPU_CLOCK, CYCLES, PAGE_FAULTS)
TOLERANCE = 0.02
SPIN_S = 0.1
PAGES = 20_000
NAPS = 1000
# bpf/counters.h
TIMED_EVERY = 61
ATTEMPTS = 30
# Its place in the head of a row (struct row in bpf/layout.h).
UNREPORTED = 18
# Faults of the interpreter itself while it runs a command.
OTHER_PAGES = 300

# Runs one command per line: `spin SECONDS` of CPU time, `touch PAGES` of fresh memory once each, or `nap TIMES`.
WORKER = """
import mmap, sys, time
for line in sys.stdin:
    command, amount = line.split()
    if command == "spin":
        end = time.process_time() + float(amount)
        while time.process_time() < end: pass
    elif command == "nap":
        for _ in range(int(amount)): time.sleep(20e-6)
    else:
        pages = int(amount)
        memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages): memory[page * mmap.PAGESIZE] = 1
        memory.close()
    print("done", flush=True)
"""


class Worker:
    """A process in a cgroup of its own, idle until it is told what to do."""

    def __init__(self, cgroup: Path, cpu: int | None = None) -> None:
        self.cgroup = cgroup
        cgroup.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})
        self.do("spin 0")  # the interpreter is up
        (cgroup / "cgroup.procs").write_text(str(self.process.pid))

    def start(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(command + "\n")

    def finish(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline() == "done\n"

    def do(self, command: str) -> None:
        self.start(command)
        self.finish()

    @property
    def key(self) -> int:
        return self.cgroup.stat().st_ino

    def cpu_time_ns(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.cgroup.rmdir()


def cannot(reason: str) -> NoReturn:
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


def opened(*, typed: bool, events: tuple[perf_event.PerfEvent, ...] = EVENTS) -> SchedProbe:
    refusal = perf_event.available([CPU_CLOCK])[CPU_CLOCK]
    if refusal:
        cannot(refusal.reason)
    try:
        host = detect_layout(Path("/"))
        if host.v2_mount is None:
            cannot("no cgroup2 hierarchy to make cgroups in")
        return SchedProbe(identity_of(host), lambda: list_cgroups(host), typed=typed, events=events)
    except HostError as error:
        cannot(str(error))


@pytest.fixture(scope="module", params=[True, False], ids=["typed", "untyped"])
def probe(request: pytest.FixtureRequest) -> Iterator[SchedProbe]:
    with opened(typed=request.param) as attached:
        yield attached


@pytest.fixture
def worker() -> Iterator[Callable[..., Worker]]:
    mount = detect_layout(Path("/")).v2_mount
    assert mount is not None
    with ExitStack() as stack:

        def make(name: str, cpu: int | None = None) -> Worker:
            made = Worker(mount / f"jostle-test-{os.getpid()}-{name}", cpu)
            stack.callback(made.close)
            return made

        yield make


def switches_in(snapshot: Snapshot, key: int) -> int:
    return figures_of(snapshot, key).switches_in


def run_ns(before: Snapshot, after: Snapshot, key: int) -> int:
    return figures_of(after, key).run_ns - figures_of(before, key).run_ns


def stolen_ns(before: Snapshot, after: Snapshot, key: int) -> int:
    return figures_of(after, key).stolen_ns - figures_of(before, key).stolen_ns


def figures_of(snapshot: Snapshot, key: int) -> SchedFigures:
    return snapshot.cgroups[key]


def counted(before: Snapshot, after: Snapshot, key: int, event: perf_event.PerfEvent) -> int:
    return after.counters[key][event.name].value - before.counters[key][event.name].value


def undisturbed(
    probe: SchedProbe, workers: list[Worker], work: Callable[[], None]
) -> tuple[Snapshot, Snapshot]:
    """Snapshots around the work, in which the hook saw every switch of the workers.

    Some virtual machines switch tasks without firing sched_switch (ftrace shows the same gaps): then the counts in
    between are the other task's, and run_ns, which other tests are about, may disagree with schedstat. The work is
    done again.
    """
    for _ in range(ATTEMPTS):
        unseen = unreported_switches(probe)
        before, before_ns = probe.read(), [worker.cpu_time_ns() for worker in workers]
        work()
        after, after_ns = probe.read(), [worker.cpu_time_ns() for worker in workers]
        if unreported_switches(probe) == unseen and all(
            run_ns(before, after, worker.key) - stolen_ns(before, after, worker.key)
            == pytest.approx(b - a, rel=TOLERANCE / 4)
            for worker, a, b in zip(workers, before_ns, after_ns, strict=True)
        ):
            return before, after
    pytest.fail(
        f"in {ATTEMPTS} attempts the probe never saw every switch and agreed with schedstat on the run time"
    )


def unreported_switches(probe: SchedProbe) -> list[int]:
    """By CPU: switches that the kernel made without calling the hook."""
    heads = (
        layout.CPU_STATE.unpack_from(probe._states, cpu * layout.SIZE_CPU_STATE)
        for cpu in range(probe.dimensions.cpus)
    )
    return [head[UNREPORTED] for head in heads]


def test_cpu_clock_is_the_cgroups_run_time(probe: SchedProbe, worker: Callable[..., Worker]) -> None:
    spinner = worker("spinner")
    before_ns = spinner.cpu_time_ns()
    before, after = undisturbed(probe, [spinner], lambda: spinner.do(f"spin {SPIN_S}"))
    assert spinner.cpu_time_ns() - before_ns >= SPIN_S * 1e9
    expected_ns = run_ns(before, after, spinner.key)
    assert counted(before, after, spinner.key, CPU_CLOCK) == pytest.approx(expected_ns, rel=TOLERANCE)


def test_a_software_event_always_runs(probe: SchedProbe, worker: Callable[..., Worker]) -> None:
    spinner = worker("always")
    spinner.do("spin 0.1")
    reading = probe.read().counters[spinner.key][CPU_CLOCK.name]
    assert reading.running_ns == reading.enabled_ns
    assert reading.enabled_ns == pytest.approx(reading.value, rel=TOLERANCE)


def test_faults_count_the_pages_that_were_touched(probe: SchedProbe, worker: Callable[..., Worker]) -> None:
    toucher = worker("toucher")
    before, after = undisturbed(probe, [toucher], lambda: toucher.do(f"touch {PAGES}"))
    faults = counted(before, after, toucher.key, PAGE_FAULTS)
    assert PAGES <= faults <= PAGES * 1.01 + OTHER_PAGES


def test_two_cgroups_on_one_cpu_are_told_apart(probe: SchedProbe, worker: Callable[..., Worker]) -> None:
    cpu = max(os.sched_getaffinity(0))
    toucher, spinner = worker("left", cpu), worker("right", cpu)

    def together() -> None:
        spinner.start(f"spin {SPIN_S}")
        toucher.start(f"touch {PAGES * 2}")
        toucher.finish()
        spinner.finish()

    before, after = undisturbed(probe, [toucher, spinner], together)
    for each in (toucher, spinner):  # they did not run one after the other
        was = figures_of(before, each.key).preempted_foreign
        assert figures_of(after, each.key).preempted_foreign > was
    assert PAGES * 2 <= counted(before, after, toucher.key, PAGE_FAULTS) <= PAGES * 2 * 1.01 + OTHER_PAGES
    assert counted(before, after, spinner.key, PAGE_FAULTS) <= OTHER_PAGES
    for each in (toucher, spinner):
        expected_ns = run_ns(before, after, each.key)
        assert counted(before, after, each.key, CPU_CLOCK) == pytest.approx(expected_ns, rel=TOLERANCE)


def test_no_figure_ever_shrinks(probe: SchedProbe, worker: Callable[..., Worker]) -> None:
    spinner = worker("monotone")
    before = probe.read()
    spinner.start(f"spin {SPIN_S}")
    for _ in range(100):
        after = probe.read()
        for key in before.counters.keys() & after.counters.keys():
            for event in (CPU_CLOCK.name, PAGE_FAULTS.name):
                old, new = before.counters[key][event], after.counters[key][event]
                assert new.value >= old.value
                assert new.enabled_ns >= old.enabled_ns
                assert new.running_ns >= old.running_ns
        before = after
    spinner.finish()


def test_what_cannot_be_counted_is_said_and_the_rest_goes_on(probe: SchedProbe) -> None:
    snapshot = probe.read()
    refusal = perf_event.available([CYCLES])[CYCLES]
    assert snapshot.uncounted == ({CYCLES.name: refusal} if refusal else {})
    names = {event.name for event in EVENTS} - set(snapshot.uncounted)
    assert all(set(figures) == names for figures in snapshot.counters.values())


def test_each_switch_to_another_cgroup_is_a_reading_and_one_in_64_is_timed(
    probe: SchedProbe, worker: Callable[..., Worker]
) -> None:
    napper = worker("napper")
    # Reading takes switches itself: all that are counted lie between the two snapshots.
    before, cost_before = probe.read(), probe.cost().counting
    napper.do(f"nap {NAPS}")
    cost, after = probe.cost().counting, probe.read()
    assert cost_before is not None
    assert cost is not None
    changes = cost.changes - cost_before.changes
    switches = sum(cpu.switches for cpu in after.cpus) - sum(cpu.switches for cpu in before.cpus)
    gone = switches_in(after, napper.key) - switches_in(before, napper.key)
    assert gone > NAPS / 2  # a nap that is over before it began takes no switch
    unseen = sum(unreported_switches(probe))
    assert gone - unseen <= changes <= switches + unseen  # it came from another cgroup each time
    assert 0 < cost.timed <= cost.changes // TIMED_EVERY
    assert cost.timed_ns > 0


def test_where_nothing_is_counted_it_costs_nothing() -> None:
    with opened(typed=True, events=()) as probe:
        assert probe.cost().counting is None


def test_an_event_that_starts_again_from_0_takes_nothing_back(worker: Callable[..., Worker]) -> None:
    with opened(typed=True, events=(PAGE_FAULTS,)) as probe:
        toucher = worker("swapped")
        _, before = undisturbed(probe, [toucher], lambda: toucher.do(f"touch {PAGES}"))
        first = before.counters[toucher.key][PAGE_FAULTS.name]
        fresh = perf_event.open_per_cpu(PAGE_FAULTS, range(os.cpu_count() or 1))
        assert isinstance(fresh, dict)
        for cpu, descriptor in fresh.items():
            put_event(probe._descriptors["counter_events"], cpu, descriptor)
            perf_event.enable(descriptor)
        probe._events.descriptors[0] = fresh
        toucher.do("spin 0.01")  # the hook meets the new events, whose counts are below the last ones
        _, after = undisturbed(probe, [toucher], lambda: toucher.do(f"touch {PAGES}"))
        second = after.counters[toucher.key][PAGE_FAULTS.name]
        for descriptor in fresh.values():
            os.close(descriptor)
    assert first.value >= PAGES
    assert second.value >= first.value + PAGES / 2  # the first switch on each CPU only begins anew
    assert second.value <= first.value + ATTEMPTS * (PAGES * 1.01 + OTHER_PAGES)  # and nothing wrapped


@pytest.mark.parametrize("events", [0, 1, 3])
def test_the_hook_reads_only_as_many_events_as_it_was_compiled_for(events: int) -> None:
    try:
        host = kernel.describe()
    except HostError as error:
        cannot(str(error))
    request = compile_request(host, layout.dimensions_for(2, 10), CgroupIdentity(1, None), events)
    code = loader.compile_probes(request).code["on_switch"]
    instructions = (struct.unpack_from("<BBhi", code, at) for at in range(0, len(code), 8))
    reads = sum(
        op == 0x85 and number == 55 for op, _, _, number in instructions
    )  # the helper that reads an event
    first_switch_missed_switch_and_change_of_slot = 3
    assert reads == events * first_switch_missed_switch_and_change_of_slot
