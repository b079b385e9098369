"""How fast the CPUs ran: cpufreq's figures, and where APERF and MPERF can be counted.

Sources: Documentation/admin-guide/pm/cpufreq.rst; perf_event_open(2) for the `msr` PMU. APERF over MPERF is
the mean frequency while not idle over the nominal one. Here they are only found; probes count them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.readings import Missing, names_in, numbered, read_count, read_text

NO_CPUFREQ = Missing("the kernel has no cpufreq driver for these CPUs, as in most virtual machines")
_EVENT = re.compile(r"event=0x([0-9a-fA-F]{1,16})")


@dataclass(frozen=True, slots=True)
class CpuFrequency:
    """One CPU's frequency now, the most that its policy allows now, and the most that the hardware can do."""

    current_khz: int | Missing
    allowed_max_khz: int | Missing
    hardware_max_khz: int | Missing


@dataclass(frozen=True, slots=True)
class MsrPmu:
    """The `type` of the msr PMU for perf_event_open(2), and the `config` of each of its events by name."""

    type: int
    configs: Mapping[str, int]

    @property
    def has_aperf_mperf(self) -> bool:
        """Whether the mean frequency can be counted."""
        return {"aperf", "mperf"} <= self.configs.keys()


def read_frequencies(root: Path = Path("/")) -> dict[int, CpuFrequency] | Missing:
    """The frequency of each CPU that has a cpufreq policy, by its number."""
    cpus = numbered(root / "sys/devices/system/cpu", "cpu")
    policies = {number: cpu / "cpufreq" for number, cpu in cpus.items()}
    found = {number: _frequency(policy) for number, policy in policies.items() if policy.is_dir()}
    return found or NO_CPUFREQ


def read_msr_pmu(root: Path = Path("/")) -> MsrPmu | Missing:
    """The msr PMU as sysfs describes it."""
    folder = root / "sys/bus/event_source/devices/msr"
    kind = read_count(folder / "type")
    if isinstance(kind, Missing):
        return Missing("the kernel has no msr PMU (it is of x86 alone)")
    configs = {name: _config(folder / "events" / name) for name in names_in(folder / "events")}
    return MsrPmu(kind, {name: config for name, config in configs.items() if config is not None})


def _frequency(folder: Path) -> CpuFrequency:
    return CpuFrequency(
        current_khz=read_count(folder / "scaling_cur_freq"),
        allowed_max_khz=read_count(folder / "scaling_max_freq"),
        hardware_max_khz=read_count(folder / "cpuinfo_max_freq"),
    )


def _config(path: Path) -> int | None:
    """The config of an event file such as `event=0x01`; None for files beside it (`aperf.scale`)."""
    text = read_text(path)
    found = None if isinstance(text, Missing) else _EVENT.fullmatch(text.strip())
    return int(found[1], 16) if found else None
