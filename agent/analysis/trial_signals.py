"""What else than waiting for a CPU held the victim up in one trial, as far as the kernel tells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from collectors.windows.signals import SignalWindow


@dataclass(frozen=True, slots=True)
class TrialSignals:
    """The victim's, and the host's, in one trial; None where the kernel does not tell.

    Attributes:
        throttled_own_ns: Throttled by its own quota, summed over CPUs.
        throttled_ancestors_ns: Its ancestors by theirs, summed over CPUs.
        io_stalled_ns: Time in which a task of it waited for I/O.
        memory_stalled_ns: Time in which a task of it waited for memory to be reclaimed.
        steal_ns: What the hypervisor took from all CPUs.
        frequency_khz: Mean over the CPUs while not idle, where it is counted and not just what cpufreq says.
        io_bytes: Block I/O of each neighbour.
    """

    throttled_own_ns: int | None = None
    throttled_ancestors_ns: int | None = None
    io_stalled_ns: int | None = None
    memory_stalled_ns: int | None = None
    steal_ns: int | None = None
    frequency_khz: float | None = None
    io_bytes: Mapping[str, int] = field(default_factory=dict)


def trial_signals(
    signals: SignalWindow, victim: str, neighbours: Iterable[str], *, frequency: bool
) -> TrialSignals:
    """The part of a trial's signals that the decomposition needs; `frequency`: they are counted ones."""
    own, cpus = signals.cgroups.get(victim), signals.host.cpus.values()
    steals = [cpu.steal_ns for cpu in cpus if cpu.steal_ns is not None]
    clocks = [cpu.frequency_khz for cpu in cpus if cpu.frequency_khz is not None]
    found = {path: signals.cgroups.get(path) for path in neighbours}
    return TrialSignals(
        throttled_own_ns=own.throttled_own_ns if own else None,
        throttled_ancestors_ns=own.throttled_ancestors_ns if own else None,
        io_stalled_ns=own.io_some_ns if own else None,
        memory_stalled_ns=own.memory_some_ns if own else None,
        steal_ns=sum(steals) if steals else None,
        frequency_khz=sum(clocks) / len(clocks) if clocks and frequency else None,
        io_bytes={
            path: (each.read_bytes or 0) + (each.written_bytes or 0) for path, each in found.items() if each
        },
    )
