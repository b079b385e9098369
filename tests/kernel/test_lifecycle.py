"""Cgroups that come and go while the probe watches."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from collectors.windows import sched
from probes import kernel
from probes.errors import HostChangedError
from probes.layout import Dimensions
from probes.sched_probe import SchedProbe
from probes.snapshot import KEY_OTHER, Snapshot
from tests.kernel.answers import SLACK_NS, assert_adds_up, assert_agrees, measure
from tests.kernel.situations import Group, Situation, a_cpu, eventually, fork_storm, run_as, spin

pytestmark = pytest.mark.kernel
# Few enough to run out of: 256 slots, of which 64 are held back and three are not a cgroup's.
SMALL = Dimensions(cpus=kernel.count_cpus("possible"), slots=256, slot_buckets=512, pair_buckets=1024)


@pytest.fixture(scope="module")
def small_probe() -> Iterator[SchedProbe]:
    layout = detect_layout()
    with SchedProbe(ebpf.identity_of(layout), lambda: ebpf.list_cgroups(layout), dimensions=SMALL) as opened:
        yield opened


def run_briefly(situation: Situation, group: Group, seconds: float = 0.2) -> int:
    """Spin in a cgroup for a moment; how long on the CPU, by the kernel's books, since it came there."""
    process = situation.process(spin, group, {a_cpu()})
    at_the_gate = process.schedstat
    process.go()
    time.sleep(seconds)
    process.stop()
    process.await_stop()
    return process.schedstat.run_ns - at_the_gate.run_ns


def end_all(situation: Situation) -> None:
    for process in situation.processes:
        process.end()
    situation.processes.clear()


def test_a_cgroup_made_again_inherits_nothing(probe: SchedProbe, situation: Situation) -> None:
    group = situation.group("again")
    run_briefly(situation, group)
    old_key = group.key
    old_run_ns = probe.read().cgroups[old_key].run_ns
    assert old_run_ns > 0
    end_all(situation)
    group.remove()
    group.directory.mkdir()
    assert group.key != old_key
    snapshot = probe.read()
    assert snapshot.cgroups[group.key].run_ns == 0
    assert sum(snapshot.cgroups[group.key].histogram) == 0
    assert snapshot.paths[group.key] == snapshot.paths[old_key] == group.path


def test_a_removed_cgroup_is_read_once_more_and_then_gone(probe: SchedProbe, situation: Situation) -> None:
    group = situation.group("removed")
    key = group.key
    before = probe.read()
    run_ns = run_briefly(situation, group)
    end_all(situation)
    group.remove()
    last = probe.read()
    assert last.cgroups[key].run_ns >= run_ns
    assert sched.window(before, last).cgroups[group.path].run_ns >= run_ns
    seen = [key in probe.read().cgroups for _ in range(3)]
    assert seen[-1] is False
    waits = probe.read().waits
    assert key not in waits
    assert all(key != aggressor for found in waits.values() for _, _, aggressor in found)


def test_what_was_waited_for_a_removed_cgroup_still_adds_up(probe: SchedProbe) -> None:
    with Situation() as staying:
        victim = staying.group("victim")
        spinner = staying.process(spin, victim, {a_cpu()})
        snapshots = [probe.read()]
        spinner.go()
        with Situation() as leaving:
            leaver = leaving.group("leaver")
            leaving.process(spin, leaver, {a_cpu()}).go()
            time.sleep(0.5)
        snapshots += [probe.read() for _ in range(3)]  # it leaves them
        staying.stop()
        snapshots.append(probe.read())
    first, *others = (sched.window(*pair).cgroups.get(victim.path) for pair in pairwise(snapshots))
    assert first is not None
    assert first.waited_for[leaver.path].wait_ns > SLACK_NS
    for found in (first, *filter(None, others)):
        assert_adds_up(found)


def test_a_task_that_goes_to_another_cgroup_takes_its_figures_there(
    probe: SchedProbe, situation: Situation
) -> None:
    # The hook remembers each task's slot: it must notice that it is another one.
    old, new = situation.group("old"), situation.group("new")
    run_briefly(situation, old)
    (process,) = situation.processes
    before, base = probe.read(), process.schedstat
    new.take(process.pid)
    os.kill(process.pid, signal.SIGCONT)
    time.sleep(0.5)
    process.stop()
    process.await_stop()
    window = sched.window(before, probe.read())
    found = window.cgroups[new.path]
    run_ns = process.schedstat.run_ns - base.run_ns
    assert found.run_ns - found.stolen_ns == pytest.approx(run_ns, rel=0.01, abs=SLACK_NS)
    assert old.path not in window.cgroups


def test_a_pid_given_again_inherits_no_wait(probe: SchedProbe, situation: Situation) -> None:
    crowd, again = situation.group("crowd"), situation.group("again")
    first, _ = (situation.process(spin, crowd, {a_cpu()}) for _ in range(2))
    situation.go(0.5)
    assert first.schedstat.wait_ns > 0
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: first.state == "Z", "it is dead")
    before = probe.read()  # scans all tasks, the dead as well
    end_all(situation)

    run_as(first.pid, again, partial(time.sleep, 0.01))
    window = sched.window(before, probe.read())
    found = window.cgroups[again.path]
    assert 0 <= found.wait_ns <= window.duration_ns
    assert_adds_up(found)


