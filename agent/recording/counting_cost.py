"""What counting events per cgroup costs on this host, measured for a moment under many switches."""

import time
from collections.abc import Sequence

from agent.documents.capabilities import Counting
from collectors.sources.counting import refusal_of_ipc
from collectors.windows.counters import WANTED
from probes.perf_event import CONTEXT_SWITCHES, CPU_CLOCK, PAGE_FAULTS, TASK_CLOCK, PerfEvent
from probes.sched_probe import SchedProbe

# The kernel's own events go the same way as a PMU's, and are the cheapest to read.
STAND_INS = (CPU_CLOCK, TASK_CLOCK, PAGE_FAULTS, CONTEXT_SWITCHES)
# At most so often so long: some 4,000 switches a time, of which one in 61 is timed, and fewer on a busy host.
LOAD_S, MOST_LOADS, ENOUGH_TIMED = 0.2, 5, 60
_NAP_S = 20e-6
TOO_FEW = "too few switches between cgroups were seen to tell"


def uncounted(reason: str) -> Counting:
    """The result where no event could be counted, with the reason."""
    return Counting((), hardware=False, ns_per_change=None, reason=reason)


def events_to_try() -> tuple[tuple[PerfEvent, ...], str | None]:
    """The events of a recording, and None; where they can tell nothing the stand-ins, and why they stand in."""
    refusal = refusal_of_ipc()
    return (STAND_INS, refusal.reason) if refusal else (WANTED, None)


def measure_counting(probe: SchedProbe, events: Sequence[PerfEvent], why: str | None) -> Counting:
    """What the events cost that the probe was opened with, as `events_to_try` gave them."""
    refused = probe.read().uncounted
    counted = tuple(event.name for event in events if event.name not in refused)
    if not counted:
        return uncounted(next(iter(refused.values())).reason)
    added_ns = _ns_per_change(probe)
    return Counting(counted, why is None, added_ns, TOO_FEW if added_ns is None else why)


def _ns_per_change(probe: SchedProbe) -> float | None:
    cost = None
    for _ in range(MOST_LOADS):
        switch_often(LOAD_S)
        cost = probe.cost().counting
        if cost is None or cost.timed >= ENOUGH_TIMED:
            break
    return cost.ns_per_change if cost else None


def switch_often(seconds: float) -> None:
    """Sleep and wake for so long: each time a CPU goes over to the idle task, or to another, and back."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(_NAP_S)
