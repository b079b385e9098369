"""Reads the signals of given cgroups and of the host, twice, and says what happened in between.

with SignalReader(detect_layout()) as reader:
before = reader.read(["/system.slice/web.service"])
...
after = reader.read(["/system.slice/web.service"])
signals = signals_within(before, after)
signals.cgroups["/system.slice/web.service"].throttled_own_ns
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

from collectors.host.hierarchy import CgroupLayout
from collectors.host.readings import Missing, delta
from collectors.sources import psi
from collectors.sources.cgroup_files import CgroupReader, CgroupReading
from collectors.sources.cpu_time import HostCpuTime, cpu_time_within, read_cpu_time
from collectors.sources.frequency import CpuClock, FrequencyReader, frequency_khz
from collectors.sources.kernel_files import Figure
from collectors.sources.resctrl import ResctrlGroups, bandwidth_within, read_resctrl
from collectors.sources.unchanged import Total
from collectors.windows.figures import ARE_COUNTERS, CacheSignals, CgroupFigures, CgroupSignals, CpuSignals
from collectors.windows.signals import Absence, HostSignals, SignalWindow

NEVER_READ = Missing("was not read at the beginning of the window")
MOST = 2**63 - 1
# /proc/stat counts in ticks of 10 ms, at both ends of a window.
_TICKS_NS = 20_000_000
_NAMES = CgroupFigures._fields
_UNREAD: CgroupReading = CgroupFigures._make((NEVER_READ,) * len(_NAMES))


@dataclass(frozen=True, slots=True)
class SignalReading:
    """All that was read at one moment: counters since each thing was made or the host was booted.

    The moment begins at `monotonic_ns` and ends at `ended_ns`, by CLOCK_MONOTONIC.
    """

    monotonic_ns: int
    cgroups: Mapping[str, CgroupReading]
    cpu_time: HostCpuTime | Missing
    clocks: Mapping[int, CpuClock] | Missing
    pressure: Mapping[str, Figure]
    caches: ResctrlGroups | Missing
    ended_ns: int


class SignalReader:
    """Reads the signals of given cgroups and of the host; a context manager.

    A reading costs some 40 µs per cgroup (kernel 6.18, 300 cgroups on a calm host, every 10 s), half of it Python.
    """

    def __init__(
        self,
        layout: CgroupLayout,
        root: Path = Path("/"),
        cgroups: CgroupReader | None = None,
    ) -> None:
        """`cgroups` reads those of `layout`; without one every cgroup is read every time."""
        self._root = root
        self._cgroups = cgroups or CgroupReader(layout)
        self._frequency = FrequencyReader(root)

    @property
    def counts_frequency(self) -> bool:
        """Whether frequencies are means over a window: what cpufreq says at its end may be that of an idle CPU."""
        return self._frequency.counts

    def __enter__(self) -> "SignalReader":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the counters of frequency; may be called twice."""
        self._frequency.close()

    def read(self, paths: Iterable[str], idle: Collection[str] = ()) -> SignalReading:
        """The figures of these cgroups, of `idle` ones perhaps not, and of the host; whatever the files hold."""
        now_ns, pressure = monotonic_ns(), psi.host_pressure(self._root)
        stalled = [Total(spec, tuple(pressure[name] for name in spec.figures)) for spec in psi.FILES]
        return SignalReading(
            monotonic_ns=now_ns,
            cgroups=self._cgroups.read(paths, stalled, now_ns, idle),
            cpu_time=read_cpu_time(self._root),
            clocks=self._frequency.read(),
            pressure=pressure,
            caches=read_resctrl(self._root),
            ended_ns=monotonic_ns(),
        )


