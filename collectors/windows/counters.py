"""Counters per cgroup: instructions per cycle, and misses per 1,000 instructions.

Where a PMU has fewer registers than events, the kernel lets them take turns and a count is scaled up by the time
it was wanted over the time it ran (perf_event_open(2)). Below MIN_RUNNING_RATIO too much is guessed, and no
figure is derived from it.
"""

from collections.abc import Mapping
from itertools import islice

from collectors.host.readings import Missing
from collectors.windows.figures import CounterFigures, add_counts
from collectors.windows.sched import OTHER
from probes.perf_event import (
    BRANCH_MISSES,
    CYCLES,
    DTLB_LOAD_MISSES,
    INSTRUCTIONS,
    ITLB_LOAD_MISSES,
    LLC_LOAD_MISSES,
    PerfEvent,
    Reading,
)
from probes.snapshot import Snapshot

MISSES = (LLC_LOAD_MISSES, DTLB_LOAD_MISSES, ITLB_LOAD_MISSES, BRANCH_MISSES)
WANTED: tuple[PerfEvent, ...] = (CYCLES, INSTRUCTIONS, *MISSES)
"""What to open the scheduler probe with."""

MIN_RUNNING_RATIO = 0.8
PER_INSTRUCTIONS = 1000


_NOTHING = Reading(0, 0, 0)
NOT_ASKED_FOR = Missing("not counted in this recording")
DID_NOT_RUN = Missing("the cgroup did not run in this window")


def grown(before: Snapshot, after: Snapshot) -> dict[str, dict[str, Reading]]:
    """What each event counted between two snapshots, by path and name, of the cgroups that ran.

    On hybrid hosts a v2 and a v1 cgroup may have one path: they are shown as one, as in `collectors.windows.sched`.
    """
    found: dict[str, dict[str, Reading]] = {}
    for key, counters in after.counters.items() if _is_counting(after) else ():
        growth = _growth(before.counters.get(key, {}), counters)
        if any(reading.enabled_ns for reading in growth.values()):
            path = after.paths.get(key, OTHER)
            found[path] = add_counts((found[path], growth)) if path in found else growth
    return found


def _is_counting(snapshot: Snapshot) -> bool:
    """Whether there is an event: every cgroup has the same ones."""
    return any(islice(snapshot.counters.values(), 1))


def figures(counts: Mapping[str, Reading | Missing]) -> CounterFigures:
    """What the counts of some time, by event name, amount to."""
    found = {event: counts.get(event.name, NOT_ASKED_FOR) for event in WANTED}
    instructions, cycles = found[INSTRUCTIONS], found[CYCLES]
    ratios = [running_ratio(reading) for reading in found.values() if isinstance(reading, Reading)]
    return CounterFigures(
        instructions=scaled(instructions),
        cycles=scaled(cycles),
        ipc=_quotient(instructions, cycles),
        llc_misses=_quotient(found[LLC_LOAD_MISSES], instructions, PER_INSTRUCTIONS),
        dtlb_misses=_quotient(found[DTLB_LOAD_MISSES], instructions, PER_INSTRUCTIONS),
        itlb_misses=_quotient(found[ITLB_LOAD_MISSES], instructions, PER_INSTRUCTIONS),
        branch_misses=_quotient(found[BRANCH_MISSES], instructions, PER_INSTRUCTIONS),
        running_ratio=min(ratios) if ratios else scaled(instructions),
    )


def running_ratio(reading: Reading) -> float:
    """The share of the time in which the event was wanted that it was counted; 0 to 1."""
    return min(1.0, reading.running_ns / reading.enabled_ns) if reading.enabled_ns > 0 else 0.0


def scaled(reading: Reading | Missing) -> int | Missing:
    """The count as it would have been, had the event run all the time; nothing to scale from is missing."""
    if isinstance(reading, Missing):
        return reading
    if reading.enabled_ns <= 0:
        return DID_NOT_RUN
    if reading.running_ns <= 0:
        return Missing("the event never had a counter: others hold them all", "stop other users of the PMU")
    return round(reading.value / running_ratio(reading))


def _growth(before: Mapping[str, Reading], after: Mapping[str, Reading]) -> dict[str, Reading]:
    return {name: _less(reading, before.get(name, _NOTHING)) for name, reading in after.items()}


def _less(after: Reading, before: Reading) -> Reading:
    """Growth; never below 0, also where a dead cgroup's figures were cleared between the two."""
    return Reading(
        max(0, after.value - before.value),
        max(0, after.enabled_ns - before.enabled_ns),
        max(0, after.running_ns - before.running_ns),
    )


def _quotient(count: Reading | Missing, by: Reading | Missing, factor: int = 1) -> float | Missing:
    """`factor` counts per unit of `by`, both scaled; refused where one of them ran too little of the time."""
    dividend, divisor = scaled(count), scaled(by)
    if isinstance(divisor, Missing):
        return divisor
    if isinstance(dividend, Missing):
        return dividend
    ratio = min(running_ratio(reading) for reading in (count, by) if isinstance(reading, Reading))
    if ratio < MIN_RUNNING_RATIO:
        return Missing(
            f"counted for {ratio:.0%} of the time, and below {MIN_RUNNING_RATIO:.0%} nothing is concluded",
            "count fewer events, or stop other users of the PMU",
        )
    return factor * dividend / divisor if divisor else DID_NOT_RUN