def test_slots_are_used_again(small_probe: SchedProbe) -> None:
    rounds, size = 5, 100  # 500 cgroups through some 190 slots
    for _ in range(rounds):
        with Situation() as situation:
            groups = [situation.group("many") for _ in range(size)]
            run_briefly(situation, groups[0], 0.05)
            snapshot = small_probe.read()
            assert snapshot.untracked == 0
            assert snapshot.cgroups[groups[0].key].run_ns > 0
            assert all(snapshot.cgroups[group.key].run_ns == 0 for group in groups[1:])
        small_probe.read()
        small_probe.read()


def test_cgroups_beyond_the_slots_are_counted_as_other(situation: Situation) -> None:
    layout = detect_layout()
    with SchedProbe(
        ebpf.identity_of(layout), lambda: ebpf.list_cgroups(layout), dimensions=SMALL
    ) as small_probe:
        groups = [situation.group("many") for _ in range(SMALL.slots)]
        before = small_probe.read()
        assert before.untracked > 0
        untracked = next(group for group in reversed(groups) if group.key not in before.cgroups)
        other_ns = before.cgroups[KEY_OTHER].run_ns
        books_ns = run_briefly(situation, untracked, 0.5)
        grown_ns = small_probe.read().cgroups[KEY_OTHER].run_ns - other_ns
    # Other people's cgroups may be untracked too.
    assert grown_ns >= 0.99 * (books_ns - SLACK_NS)


def test_three_thousand_cgroups() -> None:
    with Situation() as situation:
        parent = situation.group("crowded")
        groups = [situation.group(f"{number}", parent=parent) for number in range(3000)]
        busy = groups[::600]
        for group in busy:
            situation.process(spin, group)
        layout = detect_layout()
        with ebpf.open_probe(layout) as probe:
            snapshot = probe.read()
            assert snapshot.untracked == 0
            assert {group.key for group in groups} <= set(snapshot.cgroups)
            answer = measure(probe, situation, 2.0)
        for group in busy:
            assert_agrees(answer.of(group), answer.books[group])
        (window,) = answer.windows
        assert len([path for path in window.cgroups if path.startswith(parent.path)]) == len(busy)


def test_a_fork_storm_loses_nothing(probe: SchedProbe, situation: Situation) -> None:
    storm = situation.group("storm")
    process = situation.process(fork_storm(3.0), storm)
    before = probe.read()
    process.go()
    used = process.wait()
    found = sched.window(before, probe.read()).cgroups[storm.path]
    run_ns = found.run_ns - found.stolen_ns
    # By the kernel's account of the children that ended, and of the parent; all were born in the cgroup.
    assert run_ns == pytest.approx(used.cpu_ns, rel=0.02, abs=SLACK_NS)
    assert found.switches > 1000


def test_some_seconds_of_forks_and_cgroups(probe: SchedProbe, situation: Situation) -> None:
    forks_and_cgroups(probe, situation, seconds=8.0, rounds=5)


def test_a_cpu_for_which_there_is_no_room_is_told_and_not_left_out(situation: Situation) -> None:
    """As if all CPUs but the first had been added since."""
    cpus = sorted(os.sched_getaffinity(0))
    if cpus[-1] == 0:
        pytest.skip("needs a second CPU")
    layout, one = detect_layout(), replace(SMALL, cpus=1)
    with SchedProbe(ebpf.identity_of(layout), lambda: ebpf.list_cgroups(layout), dimensions=one) as probe:
        for _ in range(2):
            situation.process(spin, situation.group("added"), {cpus[-1]}).go()
        with pytest.raises(HostChangedError, match=rf"CPU [1-{cpus[-1]}] was added"):
            eventually(lambda: probe.read() is None, "the added CPU is told")


@pytest.mark.slow
def test_a_minute_of_forks_and_a_thousand_cgroups(probe: SchedProbe, situation: Situation) -> None:
    forks_and_cgroups(probe, situation, seconds=60.0, rounds=20)


def forks_and_cgroups(probe: SchedProbe, situation: Situation, seconds: float, rounds: int) -> None:
    """Nothing lost of a fork storm, no error, and no growth of memory, while 50 cgroups a round come and go."""
    storm = situation.group("storm")
    process = situation.process(fork_storm(seconds), storm)
    before, found = probe.read(), []

    def read() -> Snapshot:
        nonlocal before
        after = probe.read()
        found.append(sched.window(before, after).cgroups.get(storm.path))
        before = after
        return after

    resident_kb = 0
    process.go()
    for number in range(rounds):
        if number == 1:  # what the first windows of a host need is not growth
            resident_kb = _resident_kb()
        with Situation() as inner:
            groups = [inner.group("short") for _ in range(50)]
            run_briefly(inner, groups[-1], 0.05)
            assert read().cgroups[groups[-1].key].run_ns > 0
        time.sleep(seconds / rounds / 2)
        read()
    used = process.wait()
    assert read().untracked == 0
    whole = sched.add(storm.path, filter(None, found))
    assert whole.run_ns - whole.stolen_ns == pytest.approx(used.cpu_ns, rel=0.02)
    assert_adds_up(whole)
    assert _resident_kb() - resident_kb < 4096


def _resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024
