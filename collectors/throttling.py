"""CPU limits, weights and throttling of a cgroup and of its ancestors, whose limits bind it as well.

Sources: cpu.max, cpu.stat, cpu.stat.local, cpu.weight and cpu.idle on v2 (cgroup-v2.rst), cpu.cfs_quota_us,
cpu.cfs_period_us, cpu.stat and cpu.shares on v1 (sched-bwc.rst). Throttled time is summed over CPUs: a cgroup
that is throttled on four CPUs at once gathers four seconds a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.hierarchy import CgroupLayout, lineage
from collectors.readings import (
    Missing,
    delta,
    excerpt,
    parse_count,
    pick,
    read_count,
    read_flat,
    read_text,
    scaled,
    since,
)

NO_CONTROLLER = Missing(
    "no mounted cgroup hierarchy has the cpu controller", "boot without cgroup_disable=cpu and mount one"
)
_NEVER_READ = Missing("was not read at the beginning of the window")


@dataclass(frozen=True, slots=True)
class ThrottlingCounters:
    """Since the cgroup was made: enforcement periods, those in which it ran out of quota, time throttled."""

    nr_periods: int | Missing
    nr_throttled: int | Missing
    throttled_ns: int | Missing


@dataclass(frozen=True, slots=True)
class CpuControl:
    """What the cpu controller says of one cgroup.

    Attributes:
        path: The cgroup.
        limit_cpus: Quota over period; None: no limit.
        weight_ratio: Its weight over the default weight (100 on v2, 1024 on v1).
        idle: Whether it runs under SCHED_IDLE, after everyone else.
        counters: Throttling by its own limit only.
    """

    path: str
    limit_cpus: float | Missing | None
    weight_ratio: float | Missing
    idle: bool | Missing
    counters: ThrottlingCounters


@dataclass(frozen=True, slots=True)
class Throttling:
    """The controls that bind a cgroup at one moment.

    Attributes:
        path: The cgroup.
        chain: Its own control, then its ancestors', nearest first. Those without the cpu controller, the root
            among them, cannot limit and are left out.
        with_ancestors_ns: Time in which its tasks were kept from running by its own or an ancestor's limit,
            from cpu.stat.local, which kernels before 6.6 do not have.
    """

    path: str
    chain: tuple[CpuControl, ...]
    with_ancestors_ns: int | Missing

    @property
    def own(self) -> CpuControl | None:
        """The cgroup's own control; None when the cpu controller is not enabled for it."""
        return self.chain[0] if self.chain and self.chain[0].path == self.path else None

    @property
    def limit_cpus(self) -> float | Missing | None:
        """The tightest limit of the chain; None: no limit. One that cannot be read might be the tightest."""
        limits = [control.limit_cpus for control in self.chain]
        unknown = next((limit for limit in limits if isinstance(limit, Missing)), None)
        return unknown or min((limit for limit in limits if isinstance(limit, float)), default=None)

    @property
    def tightest(self) -> CpuControl | None:
        """Whose limit is the tightest, the nearest of several."""
        limited = [(c.limit_cpus, c) for c in self.chain if isinstance(c.limit_cpus, float)]
        return min(limited, key=lambda pair: pair[0])[1] if limited else None


@dataclass(frozen=True, slots=True)
class ThrottledWindow:
    """Throttling between two readings: by the cgroup's own limit, by each ancestor's, by any of them.

    `own` is None when the cgroup has no cpu controller and so cannot be throttled by itself.
    """

    own: ThrottlingCounters | None
    ancestors: Mapping[str, ThrottlingCounters]
    with_ancestors_ns: int | Missing


def read_throttling(layout: CgroupLayout, path: str) -> Throttling | Missing:
    """The cpu controls of a cgroup (named as in the hierarchy of the cpu controller) and its ancestors."""
    mount = layout.cpu_mount
    if mount is None:
        return NO_CONTROLLER
    read, limit_file = (_v1, "cpu.cfs_quota_us") if layout.cpu_on == "v1" else (_v2, "cpu.max")
    places = [(place, mount / place[1:]) for place in lineage(path)]
    chain = tuple(read(place, folder) for place, folder in places if (folder / limit_file).exists())
    directory = places[0][1]
    if not directory.is_dir():
        return Missing(f"{directory} does not exist")
    return Throttling(path, chain, _with_ancestors_ns(directory))


def throttled_within(before: Throttling | Missing, after: Throttling | Missing) -> ThrottledWindow | Missing:
    """What was throttled between two readings of the same cgroup."""
    if isinstance(after, Missing):
        return after
    if isinstance(before, Missing):
        return before
    earlier = {control.path: control.counters for control in before.chain}
    unread = ThrottlingCounters(_NEVER_READ, _NEVER_READ, _NEVER_READ)
    spans = {
        control.path: since(earlier.get(control.path, unread), control.counters) for control in after.chain
    }
    own = spans.pop(after.path, None)
    return ThrottledWindow(own, spans, delta(before.with_ancestors_ns, after.with_ancestors_ns))


def _v2(path: str, directory: Path) -> CpuControl:
    return CpuControl(
        path=path,
        limit_cpus=_limit_v2(directory / "cpu.max"),
        weight_ratio=_over(read_count(directory / "cpu.weight"), 100),
        idle=_flag(directory / "cpu.idle"),
        counters=_counters(directory / "cpu.stat", "throttled_usec", 1000),
    )


def _v1(path: str, directory: Path) -> CpuControl:
    return CpuControl(
        path=path,
        limit_cpus=_limit_v1(directory),
        weight_ratio=_over(read_count(directory / "cpu.shares"), 1024),
        idle=_flag(directory / "cpu.idle"),
        counters=_counters(directory / "cpu.stat", "throttled_time", 1),
    )


def _counters(path: Path, time_key: str, time_unit_ns: int) -> ThrottlingCounters:
    stat = read_flat(path)
    return ThrottlingCounters(
        pick(stat, "nr_periods", path),
        pick(stat, "nr_throttled", path),
        scaled(pick(stat, time_key, path), time_unit_ns),
    )


def _limit_v2(path: Path) -> float | Missing | None:
    text = read_text(path)
    if isinstance(text, Missing):
        return text
    # "QUOTA PERIOD" or "max PERIOD", in microseconds.
    match text.split():
        case ["max", _]:
            return None
        case [quota, period]:
            return _cpus(parse_count(quota), parse_count(period), path)
    return Missing(f"{path} is not a quota and a period: {excerpt(text)}")


def _limit_v1(directory: Path) -> float | Missing | None:
    quota_path = directory / "cpu.cfs_quota_us"
    text = read_text(quota_path)
    if isinstance(text, Missing):
        return text
    if text.strip() == "-1":
        return None
    period = read_count(directory / "cpu.cfs_period_us")
    if isinstance(period, Missing):
        return period
    return _cpus(parse_count(text.strip()), period, quota_path)


def _cpus(quota_us: int | None, period_us: int | None, path: Path) -> float | Missing:
    if not quota_us or not period_us:
        return Missing(f"{path} does not hold a valid quota and period")
    return quota_us / period_us


def _over(value: int | Missing, default: int) -> float | Missing:
    return value if isinstance(value, Missing) else value / default


def _flag(path: Path) -> bool | Missing:
    value = read_count(path)
    return value if isinstance(value, Missing) else value != 0


def _with_ancestors_ns(directory: Path) -> int | Missing:
    path = directory / "cpu.stat.local"
    table = read_flat(path)
    if not isinstance(table, Missing) and "throttled_time" in table:  # v1, in nanoseconds
        return table["throttled_time"]
    return scaled(pick(table, "throttled_usec", path), 1000)
