"""What each cgroup had of each disk in a window, and whose requests its own waited behind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from collectors.windows import charged
from probes.block_io import NR_BUCKETS, DiskFigures, Disks


@dataclass(frozen=True, slots=True)
class DiskUse:
    """One cgroup's requests that ended in a window; times are summed over requests.

    `queue_ns`, from a request's start to its issue, and `service_ns`, from there to its end, are all the time that the
    requests took, and the sum of: `self_ns` (the disk served this cgroup), `unattributed_ns` and what is `waited_for`,
    while it served others. `histogram` is of the time in the queue, see `probes.block_io.NR_BUCKETS`.
    """

    reads: int = 0
    writes: int = 0
    other_requests: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    queue_ns: int = 0
    service_ns: int = 0
    self_ns: int = 0
    unattributed_ns: int = 0
    histogram: tuple[int, ...] = (0,) * NR_BUCKETS
    waited_for: Mapping[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.reads + self.writes + self.other_requests

    @property
    def bytes(self) -> int:
        """Read and written."""
        return self.read_bytes + self.written_bytes

    @property
    def time_ns(self) -> int:
        """In the queue and in service."""
        return self.queue_ns + self.service_ns

    def renamed(self, names: Mapping[str, str]) -> "DiskUse":
        """The same, with those that were waited for under other names; those of one name are one."""
        return replace(self, waited_for=charged.renamed(self.waited_for, names))


DiskWindows = Mapping[str, Mapping[str, DiskUse]]
"""By disk (`vda`) and cgroup."""

_NUMBERS = tuple(name for name in DiskUse.__slots__ if name not in {"histogram", "waited_for"})


def disks_within(before: Disks, after: Disks, paths: Mapping[int, str]) -> DiskWindows:
    """What grew between two snapshots, of the cgroups that had requests."""

    def use_of(was: DiskFigures | None, figures: DiskFigures) -> DiskUse | None:
        use = _grown(was, figures, paths)
        return use if use.requests else None

    return charged.within(before, after, paths, use_of, add)


def _grown(before: DiskFigures | None, after: DiskFigures, paths: Mapping[int, str]) -> DiskUse:
    was = before or DiskUse()
    return DiskUse(
        **{name: max(0, getattr(after, name) - getattr(was, name)) for name in _NUMBERS},
        histogram=tuple(max(0, b - a) for a, b in zip(was.histogram, after.histogram, strict=True)),
        waited_for=charged.grown(before.waits_ns if before else {}, after.waits_ns, paths),
    )


def add(parts: Sequence[DiskUse]) -> DiskUse:
    """The sum over time, over disks or over cgroups."""
    return DiskUse(
        **{name: sum(getattr(part, name) for part in parts) for name in _NUMBERS},
        histogram=tuple(map(sum, zip(*(part.histogram for part in parts), strict=True)))
        or DiskUse().histogram,
        waited_for=charged.summed(wait for part in parts for wait in part.waited_for.items()),
    )


def disk_use(windows: Iterable[DiskWindows], path: str) -> DiskUse:
    """Of a cgroup with everything below it, over all disks and windows; its waits for its own parts become its own."""
    whole = add(list(charged.of_subtree(windows, path)))
    own_ns, others = charged.own_and_others(whole.waited_for, path)
    return replace(whole, self_ns=whole.self_ns + own_ns, waited_for=others)
