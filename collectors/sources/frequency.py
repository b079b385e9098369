"""How fast the CPUs ran: by APERF and MPERF where the `msr` PMU counts them, else cpufreq's figure of the moment.

Sources: Documentation/admin-guide/pm/cpufreq.rst; perf_event_open(2) for the `msr` PMU. Both count while the CPU is not
idle, MPERF at the rate of the TSC and APERF at that of the core, so their quotient times the rate of the TSC is the
mean frequency while not idle.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.host.readings import Missing, names_in, numbered, read_count, read_text
from probes import perf_event
from probes.perf_event import PerfEvent

NO_CPUFREQ = Missing("the kernel has no cpufreq driver for these CPUs, as in most virtual machines")
IDLE = Missing("the CPU was idle for the whole window")
_NOT_COUNTED = Missing("the CPU was not counted at both ends of the window")
CLOCKS = ("aperf", "mperf", "tsc")
_EVENT = re.compile(r"event=0x([0-9a-fA-F]{1,16})")


@dataclass(frozen=True, slots=True)
class MsrPmu:
    """The `type` of the msr PMU for perf_event_open(2), and the `config` of each of its events by name."""

    type: int
    configs: Mapping[str, int]

    @property
    def has_aperf_mperf(self) -> bool:
        """Whether the mean frequency can be counted."""
        return set(CLOCKS) <= self.configs.keys()


def read_frequencies(root: Path = Path("/")) -> dict[int, int | Missing] | Missing:
    """The frequency now, in kHz, of each CPU that has a cpufreq policy, by its number."""
    cpus = numbered(root / "sys/devices/system/cpu", "cpu")
    policies = {number: cpu / "cpufreq" for number, cpu in cpus.items()}
    found = {
        number: read_count(policy / "scaling_cur_freq")
        for number, policy in policies.items()
        if policy.is_dir()
    }
    return found or NO_CPUFREQ


def read_msr_pmu(root: Path = Path("/")) -> MsrPmu | Missing:
    """The msr PMU as sysfs describes it."""
    folder = root / "sys/bus/event_source/devices/msr"
    kind = read_count(folder / "type")
    if isinstance(kind, Missing):
        return Missing("the kernel has no msr PMU (it is of x86 alone)")
    configs = {name: _config(folder / "events" / name) for name in names_in(folder / "events")}
    return MsrPmu(kind, {name: config for name, config in configs.items() if config is not None})


@dataclass(frozen=True, slots=True)
class CpuClock:
    """One CPU at one moment: cycles since counting began, or where they are not counted its frequency now."""

    aperf: int = 0
    mperf: int = 0
    tsc: int = 0
    current_khz: int | Missing | None = None


class FrequencyReader:
    """Counts what the msr PMU has on every CPU, from its making on; without it, asks cpufreq at each reading.

    Attributes:
        refusal: Why the clocks that the PMU has may not be counted; None where they are, or it has none.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.refusal: perf_event.Refusal | None = None
        self._root = root
        self._descriptors: dict[str, Mapping[int, int]] = {}
        pmu = read_msr_pmu(root)
        if isinstance(pmu, MsrPmu) and pmu.has_aperf_mperf:
            self._open({name: PerfEvent(name, pmu.type, pmu.configs[name]) for name in CLOCKS})

    @property
    def counts(self) -> bool:
        """Whether frequencies are means over a window; else they are what cpufreq says at its end."""
        return bool(self._descriptors)

    def read(self) -> Mapping[int, CpuClock] | Missing:
        """Each CPU now, by number."""
        if not self.counts:
            found = read_frequencies(self._root)
            if isinstance(found, Missing):
                return found
            return {cpu: CpuClock(current_khz=khz) for cpu, khz in found.items()}
        clocks = {}
        for cpu in self._descriptors["tsc"]:
            with contextlib.suppress(OSError, KeyError):  # it went offline
                counts = {name: perf_event.read(self._descriptors[name][cpu]).value for name in CLOCKS}
                clocks[cpu] = CpuClock(**counts)
        return clocks

    def close(self) -> None:
        """Stop counting; may be called twice."""
        for opened in self._descriptors.values():
            for descriptor in opened.values():
                os.close(descriptor)
        self._descriptors = {}

    def _open(self, events: Mapping[str, PerfEvent]) -> None:
        for name, event in events.items():
            opened = perf_event.open_per_cpu(event, range(os.cpu_count() or 1))
            if isinstance(opened, perf_event.Refusal):
                self.close()
                self.refusal = opened
                return
            self._descriptors[name] = opened
            for descriptor in opened.values():
                perf_event.enable(descriptor)


def frequency_khz(
    before: Mapping[int, CpuClock] | Missing,
    after: Mapping[int, CpuClock] | Missing,
    cpu: int,
    elapsed_ns: int,
) -> int | Missing:
    """A CPU's mean frequency while not idle between two readings `elapsed_ns` apart, else that at the second."""
    if isinstance(after, Missing):
        return after
    now = after.get(cpu)
    if now is not None and now.current_khz is not None:
        return now.current_khz
    then = None if isinstance(before, Missing) else before.get(cpu)
    if now is None or then is None or elapsed_ns <= 0:
        return _NOT_COUNTED
    aperf, mperf, tsc = now.aperf - then.aperf, now.mperf - then.mperf, now.tsc - then.tsc
    if min(aperf, mperf, tsc) < 0:
        return _NOT_COUNTED
    return round(aperf / mperf * tsc / elapsed_ns * 1_000_000) if mperf else IDLE


def _config(path: Path) -> int | None:
    """The config of an event file such as `event=0x01`; None for files beside it (`aperf.scale`)."""
    text = read_text(path)
    found = None if isinstance(text, Missing) else _EVENT.fullmatch(text.strip())
    return int(found[1], 16) if found else None
