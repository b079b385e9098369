"""What the kernel says about running programs and processes: read, never estimated.

Sources: bpf_prog_show_fdinfo() in kernel/bpf/syscall.c for programs, proc_stat(5), proc_pid_status(5).
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from probes.bpf_syscall import enable_stats

# Of the kinds that can hook the scheduler: tracepoint, raw_tracepoint and tracing (enum bpf_prog_type).
TRACING_TYPES = frozenset({5, 17, 26})


@dataclass(frozen=True, slots=True)
class RunStats:
    """How long a program ran and how often, while accounting was on."""

    run_time_ns: int
    run_count: int


def parse_fdinfo(text: str) -> tuple[int, int, RunStats] | None:
    """(id, type, accounts) of the BPF program behind a descriptor, or None: it is something else.

    The accounts grow only while accounting is on (`switched_on`).
    """
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    if "prog_id" not in fields or "run_cnt" not in fields:
        return None  # a link tells its program's id as well, but no accounts
    stats = RunStats(run_time_ns=int(fields["run_time_ns"]), run_count=int(fields["run_cnt"]))
    return int(fields["prog_id"]), int(fields["prog_type"]), stats


def programs(pids: Iterable[int]) -> dict[int, RunStats]:
    """The tracing programs that these processes hold open, by id."""
    return {
        number: stats
        for pid in pids
        for number, kind, stats in _programs_of(Path(f"/proc/{pid}/fdinfo"))
        if kind in TRACING_TYPES
    }


def all_programs() -> set[int]:
    """Ids of the tracing programs that any process of this host holds open."""
    return set(programs(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()))


@contextlib.contextmanager
def switched_on() -> Iterator[None]:
    """The kernel accounts for the time of BPF programs within; it ends with this process at the latest."""
    descriptor = enable_stats()
    try:
        yield
    finally:
        os.close(descriptor)


def total(runs: Iterable[RunStats]) -> RunStats:
    """The sum of several accounts."""
    runs = list(runs)
    return RunStats(sum(run.run_time_ns for run in runs), sum(run.run_count for run in runs))


def growth(before: Mapping[int, RunStats], after: Mapping[int, RunStats]) -> list[RunStats]:
    """What each program that was there at both times ran in between."""
    return [
        RunStats(run.run_time_ns - before[number].run_time_ns, run.run_count - before[number].run_count)
        for number, run in after.items()
        if number in before
    ]


def busiest_ns_per_call(runs: Iterable[RunStats]) -> float | None:
    """Mean time of the program that ran most often: under a storm of switches that is the switch hook."""
    busiest = max(runs, key=lambda run: run.run_count, default=None)
    return busiest.run_time_ns / busiest.run_count if busiest and busiest.run_count else None


def parse_context_switches(stat: str) -> int:
    """Context switches of all CPUs since boot, from /proc/stat."""
    return next(int(line.split()[1]) for line in stat.splitlines() if line.startswith("ctxt "))


def context_switches() -> int:
    """Context switches of all CPUs since boot."""
    return parse_context_switches(Path("/proc/stat").read_text(encoding="ascii"))


def parse_resident_mb(status: str) -> float:
    """VmRSS in megabytes (10^6 bytes) from /proc/PID/status."""
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return kib * 1024 / 1e6


def resident_mb(pids: Iterable[int]) -> float:
    """Resident memory of these processes together, in megabytes."""
    return sum(parse_resident_mb(Path(f"/proc/{pid}/status").read_text(encoding="utf-8")) for pid in pids)


def _programs_of(directory: Path) -> Iterator[tuple[int, int, RunStats]]:
    try:
        descriptors = list(directory.iterdir())
    except OSError:  # it has ended
        return
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            found = parse_fdinfo(descriptor.read_text(encoding="ascii", errors="replace"))
            if found is not None:
                yield found
