"""What goes on when the probe comes: the first window of a fresh probe, which `top --once` and `blame` are."""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from collectors.windows import sched
from collectors.windows.sched import CgroupWindow, SchedWindow
from probes.perf_event import CPU_CLOCK
from probes.readout import CellReader
from probes.sched_probe import SchedProbe
from probes.snapshot import Snapshot
from tests.kernel.answers import assert_adds_up, waited_for_ns
from tests.kernel.situations import Group, Process, Situation, a_cpu, eventually, fifo_spin, fork_storm, spin

# Behind who is real-time nothing of ours would run on the only CPU.
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        len(os.sched_getaffinity(0)) < 2, reason="needs a CPU besides that of a real-time task"
    ),
]
# A run queue's clock, and the run time in schedstat, of a task that does not switch, are those of the last tick.
TICKS_NS = 3 * 10_000_000


def nothing() -> None:
    """There is nothing to do in the window."""


def first_window(seconds: float, meanwhile: Callable[[], None] = nothing) -> SchedWindow:
    """A fresh probe's; `meanwhile` is called in the middle of it."""
    with ebpf.open_probe(detect_layout()) as probe:
        before = probe.read()
        time.sleep(seconds / 2)
        meanwhile()
        time.sleep(seconds / 2)
        return sched.window(before, probe.read())


def seen(probe: SchedProbe, process: Process, seconds: float) -> tuple[Snapshot, Snapshot, list[int]]:
    """Two readings, and what the kernel's books say that a process had run before and after each of them.

    What it runs in a window is what it does at least from the second to the third of these, and at most from the first
    to the last: the reader may be kept from its CPU before and after a reading, and the process goes on.
    """
    ran_ns = [process.schedstat.run_ns]
    before = probe.read()
    ran_ns.append(process.schedstat.run_ns)
    time.sleep(seconds)
    ran_ns.append(process.schedstat.run_ns)
    after = probe.read()
    ran_ns.append(process.schedstat.run_ns)
    return before, after, ran_ns


def assert_within(found_ns: int, ran_ns: list[int]) -> None:
    """That something ran for so long is what the books of `seen` allow."""
    first, second, third, last = ran_ns
    assert third - second - TICKS_NS <= found_ns <= last - first + TICKS_NS


def starved(situation: Situation, group: Group, cpus: set[int]) -> Process:
    """A process that wants to run and cannot, behind a hog that is let go here."""
    runner = situation.process(fifo_spin, situation.group("hog"), {a_cpu()})
    victim = situation.process(spin, group, cpus)
    os.sched_setaffinity(victim.pid, {a_cpu()})
    runner.go()
    eventually(lambda: os.sched_getscheduler(runner.pid) == os.SCHED_FIFO, "the hog has the CPU")
    victim.go()
    eventually(lambda: victim.state == "R", "the victim wants to run")
    return victim


@pytest.mark.parametrize("seconds", [0.1, 0.7])
def test_who_does_not_switch_has_run_all_of_it(situation: Situation, seconds: float) -> None:
    alone = situation.group("alone")
    spinner = situation.process(fifo_spin, alone, {a_cpu()})
    spinner.go()
    eventually(lambda: os.sched_getscheduler(spinner.pid) == os.SCHED_FIFO, "it is alone")
    with ebpf.open_probe(detect_layout()) as probe:
        before, after, ran_ns = seen(probe, spinner, seconds)
    found = sched.window(before, after).cgroups[alone.path]
    # The kernel takes 50 ms of each second from who is real-time.
    assert ran_ns[-1] - ran_ns[0] > 0.4 * seconds * 1e9
    assert_within(found.run_ns - found.stolen_ns, ran_ns)


def test_who_waits_has_waited_all_of_it(situation: Situation) -> None:
    group = situation.group("starved")
    victim = starved(situation, group, {a_cpu()})
    with ebpf.open_probe(detect_layout()) as probe:
        before, after, ran_ns = seen(probe, victim, 0.6)
    window = sched.window(before, after)
    found = window.cgroups[group.path]
    assert_adds_up(found)
    assert_within(window.duration_ns - found.wait_ns - found.stolen_ns, ran_ns)
    others_ns = window.duration_ns - waited_for_ns(found, next(iter(situation.members)))
    assert others_ns < 0.25 * window.duration_ns  # the twentieth that real-time tasks leave, and who has it
    assert found.unattributed_ns < TICKS_NS


def test_who_waits_is_in_the_queue_of_the_first_window(situation: Situation) -> None:
    starved(situation, situation.group("starved"), {a_cpu()})
    window = first_window(0.6)
    cpu, ticks = window.cpus[a_cpu()], TICKS_NS / window.duration_ns
    # Of the hog and who is starved one runs at any moment, and the other waits.
    assert cpu.waiting >= 1 - ticks
    assert 1 - ticks <= cpu.running <= 1 + ticks


def test_what_was_waited_before_the_first_reading_does_not_come_back_with_a_move(
    situation: Situation,
) -> None:
    group = situation.group("moved")
    victim = starved(situation, group, {a_cpu()})
    time.sleep(0.5)
    elsewhere = min(os.sched_getaffinity(0))
    window = first_window(0.4, lambda: os.sched_setaffinity(victim.pid, {elsewhere}))
    found: CgroupWindow = window.cgroups[group.path]
    assert_adds_up(found)
    assert found.run_ns + found.wait_ns == pytest.approx(window.duration_ns, abs=TICKS_NS)


