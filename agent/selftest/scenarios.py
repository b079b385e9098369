"""The labelled scenarios: known neighbours beside known victims, and what is true of each by how it is built.

A label follows from mechanics that do not depend on the host: two processes on one CPU share it; a process that
sleeps takes nothing; a quota stops its own cgroup. What depends on hardware that a guest cannot see (caches,
memory bandwidth, SMT siblings) has no label and is not here. docs/accuracy.md says more.
"""

import secrets
import shlex
from dataclasses import dataclass

from agent.documents.verdict import CauseKind, Conclusion
from probes.isolated import python_shell

_VICTIM, _NEIGHBOUR, _LIMITED, _SERVICE, _DISK, _MEMORY = (
    python_shell(f"agent.selftest.workloads.{name}")
    for name in ("victim", "neighbour", "limited", "service", "disk", "memory")
)
# Abstract addresses are the whole machine's: each self-test needs its own, and one that nobody can take before it.
_SERVICE_NAME = secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class TwoCpus:
    """Two CPUs of different cores, by number: where everything runs."""

    here: int
    there: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One victim with its neighbours, and the truth about them.

    Attributes:
        name: Short, unique.
        truth: Why the label is right whatever the host, in one sentence.
        victim: Shell command.
        neighbours: Shell commands.
        verdict: What `jostle experiment` has to conclude.
        cause: The main cause; None where there is none to find.
        culprit: The number of the neighbour that must be named first, from 1; None where nobody is to blame.
    """

    name: str
    truth: str
    victim: str
    neighbours: tuple[str, ...]
    verdict: Conclusion = Conclusion.INTERFERENCE
    cause: CauseKind | None = CauseKind.CPU_WAIT
    culprit: int | None = 1


def scenarios(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """All labelled scenarios, set up on these CPUs."""
    return (
        *_crowded(cpus),
        *_several(cpus),
        *_on_disks(cpus),
        *_in_memory(cpus),
        *_own_doing(cpus),
        *_harmless(cpus),
        *_own_habits(cpus),
    )


def victim(options: str = "--operations 400") -> str:
    """The built-in victim; 400 operations take it 0.3 to 0.4 s on an idle cloud core."""
    return f"{_VICTIM} {options}"


def neighbour(options: str) -> str:
    """A neighbour that runs a built-in workload with these options."""
    return f"{_NEIGHBOUR} {options}"


def disk(options: str) -> str:
    """A process that uses a disk."""
    return f"{_DISK} {options}"


def memory(options: str) -> str:
    """A process that uses memory."""
    return f"{_MEMORY} {options}"


def on(cpus: int | str, command: str) -> str:
    """The command, pinned to this CPU or CPU list."""
    return f"taskset -c {cpus} {command}"


def limited(options: str, command: str) -> str:
    """The command, in its cgroup with a limit."""
    return f"{_LIMITED} {options} -- {command}"


def nothing(name: str, truth: str, victim: str, *neighbours: str) -> Scenario:
    """A scenario without anything to find."""
    return Scenario(name, truth, victim, neighbours, Conclusion.NO_INTERFERENCE, None, None)


def _crowded(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """One neighbour on the victim's CPU: fair shares of one CPU are half of it, or less."""
    here, alone = cpus.here, on(cpus.here, victim())

    def crowd(name: str, truth: str, load: str, who: str = alone) -> Scenario:
        return Scenario(name, truth, who, (on(here, neighbour(load)),))

    return (
        crowd("spin", "a busy loop on the victim's only CPU has half of it", "spin --processes 1"),
        crowd("crowd", "four busy loops on the victim's only CPU", "spin --processes 4"),
        crowd("burst", "busy for 50 of every 100 ms on the victim's only CPU", "bursty --processes 1"),
        crowd(
            "flicker",
            "four processes, busy for 5 of every 20 ms, on the victim's only CPU",
            "bursty --processes 4 --period-ms 20 --duty-pct 25",
        ),
        crowd("switch", "two processes that pass a byte back and forth, one always running", "switch"),
        crowd("syscall", "a process that copies zeros in the kernel without rest", "syscall --processes 1"),
        crowd("fork", "a process that starts others without rest, each for an instant", "fork --processes 1"),
        crowd("stream", "a process that reads memory without rest", "cache --processes 1"),
        crowd(
            "stream-set",
            "as stream, with a victim that uses its caches: it can lose speed, but waits more than that",
            "cache --processes 1",
            on(here, victim("--operations 250 --working-set-kib 512")),
        ),
        crowd(
            "waker",
            "a victim that sleeps 1 ms between operations finds its CPU taken whenever it wakes",
            "spin --processes 2",
            on(here, victim("--operations 150 --think-ms 1")),
        ),
        Scenario(
            "policy-idle",
            "SCHED_IDLE ranks within a cgroup only: the neighbour's cgroup has the usual weight, so half the CPU",
            alone,
            (on(here, "chrt --idle 0 " + neighbour("spin --processes 1")),),
        ),
    )


