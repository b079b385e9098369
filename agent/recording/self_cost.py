"""What jostle's own probes cost the host, by the kernel's accounting of BPF programs."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from agent.documents.verdict import SelfCost
from collectors.sources.tiers import Source
from collectors.windows.sched import NS_PER_S
from probes import bpf_syscall


@dataclass(slots=True)
class CostMeter:
    """Filled when `measure` ends; all stay None where the kernel keeps no such accounts.

    Attributes:
        ns_per_switch: Time in the switch hook per context switch.
        other_ns_per_s: Time in all other programs (the sweeps above all) per second.
        counters_ns_per_switch: The part of `ns_per_switch` in which events are read; None also where none is counted.
    """

    ns_per_switch: float | None = None
    other_ns_per_s: float | None = None
    counters_ns_per_switch: float | None = None


@contextlib.contextmanager
def measure(probe: Source) -> Iterator[CostMeter]:
    """Account for the programs that run within.

    The accounting itself adds two clock readings to each call, so keep it short.
    """
    meter = CostMeter()
    if not probe.run_stats():
        yield meter
        return
    try:
        accounting = bpf_syscall.enable_stats()
    except OSError:
        yield meter
        return
    try:
        before, start_s, counting_before = probe.run_stats(), time.monotonic(), probe.counting_cost()
        yield meter
        after, seconds, counting = probe.run_stats(), time.monotonic() - start_s, probe.counting_cost()
    finally:
        os.close(accounting)
    spent_ns = [a.run_time_ns - b.run_time_ns for a, b in zip(after, before, strict=True)]
    switches = after[0].run_count - before[0].run_count
    meter.ns_per_switch = spent_ns[0] / switches if switches else None
    meter.other_ns_per_s = sum(spent_ns[1:]) / seconds
    if counting and counting_before:
        meter.counters_ns_per_switch = counting.ns_per_switch(counting_before, switches)


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
    )
