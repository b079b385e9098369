"""What jostle measured of a situation, beside what the kernel's own books say of the same processes."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import pytest

from collectors.host.hierarchy import is_within
from collectors.windows import sched
from collectors.windows.histogram import EDGES_NS
from collectors.windows.sched import CgroupWindow, SchedWindow
from probes.sched_probe import SchedProbe
from probes.snapshot import Snapshot
from tests.kernel.situations import Group, Process, Schedstat, Situation, Switches, eventually

# Below this, a relative tolerance asks for more than the kernel's own clocks give.
SLACK_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Books:
    """The kernel's account of some processes, since before they did anything."""

    run_ns: int
    wait_ns: int
    voluntary: int
    involuntary: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What jostle says of a while, in one window or more, and the kernel's books of each group in it."""

    windows: tuple[SchedWindow, ...]
    books: dict[Group, Books]

    def of(self, group: Group) -> CgroupWindow:
        """What jostle says of a group and all below it."""
        return sched.add(group.path, (sched.subtree(window.cgroups, group.path) for window in self.windows))


def measure(
    probe: SchedProbe,
    situation: Situation,
    seconds: float,
    meanwhile: Callable[[], Snapshot | None] = lambda: None,
    enough: Callable[[], bool] = lambda: True,
) -> Answer:
    """Open all gates, wait until the seconds are over and there is enough, stop everybody, and read both sides.

    `meanwhile` is called again and again; if it reads the probe, it returns what it read.
    """
    snapshots = [probe.read()]
    base = {process: (process.schedstat, process.switches) for process in situation.processes}
    for process in situation.processes:
        process.go()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if read := meanwhile():
            snapshots.append(read)
        time.sleep(0.02)
    eventually(enough, "there is enough to be measured")
    situation.stop()
    snapshots.append(probe.read())
    books = {group: _books(members, base) for group, members in situation.members.items()}
    return Answer(tuple(sched.window(*pair) for pair in pairwise(snapshots)), books)


def _books(processes: Iterable[Process], base: dict[Process, tuple[Schedstat, Switches]]) -> Books:
    times = [(process.schedstat, base[process][0]) for process in processes]
    switches = [(process.switches, base[process][1]) for process in processes]
    return Books(
        run_ns=sum(now.run_ns - then.run_ns for now, then in times),
        wait_ns=sum(now.wait_ns - then.wait_ns for now, then in times),
        voluntary=sum(now.voluntary - then.voluntary for now, then in switches),
        involuntary=sum(now.involuntary - then.involuntary for now, then in switches),
    )


def assert_agrees(found: CgroupWindow, books: Books) -> None:
    """Running, waiting and switches are what the kernel says, and the wait's parts add up to it."""
    # sum_exec_runtime leaves out what interrupts and the hypervisor took; run_ns holds it.
    assert found.run_ns - found.stolen_ns == pytest.approx(books.run_ns, rel=0.01, abs=SLACK_NS)
    assert found.wait_ns == pytest.approx(books.wait_ns, rel=0.01, abs=SLACK_NS)
    involuntary = found.preempted_own + found.preempted_foreign + found.preempted_throttled
    assert involuntary == pytest.approx(books.involuntary, rel=0.02, abs=2)
    assert found.switches == pytest.approx(books.involuntary + books.voluntary, rel=0.02, abs=3)
    assert_adds_up(found)
    assert_histogram_brackets(found)


def assert_histogram_brackets(found: CgroupWindow) -> None:
    """All waits have ended: their sum lies between those of their buckets' lower and upper edges."""
    counts = found.histogram[:-1]
    lowest_ns = sum(count * edge for count, edge in zip(counts, EDGES_NS, strict=False))
    highest_ns = sum(count * edge for count, edge in zip(counts, EDGES_NS[1:], strict=True))
    assert found.histogram[-1] == 0
    assert lowest_ns * 0.99 - SLACK_NS <= found.wait_ns <= highest_ns * 1.01 + SLACK_NS


def assert_adds_up(found: CgroupWindow) -> None:
    """Every wait has exactly one cause, and every preemption by another one culprit."""
    parts = found.self_ns + found.wakeup_ns + found.throttled_ns + found.unattributed_ns
    parts += sum(wait.wait_ns for wait in found.waited_for.values())
    assert parts == pytest.approx(found.wait_ns, rel=0.01, abs=SLACK_NS)
    assert 0 <= found.sampled_ns <= found.wait_ns - found.throttled_ns + SLACK_NS
    by_whom = sum(wait.preemptions for wait in found.waited_for.values())
    assert by_whom == pytest.approx(found.preempted_foreign, rel=0.02, abs=2)
    assert sum(found.histogram) <= found.switches


def about(expected_ns: float, found: CgroupWindow) -> object:
    """To compare a part of a wait with: gates open one after the other, and drawn shares have an error.

    Four standard deviations of a share at worst, where each draw stands for 2 ms; nothing where nothing was drawn.
    """
    drawn_ns = 2 * sqrt(found.sampled_ns * (1 << 21))
    return pytest.approx(expected_ns, rel=0.03, abs=10 * SLACK_NS + drawn_ns)


def waited_for_ns(found: CgroupWindow, group: Group) -> int:
    """How long it waited while that group ran."""
    return sum(wait.wait_ns for path, wait in found.waited_for.items() if is_within(path, group.path))
