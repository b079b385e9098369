"""Tenants that hide from blame, and what the kernel's own books say they caused.

    .venv/bin/python -m tests.attack.evasions [--runs 20] [NAME…]     the table of docs/security.md

A victim and a tenant, another user, share one CPU. The victim never sleeps: it waits for all that the tenant runs
there. That is what the tenant caused, by /proc/PID/schedstat, as a share of the victim's run_delay.
"""

import argparse
import contextlib
import itertools
import os
import pty
import signal
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from agent.analysis.blame import blame
from agent.store.run_file import Run
from collectors.host.hierarchy import detect_layout, is_within
from collectors.sources.ebpf import open_probe
from collectors.windows.sched import KERNEL, OTHER
from probes.sched_probe import SchedProbe
from tests.attack.stranger import UID
from tests.kernel.answers import measure
from tests.kernel.situations import Group, Situation, Work, a_cpu, spin

WITHIN_POINTS = 10.0
_IN_KERNEL = "having the kernel work, by filling terminals"


@dataclass(frozen=True, slots=True)
class Found:
    """Whom blame names first, the tenant's share by it, and by the kernel's books, in per cent of the victim's wait.

    `first` is of the situation's cgroups and what tells nobody: not who else is at work on this machine.
    """

    first: str | None
    share_pct: float
    caused_pct: float
    tenant: str

    @property
    def apart(self) -> float:
        """How many points the two shares are apart."""
        return abs(self.share_pct - self.caused_pct)


def as_stranger(work: Work) -> Work:
    """The same as another user."""

    def does() -> None:
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)
        work()

    return does


def split(situation: Situation, tenant: Group) -> None:
    """40 cgroups, each of which has little of it."""
    for number in range(40):
        situation.process(as_stranger(spin), situation.group(str(number), parent=tenant), {a_cpu()})


def split_deep(situation: Situation, tenant: Group) -> None:
    """The same below names that otherwise group tenants, with something small in the tenant's own cgroup."""
    situation.process(as_stranger(signal.pause), tenant, {a_cpu()})
    split(situation, situation.group("system.slice", parent=situation.group("docker", parent=tenant)))


def moves(situation: Situation, tenant: Group) -> None:
    """Processes that move themselves from cgroup to cgroup, more often than they lose the CPU."""
    groups = [situation.group(str(number), parent=tenant) for number in range(8)]
    for group in (tenant, *groups):
        os.chown(group.directory / "cgroup.procs", UID, UID)

    def move() -> None:
        for group in itertools.cycle(groups):
            group.take(os.getpid())
            end_ns = time.thread_time_ns() + 2_000_000
            while time.thread_time_ns() < end_ns:
                pass

    for _ in range(3):
        situation.process(as_stranger(move), groups[0], {a_cpu()})


def has_kernel_work(situation: Situation, tenant: Group) -> None:
    """Fills terminals: a line without end is read by a kernel worker, character by character, and thrown away."""

    def fill() -> None:
        ours, theirs = pty.openpty()
        attributes = termios.tcgetattr(theirs)
        attributes[3] = termios.ICANON
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
        while True:
            os.write(ours, b"x" * 4000)

    for _ in range(4):
        situation.process(as_stranger(fill), tenant)


EVASIONS: dict[str, Callable[[Situation, Group], None]] = {
    "40 cgroups": split,
    "40 cgroups, named as those that group tenants": split_deep,
    "moving between 8 cgroups every 2 ms": moves,
    _IN_KERNEL: has_kernel_work,
}


def workers_ran_ns() -> int:
    """What all workers that are bound to no CPU have run, by the kernel's account: nobody else gives them much."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text().startswith("kworker/u"):
                found += int((process / "schedstat").read_text().split()[0])
    return found


def tried(probe: SchedProbe, evasion: str, seconds: float = 2.0) -> Found:
    """What blame says of it."""
    with Situation() as situation:
        victim, tenant = situation.group("victim"), situation.group("tenant")
        # A kernel worker runs where it likes.
        for cpu in os.sched_getaffinity(0) if evasion == _IN_KERNEL else [a_cpu()]:
            situation.process(spin, victim, {cpu})
        EVASIONS[evasion](situation, tenant)
        before_ns = workers_ran_ns()
        answer = measure(probe, situation, seconds)
        worked_ns = workers_ran_ns() - before_ns if evasion == _IN_KERNEL else 0
    run = Run(meta={"tier": "ebpf"}, windows=answer.windows, partial=False)
    parts = blame(run, victim.path).parts
    # Where its own cgroup did nothing in this while, it is named by what all of its cgroups lie in.
    named = [
        (tenant.path if is_within(part.cgroup or "", tenant.path) else part.cgroup, part) for part in parts
    ]
    share_pct = max((part.share_pct for name, part in named if name == tenant.path), default=0.0)
    caused_ns = worked_ns + sum(books.run_ns for group, books in answer.books.items() if group != victim)
    known = {KERNEL, OTHER, tenant.path, *(group.path for group in answer.books)}
    first = next((name for name, _ in named if name in known), None)
    return Found(first, share_pct, 100 * caused_ns / answer.books[victim].wait_ns, tenant.path)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0)
    asked = parser.parse_args()
    print(
        "| evasion | first in blame | its share | by the kernel's books | points apart at most |\n|---|---|---|---|---|"
    )
    with open_probe(detect_layout()) as probe:
        for name in asked.names or EVASIONS:
            found = [tried(probe, name, asked.seconds) for _ in range(asked.runs)]
            first = sum(each.first == each.tenant for each in found)
            share, caused = mean(each.share_pct for each in found), mean(each.caused_pct for each in found)
            apart = max(each.apart for each in found)
            print(
                f"| {name} | {first} of {len(found)} | {share:.1f} % | {caused:.1f} % | {apart:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    _main()
