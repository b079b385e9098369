"""Which hardware counters this host has, for `jostle doctor`."""

from collections.abc import Mapping

from collectors.sources.capabilities import Capability
from collectors.windows.counters import MISSES, WANTED
from probes.perf_event import CYCLES, INSTRUCTIONS, PerfEvent, Refusal, available

IPC, MISS_RATES = "ipc", "cache, TLB and branch misses"


def capabilities(refusals: Mapping[PerfEvent, Refusal | None] | None = None) -> list[Capability]:
    """What this host can count (`refusals`: as `available` says), for `jostle doctor`."""
    found = available(WANTED) if refusals is None else refusals
    if refused := _refusal_of_ipc(found):
        return [_missing(name, refused) for name in (IPC, MISS_RATES)]
    how = "hardware counters, read when a CPU goes over to another cgroup"
    return [Capability(IPC, "available", how), _miss_rates({event: found[event] for event in MISSES})]


def refusal_of_ipc() -> Refusal | None:
    """Why this host cannot count instructions per cycle, or None: it can."""
    return _refusal_of_ipc(available((CYCLES, INSTRUCTIONS)))


def _refusal_of_ipc(found: Mapping[PerfEvent, Refusal | None]) -> Refusal | None:
    return found[CYCLES] or found[INSTRUCTIONS]


def _miss_rates(refusals: Mapping[PerfEvent, Refusal | None]) -> Capability:
    lacking = {event.name: refusal for event, refusal in refusals.items() if refusal}
    if len(lacking) == len(refusals):
        return _missing(MISS_RATES, next(iter(lacking.values())))
    if lacking:
        return Capability(MISS_RATES, "degraded", f"this CPU does not count {', '.join(lacking)}")
    return Capability(MISS_RATES, "available", "last-level cache, both TLBs and branches")


def _missing(name: str, refusal: Refusal) -> Capability:
    return Capability(name, "missing", refusal.reason, refusal.remedy)
