"""The probe against the kernel's own books, in situations whose answer is known."""

import itertools
import os
import time
from functools import partial

import pytest

from agent.detection.suspects import judged
from agent.documents.event import Entitlement, Suspect
from collectors.host.hierarchy import detect_layout
from collectors.host.placement import weights
from collectors.sources import ebpf
from collectors.windows import sched
from probes.sched_probe import SchedProbe
from probes.snapshot import Snapshot
from tests.agent.sandbox.foreign import outweigh
from tests.kernel.answers import SLACK_NS, about, assert_adds_up, assert_agrees, measure, waited_for_ns
from tests.kernel.situations import (
    Group,
    Situation,
    a_cpu,
    eventually,
    has_napped,
    idle_nap,
    idle_spin,
    ping_pong,
    relay,
    spin,
)

pytestmark = [pytest.mark.kernel, pytest.mark.known_answer]
SECONDS = 3.0


def two_against_one(situation: Situation) -> None:
    ours, theirs, cpus = situation.group("ours"), situation.group("theirs"), {a_cpu()}
    for group in (ours, ours, theirs):
        situation.process(spin, group, cpus)


def test_two_of_one_cgroup_and_one_of_another_on_one_cpu(probe: SchedProbe, situation: Situation) -> None:
    two_against_one(situation)
    answer = measure(probe, situation, SECONDS)
    ours, theirs = situation.members
    for group in (ours, theirs):
        assert_agrees(answer.of(group), answer.books[group])
    # Each of the two waits while the other runs, and both while the neighbour runs.
    assert answer.of(ours).self_ns == about(answer.books[ours].run_ns, answer.of(ours))
    assert waited_for_ns(answer.of(ours), theirs) == about(2 * answer.books[theirs].run_ns, answer.of(ours))
    assert waited_for_ns(answer.of(theirs), ours) == about(answer.books[ours].run_ns, answer.of(theirs))
    assert answer.of(theirs).self_ns == 0


def test_the_untyped_programs_give_the_same_answers(situation: Situation) -> None:
    layout = detect_layout()
    identity = ebpf.identity_of(layout)
    two_against_one(situation)
    with SchedProbe(identity, lambda: ebpf.list_cgroups(layout), typed=False) as probe:
        answer = measure(probe, situation, SECONDS)
    for group in situation.members:
        assert_agrees(answer.of(group), answer.books[group])