def test_a_wait_for_a_quota_on_an_idle_cpu_is_told_in_the_windows_it_lasts(situation: Situation) -> None:
    limited = situation.limitable_group()
    limited.limit(5_000, 500_000)
    process = situation.process(spin, limited, {a_cpu()})
    process.go()
    time.sleep(0.6)
    with ebpf.open_probe(detect_layout()) as probe:
        snapshots = [probe.read()]
        for _ in range(10):
            time.sleep(0.1)
            snapshots.append(probe.read())
    windows = [sched.window(*pair) for pair in pairwise(snapshots)]
    for window in windows:
        found = window.cgroups[limited.path]
        assert window.impossible == 0
        assert found.run_ns + found.wait_ns == pytest.approx(window.duration_ns, abs=TICKS_NS)


@pytest.mark.parametrize("kept_from", ["copying", "coming back from the scan"])
def test_a_window_ends_with_the_scan_also_of_a_reader_that_was_kept_from_the_cpu(
    situation: Situation, monkeypatch: pytest.MonkeyPatch, kept_from: str
) -> None:
    read, delays_s = CellReader.read, itertools.cycle((0.0, 0.08, 0.0))
    scan, scans = SchedProbe._scan, [(0, 0)]

    def read_late(reader: CellReader, slots: Sequence[int]) -> None:
        time.sleep(next(delays_s) if kept_from == "copying" else 0.0)
        read(reader, slots)

    def timed_scan(probe: SchedProbe) -> None:
        begun_ns = time.monotonic_ns()
        scan(probe)
        scans.append((begun_ns, time.monotonic_ns()))
        time.sleep(0.0 if kept_from == "copying" else next(delays_s))

    limited = situation.limitable_group()
    limited.limit(5_000, 500_000)
    situation.process(spin, limited, {a_cpu()}).go()
    time.sleep(0.6)
    monkeypatch.setattr(CellReader, "read", read_late)
    monkeypatch.setattr(SchedProbe, "_scan", timed_scan)
    with ebpf.open_probe(detect_layout()) as probe:
        readings = [(probe.read(), scans[-1])]
        for _ in range(6):
            time.sleep(0.1)
            readings.append((probe.read(), scans[-1]))
    for (before, (first_ns, second_ns)), (after, (third_ns, last_ns)) in pairwise(readings):
        window = sched.window(before, after)
        found = window.cgroups[limited.path]
        assert window.duration_ns == pytest.approx(last_ns - second_ns, abs=TICKS_NS)
        # A scan that is itself kept from the CPU meets a task some time before its end.
        assert (
            third_ns - second_ns - TICKS_NS <= found.run_ns + found.wait_ns <= last_ns - first_ns + TICKS_NS
        )


def test_tasks_that_come_and_go_are_never_impossible(situation: Situation) -> None:
    storm = situation.group("storm")
    process = situation.process(fork_storm(600.0), storm)
    with ebpf.open_probe(detect_layout()) as probe:
        snapshots = [probe.read()]
        process.go()
        # Where somebody else's processes are moved from cgroup to cgroup, it is not known how many tasks there were.
        while len(snapshots) < 7 or sum(each.tasks.get(storm.key, 0) > 2 for each in snapshots) < 4:
            time.sleep(0.2)
            snapshots.append(probe.read())
    windows = [sched.window(*pair) for pair in pairwise(snapshots)]
    assert [window.impossible for window in windows] == [0] * len(windows)


def test_a_task_of_an_idle_cgroup_waits_no_longer_than_the_window(situation: Situation) -> None:
    hogs, idle = situation.limitable_group("hogs"), situation.limitable_group("idle")
    switch = idle.directory / "cpu.idle"
    if not switch.exists():
        pytest.skip("the kernel has no cpu.idle (304000390f88, 5.15)")
    switch.write_text("1")
    victim = situation.process(spin, idle, set(os.sched_getaffinity(0)))
    for _ in os.sched_getaffinity(0):
        situation.process(spin, hogs)
    for process in situation.processes:
        process.go()
    time.sleep(1)
    cpus = sorted(os.sched_getaffinity(0))
    for seconds in (0.2, 0.7):
        window = first_window(seconds, lambda: os.sched_setaffinity(victim.pid, {cpus[0]}))
        os.sched_setaffinity(victim.pid, {cpus[-1]})
        found = window.cgroups[idle.path]
        assert_adds_up(found)
        assert found.run_ns + found.wait_ns == pytest.approx(window.duration_ns, abs=TICKS_NS)


def test_a_counter_of_who_does_not_switch_counts_from_the_first_reading(situation: Situation) -> None:
    alone = situation.group("alone")
    spinner = situation.process(fifo_spin, alone, {a_cpu()})
    spinner.go()
    eventually(lambda: os.sched_getscheduler(spinner.pid) == os.SCHED_FIFO, "it is alone")
    with ebpf.open_probe(detect_layout(), [CPU_CLOCK]) as probe:
        before, after, ran_ns = seen(probe, spinner, 0.3)
    grown_ns = (
        after.counters[alone.key][CPU_CLOCK.name].value - before.counters[alone.key][CPU_CLOCK.name].value
    )
    # Its clock goes on while the hypervisor has the CPU, the books' does not.
    assert_within(grown_ns - sched.window(before, after).cgroups[alone.path].stolen_ns, ran_ns)
