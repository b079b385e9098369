"""What jostle's own probes cost the host, by those of their runs that they timed themselves."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from agent.documents.verdict import SelfCost
from collectors.sources.tiers import Source
from collectors.windows.sched import NS_PER_S


@dataclass(slots=True)
class CostMeter:
    """Filled when `measure` ends; all stay None where no programs run.

    Attributes:
        ns_per_switch: Time in the switch hook per context switch, without what calling it takes the kernel.
        other_ns_per_s: Time in all other programs (the sweeps above all) per second.
        counters_ns_per_switch: The part of `ns_per_switch` in which events are read; None also where none is counted.
        kernel_memory_bytes: What the maps hold.
    """

    ns_per_switch: float | None = None
    other_ns_per_s: float | None = None
    counters_ns_per_switch: float | None = None
    kernel_memory_bytes: int | None = None


@contextlib.contextmanager
def measure(probe: Source) -> Iterator[CostMeter]:
    """What the programs cost that run within; where none of these runs was timed, by all since the start."""
    meter = CostMeter()
    before, start_s = probe.cost(), time.monotonic()
    yield meter
    after, seconds = probe.cost(), time.monotonic() - start_s
    if before is None or after is None:
        return
    timed, timed_ns = after.timed - before.timed, after.timed_ns - before.timed_ns
    if timed == 0:
        timed, timed_ns = after.timed, after.timed_ns
    meter.ns_per_switch = timed_ns / timed if timed else None
    meter.kernel_memory_bytes = after.memory_bytes
    meter.other_ns_per_s = (after.other_ns - before.other_ns) / seconds
    if after.counting and before.counting:
        switches = after.switches - before.switches
        meter.counters_ns_per_switch = after.counting.ns_per_switch(before.counting, switches)


def self_cost(meter: CostMeter, switches: int, seconds: float, cpus: int) -> SelfCost | None:
    """The cost at the rate of switches that was seen; `cpu_pct` is of the whole host."""
    if meter.ns_per_switch is None or meter.other_ns_per_s is None or seconds <= 0:
        return None
    per_second = switches / seconds
    spent_ns_per_s = meter.ns_per_switch * per_second + meter.other_ns_per_s
    return SelfCost(
        ns_per_switch=meter.ns_per_switch,
        switches_per_s=per_second,
        cpu_pct=100 * spent_ns_per_s / NS_PER_S / cpus,
        counters_ns_per_switch=meter.counters_ns_per_switch,
        kernel_memory_bytes=meter.kernel_memory_bytes,
    )