def _several(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """Several neighbours, or several CPUs."""
    here, there, both = cpus.here, cpus.there, f"{cpus.here},{cpus.there}"
    alone, sleeper = on(here, victim()), neighbour("idle --processes 2")
    spin = neighbour("spin --processes 1")
    return (
        Scenario(
            "all-cpus",
            "two victim processes on two CPUs, with a busy loop on each",
            on(both, victim("--operations 800 --processes 2")),
            (on(here, spin) + " & " + on(there, spin),),
        ),
        Scenario(
            "displaced",
            "two victim processes that would run side by side on two CPUs, which the neighbour keeps busy: what they "
            "wait behind each other, they wait for a CPU that it has",
            on(both, victim("--operations 800 --processes 2")),
            (on(both, neighbour("spin --processes 2")),),
        ),
        Scenario(
            "displaced-pauses",
            "four victim processes that pause on two CPUs, which the neighbour keeps busy",
            on(both, victim("--operations 400 --processes 4 --think-ms 1")),
            (on(both, neighbour("spin --processes 3")),),
        ),
        Scenario(
            "outnumbered",
            "one victim process and six busy loops, free to move between two CPUs",
            on(both, victim()),
            (on(both, neighbour("spin --processes 6")),),
        ),
        Scenario(
            "sleeper-and-spin",
            "the first neighbour sleeps, the second spins",
            alone,
            (sleeper, on(here, spin)),
            culprit=2,
        ),
        Scenario(
            "elsewhere-and-here",
            "both spin, the first on another CPU, the second on the victim's",
            alone,
            (on(there, spin), on(here, spin)),
            culprit=2,
        ),
        Scenario(
            "small-and-large",
            "the first is busy for 5 of every 100 ms, the second all the time",
            alone,
            (on(here, neighbour("bursty --processes 1 --duty-pct 5")), on(here, spin), sleeper),
            culprit=2,
        ),
        Scenario(
            "light-and-heavy",
            "both spin on the victim's CPU, the first at a hundredth of the usual weight",
            alone,
            (on(here, limited("--weight-pct 1", spin)), on(here, spin)),
            culprit=2,
        ),
        Scenario(
            "shared-quota",
            "victim and neighbour run on a CPU each, under one quota of 1.2 CPUs: together they exceed it",
            limited("--parent --quota-pct 120 --period-ms 20", alone),
            (on(there, spin),),
            cause=CauseKind.THROTTLED,
        ),
        Scenario(
            "shared-quota-decoy",
            "the same, beside one more that is busy for 5 of 100 ms: less than its part of the quota",
            limited("--parent --quota-pct 120 --period-ms 20", alone),
            (on(there, neighbour("bursty --processes 1 --duty-pct 5")), on(there, spin)),
            cause=CauseKind.THROTTLED,
            culprit=2,
        ),
    )


def _on_disks(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """Small reads past the page cache: whoever keeps the disk busy with 1 MiB at a time is in their way."""
    here, there = cpus.here, cpus.there
    reader = on(here, disk("read --operations 4000"))
    writer = on(there, disk("write --processes 2"))
    decoy = on(here, neighbour("bursty --processes 1 --period-ms 20 --duty-pct 10"))

    def found(name: str, truth: str, culprit: int, *neighbours: str) -> Scenario:
        return Scenario(name, truth, reader, neighbours, cause=CauseKind.IO, culprit=culprit)

    return (
        found(
            "disk-writer",
            "the first keeps the victim's CPU busy for 2 of 20 ms, the second its disk without rest",
            2,
            decoy,
            writer,
        ),
        found(
            "disk-two-writers",
            "both write to the victim's disk, the first 1 MiB every 100 ms, the second without rest",
            2,
            on(there, disk("write --pause-ms 100")),
            writer,
        ),
    )


def _in_memory(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """A file that fits into a limit, until another below it reads a larger one, and what is needed again is gone."""
    here, there = cpus.here, cpus.there
    return (
        Scenario(
            "memory-shared-limit",
            "the first keeps the victim's CPU busy for 2 of 20 ms, the second reads more of a file of holes than the "
            "limit that the victim shares, of 96 MiB, has room for",
            limited("--parent --memory-mib 96", on(here, memory("look-up --file-mib 64"))),
            (
                on(here, neighbour("bursty --processes 1 --period-ms 20 --duty-pct 10")),
                on(there, memory("stream")),
            ),
            cause=CauseKind.MEMORY_PRESSURE,
            culprit=2,
        ),
    )


def _own_doing(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """The neighbour asks the victim's service for work: what slows the victim is its own threads, its own quota."""
    ask = on(cpus.there, neighbour(f"ask --processes 1 --service {_SERVICE_NAME}"))
    main = on(cpus.here, victim())
    service = f"{_SERVICE} {_SERVICE_NAME}"
    apart = f"{on(cpus.there, service)} & {main}"
    writes = on(cpus.there, disk(f"serve --service {_SERVICE_NAME}"))
    reads = on(cpus.here, disk(f"read --operations 1000 --after {_SERVICE_NAME}"))
    keeps = on(cpus.there, memory(f"serve --keep-mib 56 --service {_SERVICE_NAME}"))
    looks_up = on(cpus.here, memory(f"look-up --file-mib 64 --after {_SERVICE_NAME}"))

    def own(name: str, truth: str, command: str, cause: CauseKind) -> Scenario:
        return Scenario(name, truth, command, (ask,), Conclusion.SELF_INFLICTED, cause, None)

    return (
        own(
            "own-service",
            "the victim's service and its main process share a CPU; the client sleeps until it is answered",
            f"{on(cpus.here, service)} & {main}",
            CauseKind.SELF,
        ),
        own(
            "own-quota",
            "service and main process have a CPU each, under a quota of 1.1 CPUs of the victim's own",
            limited("--quota-pct 110 --period-ms 20", f"sh -c {shlex.quote(apart)}"),
            CauseKind.THROTTLED,
        ),
        own(
            "own-disk",
            "the victim's service writes to the disk that its main process reads, 8 MiB each time the client asks",
            f"{writes} & {reads}",
            CauseKind.IO,
        ),
        own(
            "own-memory",
            "the victim's service keeps 56 MiB when the client asks: the victim's limit, of 96 MiB, has no room then "
            "for the 64 MiB that its main process looks things up in",
            limited("--memory-mib 96", f"sh -c {shlex.quote(f'{keeps} & {looks_up}')}"),
            CauseKind.MEMORY_PRESSURE,
        ),
    )


def _harmless(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """Neighbours that cannot take anything worth 5 % from this victim."""
    here, there, alone = cpus.here, cpus.there, on(cpus.here, victim())
    spin, sleeper = neighbour("spin --processes 1"), neighbour("idle --processes 4")
    return (
        nothing("sleeper", "four processes that sleep", alone, on(here, sleeper)),
        nothing("sleep", "sleep(1) beside a victim that is not pinned", victim(), "sleep 1000"),
        nothing("elsewhere", "a busy loop on another CPU", alone, on(there, spin)),
        nothing(
            "switch-elsewhere", "a storm of switches on another CPU", alone, on(there, neighbour("switch"))
        ),
        nothing(
            "fork-elsewhere",
            "a storm of new processes on another CPU",
            alone,
            on(there, neighbour("fork --processes 1")),
        ),
        nothing(
            "cgroup-idle",
            "a busy loop whose cgroup has cpu.idle: 3/1027 of the CPU at most",
            alone,
            on(here, limited("--idle", spin)),
        ),
        nothing(
            "low-weight",
            "a busy loop whose cgroup has a thousandth of the usual weight",
            alone,
            on(here, limited("--weight-pct 0.2", spin)),
        ),
        nothing(
            "crumb",
            "busy for 1 of every 100 ms",
            alone,
            on(here, neighbour("bursty --processes 1 --duty-pct 1")),
        ),
        nothing(
            "capped",
            "a busy loop with a quota of 1 % of a CPU",
            alone,
            on(here, limited("--quota-pct 1 --period-ms 200", spin)),
        ),
    )


def _own_habits(cpus: TwoCpus) -> tuple[Scenario, ...]:
    """What slows the victim slows it with and without the neighbours: none of it is their doing."""
    here, there = cpus.here, cpus.there
    spin, sleeper = neighbour("spin --processes 1"), on(here, neighbour("idle --processes 2"))
    quota = limited("--quota-pct 30 --period-ms 20", on(here, victim("--operations 90")))
    crowd = on(here, victim("--operations 400 --processes 4"))
    return (
        nothing("quota-and-sleeper", "the victim is stopped by its own quota either way", quota, sleeper),
        nothing(
            "quota-and-elsewhere", "the same, and the neighbour is on another CPU", quota, on(there, spin)
        ),
        nothing(
            "quota-and-spin",
            "a quota of 30 % of the CPU leaves room for a neighbour that takes half of it",
            quota,
            on(here, spin),
        ),
        nothing("threads-and-sleeper", "four victim processes fight for one CPU either way", crowd, sleeper),
        nothing(
            "threads-and-elsewhere", "the same, and the neighbour is on another CPU", crowd, on(there, spin)
        ),
    )