def signals_within(before: SignalReading, after: SignalReading) -> SignalWindow:
    """What happened between two readings, to the cgroups that the second one has."""
    missing = _Missing()
    return SignalWindow(
        cgroups={
            path: _cgroup(before.cgroups.get(path), figures, missing)
            for path, figures in after.cgroups.items()
        },
        host=HostSignals(
            cpus=_cpus(before, after, missing),
            pressure={
                name: missing.or_none(f"host.{name}", _grown(before.pressure[name], figure))
                for name, figure in after.pressure.items()
            },
            caches=_caches(before.caches, after.caches, missing),
        ),
        missing=missing.absences(),
    )


class _Missing:
    """Counts, by name, the figures that are missing, with the first reason of each."""

    def __init__(self) -> None:
        self._why: dict[str, Missing] = {}
        self._counts: dict[str, int] = {}

    def or_none(self, name: str, figure: int | Missing, most: int = MOST) -> int | None:
        if not isinstance(figure, Missing):
            if figure <= most:
                return figure
            figure = Missing(f"{figure} is more than there can be in a window: {most} at most")
        if name in self._counts:
            self._counts[name] += 1
        else:
            self._why[name], self._counts[name] = figure, 1
        return None

    def absences(self) -> dict[str, Absence]:
        return {name: Absence(why.reason, self._counts[name], why.remedy) for name, why in self._why.items()}


def _cgroup(before: CgroupReading | None, after: CgroupReading, missing: _Missing) -> CgroupSignals:
    grown = [
        new - old
        if is_counter and new.__class__ is int and old.__class__ is int and 0 <= new - old <= MOST
        else missing.or_none(name, new if isinstance(new, Missing) else _grown(old, new))
        if is_counter or isinstance(new, Missing)
        else new
        for name, is_counter, old, new in zip(_NAMES, ARE_COUNTERS, before or _UNREAD, after, strict=True)
    ]
    return CgroupFigures._make(grown)


def _grown(before: Figure, after: Figure) -> int | Missing:
    """`delta` of figures that are counters, and so whole numbers."""
    return delta(*(figure if isinstance(figure, Missing) else int(figure) for figure in (before, after)))


def _cpus(before: SignalReading, after: SignalReading, missing: _Missing) -> dict[int, CpuSignals]:
    times = cpu_time_within(before.cpu_time, after.cpu_time)
    if isinstance(times, Missing):
        for name in CpuSignals._fields:
            missing.or_none(f"cpu.{name}", times)
        return {}
    elapsed_ns = after.monotonic_ns - before.monotonic_ns
    # Stolen time leaps on some hosts when a guest is moved to another (a steal clock that went back).
    most_ns = after.ended_ns - before.monotonic_ns + _TICKS_NS
    return {
        cpu: CpuSignals(
            steal_ns=missing.or_none("cpu.steal_ns", time.steal_ns, most_ns),
            irq_ns=missing.or_none("cpu.irq_ns", time.irq_ns, most_ns),
            softirq_ns=missing.or_none("cpu.softirq_ns", time.softirq_ns, most_ns),
            frequency_khz=missing.or_none(
                "cpu.frequency_khz", frequency_khz(before.clocks, after.clocks, cpu, elapsed_ns)
            ),
        )
        for cpu, time in times.by_cpu.items()
    }


def _caches(
    before: ResctrlGroups | Missing, after: ResctrlGroups | Missing, missing: _Missing
) -> dict[str, dict[int, CacheSignals]]:
    moved = bandwidth_within(before, after)
    if isinstance(moved, Missing) or isinstance(after, Missing):
        for name in CacheSignals._fields:
            missing.or_none(f"cache.{name}", moved if isinstance(moved, Missing) else NEVER_READ)
        return {}
    return {
        path: {
            number: CacheSignals(
                occupancy_bytes=missing.or_none("cache.occupancy_bytes", after[path][number].occupancy_bytes),
                total_bytes=missing.or_none("cache.total_bytes", bandwidth.total_bytes),
                local_bytes=missing.or_none("cache.local_bytes", bandwidth.local_bytes),
            )
            for number, bandwidth in domains.items()
        }
        for path, domains in moved.items()
    }