def test_three_spinners_of_three_cgroups(probe: SchedProbe, situation: Situation) -> None:
    for name in ("one", "two", "three"):
        situation.process(spin, situation.group(name), {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    for group in situation.members:
        assert_agrees(answer.of(group), answer.books[group])
        for other in situation.members:
            if other != group:
                assert waited_for_ns(answer.of(group), other) == about(
                    answer.books[other].run_ns, answer.of(group)
                )


def test_a_starved_task_shows_while_it_starves(probe: SchedProbe, situation: Situation) -> None:
    busy, starved = situation.group("busy"), situation.group("starved")
    starved.weigh(1)
    situation.process(spin, busy, {a_cpu()})
    victim = situation.process(idle_spin, starved, {a_cpu()})
    seen: list[tuple[int, int, int]] = []

    def look() -> Snapshot:
        before = victim.schedstat
        snapshot = probe.read()
        if victim.schedstat.slices == before.slices:  # it has not run meanwhile
            seen.append((before.slices, before.wait_ns, snapshot.cgroups[starved.key].wait_ns))
        return snapshot

    answer = measure(probe, situation, SECONDS, look)
    for group in situation.members:
        assert_agrees(answer.of(group), answer.books[group])
    # Between two looks at which it had run equally often, the kernel's books stood still and ours did not.
    same_slice = [
        (later[1] - earlier[1], later[2] - earlier[2])
        for earlier, later in itertools.pairwise(seen)
        if earlier[0] == later[0]
    ]
    assert same_slice, "it was never seen starving"
    assert all(books_ns == 0 for books_ns, _ in same_slice)
    assert sum(ours_ns for _, ours_ns in same_slice) > 0
    assert waited_for_ns(answer.of(starved), busy) > 0


def test_a_throttled_cgroup_waits_for_nobody(probe: SchedProbe, situation: Situation) -> None:
    limited = situation.limitable_group()
    limited.limit(20_000, 100_000)
    situation.process(spin, limited, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    found = answer.of(limited)
    assert_agrees(found, answer.books[limited])
    assert limited.throttled_ns > 0
    assert found.throttled_ns == pytest.approx(limited.throttled_ns, rel=0.03)
    assert found.preempted_throttled > 0
    # What is left is what other people's processes, if any, took of that CPU.
    rest_ns = answer.books[limited].wait_ns - limited.throttled_ns
    assert found.wait_ns - found.throttled_ns == pytest.approx(rest_ns, rel=0.03, abs=10 * SLACK_NS)


def test_a_cgroup_below_a_throttled_one_is_throttled(probe: SchedProbe, situation: Situation) -> None:
    limited = situation.limitable_group()
    limited.limit(20_000, 100_000)
    inner = situation.group("inner", parent=limited)
    situation.process(spin, inner, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    found = answer.of(inner)
    assert_agrees(found, answer.books[inner])
    assert limited.throttled_ns > 0
    assert found.throttled_ns == pytest.approx(limited.throttled_ns, rel=0.03)


def test_throttled_and_beside_a_neighbour_are_told_apart(probe: SchedProbe, situation: Situation) -> None:
    limited, neighbour = situation.limitable_group(), situation.group("neighbour")
    limited.limit(20_000, 100_000)
    situation.process(spin, limited, {a_cpu()})
    situation.process(spin, neighbour, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    found = answer.of(limited)
    assert_agrees(found, answer.books[limited])
    assert_agrees(answer.of(neighbour), answer.books[neighbour])
    assert limited.throttled_ns > 0
    assert found.throttled_ns == pytest.approx(limited.throttled_ns, rel=0.03)
    for_others_ns = sum(wait.wait_ns for wait in found.waited_for.values()) + found.unattributed_ns
    rest_ns = answer.books[limited].wait_ns - limited.throttled_ns
    assert for_others_ns == pytest.approx(rest_ns, rel=0.03, abs=10 * SLACK_NS)
    assert 0 < waited_for_ns(found, neighbour) <= for_others_ns
    assert answer.of(neighbour).throttled_ns == 0


def test_each_of_several_throttled_tasks_waits_for_the_quota(probe: SchedProbe, situation: Situation) -> None:
    limited = situation.limitable_group()
    limited.limit(30_000, 100_000)
    for _ in range(3):
        situation.process(spin, limited, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    found = answer.of(limited)
    assert_agrees(found, answer.books[limited])
    # An episode begins with the first to be stopped, and the last of them follows within moments.
    assert found.throttled_ns == pytest.approx(3 * limited.throttled_ns, rel=0.05)


@pytest.mark.parametrize("apart", [False, True], ids=["one cgroup", "two cgroups"])
def test_ping_pong(probe: SchedProbe, situation: Situation, *, apart: bool) -> None:
    ping, pong = ping_pong()
    first = situation.group("first")
    second = situation.group("second") if apart else first
    situation.process(ping, first, {a_cpu()})
    situation.process(pong, second, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    for group in situation.members:
        assert_agrees(answer.of(group), answer.books[group])
        assert answer.books[group].voluntary > 100


def test_a_queue_deeper_than_a_wait_is_walked(probe: SchedProbe, situation: Situation) -> None:
    # Sixty cgroups that run for some microseconds each: most of a wait is charged by a sample, and all of it charged.
    for _ in range(60):
        group = situation.group("pair")
        for work in ping_pong():
            situation.process(work, group, {a_cpu()})
    answer = measure(probe, situation, SECONDS)
    whole = [answer.of(group) for group in situation.members]
    for found in whole:
        assert_adds_up(found)
    books_ns = sum(books.wait_ns for books in answer.books.values())
    assert sum(found.wait_ns for found in whole) == pytest.approx(books_ns, rel=0.01)
    assert sum(found.unattributed_ns for found in whole) < 0.01 * books_ns


def test_a_wait_shared_out_by_sample_has_the_right_shares(probe: SchedProbe, situation: Situation) -> None:
    # Starved behind three cgroups that take turns of 50 to 200 us: some 800 slices in each 100 ms of the wait.
    victims = situation.group("victims")
    for _ in range(4):
        situation.process(idle_spin, victims, {a_cpu()})
    victims.weigh(1)
    turns_us = (200, 100, 50)
    runners = [situation.group(f"turns-of-{turn_us}") for turn_us in turns_us]
    for group, work in zip(runners, relay(turns_us), strict=True):
        situation.process(work, group, {a_cpu()})
    looks = itertools.count(1)
    answer = measure(probe, situation, SECONDS, lambda: probe.read() if next(looks) % 5 == 0 else None)
    found = answer.of(victims)
    assert_agrees(found, answer.books[victims])
    assert found.sampled_ns > 0.5 * found.wait_ns
    waited_ns = [waited_for_ns(found, group) for group in runners]
    ran_ns = [answer.books[group].run_ns for group in runners]
    for waited, ran in zip(waited_ns, ran_ns, strict=True):
        assert waited / sum(waited_ns) == pytest.approx(ran / sum(ran_ns), abs=0.03)
    # Those who run wait for a turn or two, each slice of which is charged: nothing is drawn, but behind strangers.
    for group in runners:
        taker = answer.of(group)
        assert taker.sampled_ns / taker.wait_ns < 0.5 * found.sampled_ns / found.wait_ns


def test_unpinned_tasks_that_outnumber_the_cpus(probe: SchedProbe, situation: Situation) -> None:
    ours, theirs = situation.group("ours"), situation.group("theirs")
    for group in (ours, ours, theirs, theirs, theirs):
        situation.process(spin, group)
    answer = measure(probe, situation, SECONDS)
    for group in situation.members:
        assert_agrees(answer.of(group), answer.books[group])


needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs to move between")


@needs_two_cpus
def test_a_task_that_is_moved_while_it_waits(probe: SchedProbe, situation: Situation) -> None:
    crowd, moved = situation.group("crowd"), situation.group("moved")
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    for cpu in (*cpus, *cpus):
        situation.process(spin, crowd, {cpu})
    wanderer = situation.process(spin, moved, {cpus[0]})
    turn = itertools.cycle(cpus)
    answer = measure(probe, situation, SECONDS, lambda: os.sched_setaffinity(wanderer.pid, {next(turn)}))
    found = answer.of(moved)
    assert_agrees(found, answer.books[moved])
    assert_agrees(answer.of(crowd), answer.books[crowd])
    figures = probe.read().cgroups[moved.key]
    # The part waited before a move is charged on the CPU it was waited on.
    assert figures.unattributed_ns == pytest.approx(0, abs=0.02 * found.wait_ns)
    assert waited_for_ns(found, crowd) > 0


@needs_two_cpus
def test_a_move_in_the_first_wait_of_those_who_slept_when_the_probe_came(situation: Situation) -> None:
    crowd, moved = situation.group("crowd"), situation.group("moved")
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    for cpu in cpus:
        situation.process(spin, crowd, {cpu})
    starved = [situation.process(spin, moved, {cpus[0]}) for _ in range(8)]
    for process in starved:
        os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
    looks = itertools.count()

    def move_once() -> None:
        if next(looks) == 50:
            for process in starved:
                os.sched_setaffinity(process.pid, {cpus[1]})

    with ebpf.open_probe(detect_layout()) as late_probe:
        answer = measure(late_probe, situation, SECONDS, move_once)
    for group in situation.members:
        assert_agrees(answer.of(group), answer.books[group])


@needs_two_cpus
def test_who_is_moved_while_falling_asleep_does_not_wait(probe: SchedProbe, situation: Situation) -> None:
    crowd, sleepers = situation.group("crowd"), situation.group("sleepers")
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    for cpu in cpus:
        situation.process(spin, crowd, {cpu}).go()
    for _ in range(3):
        sleeper = situation.process(idle_nap, sleepers, {cpus[0]})
        ran_ns = sleeper.schedstat.run_ns
        sleeper.go()
        eventually(partial(has_napped, sleeper, ran_ns), "it naps")
        os.sched_setaffinity(sleeper.pid, {cpus[1]})  # while it is still on the queue, its dequeue delayed
    before = probe.read()
    time.sleep(1)
    asleep = sched.window(before, probe.read())
    assert [process.state for process in situation.members[sleepers]] == ["S"] * 3
    assert sleepers.path not in asleep.cgroups


def test_a_long_window_of_all_cgroups_adds_up(probe: SchedProbe, situation: Situation) -> None:
    two_against_one(situation)
    (window,) = measure(probe, situation, SECONDS).windows
    for cgroup in window.cgroups.values():
        assert_adds_up(cgroup)


def weighed(situation: Situation, victim_weight: int, neighbour_weight: int) -> tuple[Group, Group]:
    """Victim and neighbour in a cgroup that outweighs all else on this machine."""
    pod = situation.limitable_group("pod")
    outweigh(pod.directory)
    if not pod.v1:
        (pod.directory / "cgroup.subtree_control").write_text("+cpu")
    victim, neighbour = (situation.group(name, parent=pod) for name in ("victim", "neighbour"))
    victim.weigh(victim_weight)
    neighbour.weigh(neighbour_weight)
    return victim, neighbour


@pytest.mark.parametrize(
    ("weight", "own_cpus", "entitlement"),
    [(400, 1, Entitlement.BELOW), (100, 1, Entitlement.NOBODY), (100, 2, Entitlement.ABOVE)],
    ids=["four times the weight", "the same", "the same, on one CPU more"],
)
def test_who_runs_above_what_its_weight_entitles_it_to(
    probe: SchedProbe, situation: Situation, weight: int, own_cpus: int, entitlement: Entitlement
) -> None:
    """The scheduler's own shares: by weight on one CPU; a victim that only one has is owed half of two."""
    victim, neighbour = weighed(situation, 100, weight)
    cpus = sorted(os.sched_getaffinity(0))[:own_cpus]
    assert len(cpus) == own_cpus
    situation.process(spin, victim, {cpus[0]})
    for cpu in cpus:
        situation.process(spin, neighbour, {cpu})
    answer = measure(probe, situation, SECONDS)
    every = sched.totals(answer.windows)
    ran_ns = {group: answer.books[group].run_ns for group in (victim, neighbour)}
    owed_ns = sum(ran_ns.values()) * max(weight / (100 + weight), 1 - 1 / own_cpus)
    found = judged((Suspect(neighbour.path, 100.0),), victim.path, every, partial(weights, situation.layout))
    (suspect,) = found.suspects
    assert suspect.entitled_times == pytest.approx(ran_ns[neighbour] / owed_ns, rel=0.05)
    assert (suspect.above_entitlement, found.entitlement) == (entitlement is Entitlement.ABOVE, entitlement)
