"""What must not be taken for one another: kinds of waits and of preemptions, kernel threads, idleness, queues."""

import os
import re
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from collectors.host.live import homes_of, require_told
from collectors.sources.ebpf import open_probe
from collectors.windows import sched
from collectors.windows.sched import KERNEL, SchedWindow
from probes.errors import UsageError
from probes.sched_probe import SchedProbe
from tests.kernel.answers import SLACK_NS, about, assert_adds_up, assert_agrees, measure, waited_for_ns
from tests.kernel.situations import Schedstat, Situation, a_cpu, spin

pytestmark = pytest.mark.kernel
SECONDS = 2.0
PF_KTHREAD = 0x00200000  # include/linux/sched.h
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def nap_again_and_again() -> None:
    while True:
        time.sleep(0.001)


def window_of(probe: SchedProbe, seconds: float) -> SchedWindow:
    before = probe.read()
    time.sleep(seconds)
    return sched.window(before, probe.read())


def test_who_never_sleeps_waits_because_it_was_preempted(probe: SchedProbe, situation: Situation) -> None:
    for name in ("one", "two"):
        situation.process(spin, situation.group(name), {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    for group in situation.members:
        found = answer.of(group)
        # All but its first wait, when the gate opened.
        first_ns = 0.02 * found.wait_ns + 10 * SLACK_NS
        assert found.preempt_wait_ns == pytest.approx(found.wait_ns, abs=first_ns)
        assert found.preempted_own == 0  # one task alone cannot be in its own way


def test_who_sleeps_after_each_turn_waits_because_it_was_woken(
    probe: SchedProbe, situation: Situation
) -> None:
    sleepy, busy = situation.group("sleepy"), situation.group("busy")
    situation.process(nap_again_and_again, sleepy, {a_cpu()})
    situation.process(spin, busy, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    found, books = answer.of(sleepy), answer.books[sleepy]
    assert books.voluntary > 10 * books.involuntary
    # The few that began otherwise, on a busy host, are of no great length.
    assert found.preempt_wait_ns <= 100 * SLACK_NS * books.involuntary + SLACK_NS
    assert found.preempt_wait_ns < 0.5 * found.wait_ns


def test_those_of_one_cgroup_preempt_their_own(probe: SchedProbe, situation: Situation) -> None:
    group = situation.group("crowd")
    for _ in range(3):
        situation.process(spin, group, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    found = answer.of(group)
    assert_agrees(found, answer.books[group])
    assert found.preempted_own > 0
    # What others took of this CPU shows as theirs.
    assert sum(wait.preemptions for wait in found.waited_for.values()) == pytest.approx(
        found.preempted_foreign, abs=2
    )


def kernel_threads() -> dict[int, Schedstat]:
    """The books of all kernel threads but the idle ones, which have no entry in /proc."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            flags = int((directory / "stat").read_text().rpartition(")")[2].split()[6])
            if flags & PF_KTHREAD:
                times = (directory / "schedstat").read_text().split()
                found[int(directory.name)] = Schedstat(*map(int, times))
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
    return found


def grown(before: dict[int, Schedstat], after: dict[int, Schedstat]) -> Schedstat:
    """What the threads of both books did in between, with what those of `after` alone did since they began."""
    pairs = [(before.get(pid, Schedstat(0, 0, 0)), books) for pid, books in after.items()]
    return Schedstat(
        run_ns=sum(books.run_ns - had.run_ns for had, books in pairs),
        wait_ns=sum(books.wait_ns - had.wait_ns for had, books in pairs),
        slices=sum(books.slices - had.slices for had, books in pairs),
    )


def test_kernel_threads_are_one_and_no_cgroup(probe: SchedProbe) -> None:
    # Reading the books takes a while, in which they go on: what is read beside the window may be of it or not.
    before, snapshot, since = kernel_threads(), probe.read(), kernel_threads()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:  # gives them work: writeback, journals, completions
            with (Path(directory) / "file").open("wb") as file:
                file.write(bytes(1 << 20))
                os.fsync(file.fileno())
    until, window, after = kernel_threads(), sched.window(snapshot, probe.read()), kernel_threads()
    least, most = grown(since, until), grown(before, after)
    found = window.cgroups[KERNEL]
    assert least.run_ns > 0
    assert found.run_ns - found.stolen_ns >= 0.97 * least.run_ns - SLACK_NS
    # Threads that ended meanwhile are in no books.
    assert found.run_ns - found.stolen_ns <= 1.3 * most.run_ns + 50 * SLACK_NS
    assert found.wait_ns >= 0.97 * least.wait_ns - SLACK_NS
    assert_adds_up(found)


def idle_s() -> dict[int, float]:
    """Per CPU, idle and waiting for I/O, from /proc/stat."""
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    return {
        int(words[0][3:]): TICK_S * (int(words[4]) + int(words[5]))
        for words in lines
        if words[0].startswith("cpu") and words[0] != "cpu"
    }


def test_an_idle_cpu_is_nobodys(probe: SchedProbe) -> None:
    begun_ns, idle_before = time.monotonic_ns(), idle_s()
    window = window_of(probe, SECONDS)
    idle_after, took_ns = idle_s(), time.monotonic_ns() - begun_ns
    seconds, beside_s = window.duration_ns / 1e9, (took_ns - window.duration_ns) / 1e9
    assert "idle" not in window.cgroups
    assert not any("idle" in cgroup.waited_for for cgroup in window.cgroups.values())
    for cpu, before_s in idle_before.items():
        assert window.cpus[cpu].running <= 1.05
        # /proc/stat is read before and after the window; in between the CPU may have been idle or not. Its rows are in
        # ticks, and interrupts are in neither of the two.
        idle = (idle_after[cpu] - before_s) / seconds
        assert 1 - idle - 0.05 <= window.cpus[cpu].running <= 1 - idle + beside_s / seconds + 0.05


def test_a_cpus_queue_is_as_long_as_those_who_wait_for_it(probe: SchedProbe, situation: Situation) -> None:
    for name in ("one", "two", "three"):
        situation.process(spin, situation.group(name), {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    (window,) = answer.windows
    cpu = window.cpus[a_cpu()]
    waiting_ns = sum(books.wait_ns for books in answer.books.values())
    running_ns = sum(books.run_ns for books in answer.books.values())
    # By Little's law, and at least: others may run and wait there too.
    assert cpu.waiting * window.duration_ns >= 0.98 * waiting_ns
    assert running_ns * 0.98 <= cpu.running * window.duration_ns <= 1.05 * window.duration_ns
    # Whoever waits does so on some CPU, and is on no quota there.
    cgroups = window.cgroups.values()
    everyone_ns = sum(cgroup.wait_ns - cgroup.throttled_ns for cgroup in cgroups)
    all_cpus_ns = window.duration_ns * sum(each.waiting for each in window.cpus)
    assert all_cpus_ns == pytest.approx(everyone_ns, rel=0.01, abs=10 * SLACK_NS)


@pytest.fixture
def hybrid(situation: Situation) -> Situation:
    if situation.layout.cpu_on != "v1" or situation.layout.v2_mount is None:
        pytest.skip("needs the cpu controller in a v1 hierarchy beside v2")
    return situation


@pytest.mark.parametrize("born", ["before the probe", "while it watches"])
def test_containers_that_share_a_v2_cgroup_are_told_apart_by_their_v1_cgroups(
    probe: SchedProbe, hybrid: Situation, born: str
) -> None:
    shared = hybrid.group("daemon")
    parent = hybrid.group("containers", v1=True)
    containers = [hybrid.group(name, parent=parent) for name in ("one", "another")]
    for container in containers:
        shared.take(hybrid.process(spin, container, {a_cpu()}).pid)
    with open_probe(hybrid.layout) if born.startswith("before") else nullcontext(probe) as watching:
        answer = measure(watching, hybrid, SECONDS)
    for container, other in (containers, containers[::-1]):
        found = answer.of(container)
        assert_agrees(found, answer.books[container])
        assert waited_for_ns(found, other) == about(answer.books[other].run_ns, found)
    assert answer.of(shared).run_ns < SLACK_NS


@pytest.mark.parametrize("born", ["before the probe", "while it watches"])
def test_a_unit_in_a_cgroup_of_both_hierarchies_is_told_by_v2(
    probe: SchedProbe, hybrid: Situation, born: str
) -> None:
    # As systemd does: in v1 the process stays in the slice above, whose path is in v2 as well.
    v2_slice = hybrid.group("slice")
    v1_slice = hybrid.mirror(v2_slice)
    unit = hybrid.group("unit", parent=v2_slice)
    with open_probe(hybrid.layout) if born.startswith("before") else nullcontext(probe) as watching:
        watching.read()
        v1_slice.take(hybrid.process(spin, unit, {a_cpu()}).pid)
        answer = measure(watching, hybrid, SECONDS)
    assert_agrees(answer.of(unit), answer.books[unit])


def test_who_is_asked_for_by_pid_is_found_where_its_figures_are(hybrid: Situation) -> None:
    shared, container = hybrid.group("daemon"), hybrid.group("container", v1=True)
    process = hybrid.process(spin, container)
    shared.take(process.pid)
    assert homes_of(str(process.pid), hybrid.layout).paths == (container.path,)


def test_a_cgroup_whose_processes_are_told_elsewhere_is_refused_with_where(hybrid: Situation) -> None:
    shared, parent = hybrid.group("daemon"), hybrid.group("containers", v1=True)
    containers = [hybrid.group(name, parent=parent) for name in ("one", "another")]
    for container in containers:
        shared.take(hybrid.process(spin, container).pid)
    places = ", ".join(sorted(container.path for container in containers))
    with pytest.raises(UsageError, match=f"name one of these: {re.escape(places)}$"):
        require_told(shared.path, hybrid.layout)
    require_told(parent.path, hybrid.layout)
    hybrid.process(spin, shared)  # one that v2 tells of
    require_told(shared.path, hybrid.layout)
