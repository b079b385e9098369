"""Readings that follow one another as one: what all of them tell since the one before the first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from probes.snapshot import Snapshot, Wait

Key = TypeVar("Key")
Value = TypeVar("Value")


WaitPairs = dict[int, dict[int, tuple[int, int]]]
"""By victim and aggressor, how long it waited in ns, and how often it was preempted."""


class Readings:
    """Readings added up as they come, as if only the last had been made: for `sched.window` with the one before all.

    Cumulative figures are those of the last; what only an earlier one knew, as it was removed since, stays as it was.
    """

    def __init__(self) -> None:
        self._latest: Snapshot | None = None  # its waits are in `_pairs` from the second one on
        self._pairs: WaitPairs = {}

    def add(self, later: Snapshot) -> None:
        """One more."""
        if self._latest is None:
            self._latest = later
            return
        if not self._pairs:
            _add_waits(self._pairs, self._latest.waits)
        _add_waits(self._pairs, later.waits)
        self._latest = _merged(self._latest, later)

    def take(self) -> Snapshot:
        """Those since this was last called, as one; there is at least one."""
        if self._latest is None:
            raise ValueError("nothing was read")
        latest, pairs = self._latest, self._pairs
        self._latest, self._pairs = None, {}
        if not pairs:
            return latest
        waits = {
            victim: [(ns, count, aggressor) for aggressor, (ns, count) in found.items()]
            for victim, found in pairs.items()
        }
        return replace(latest, waits=waits)


def merged(*readings: Snapshot) -> Snapshot:
    """Readings that follow one another as one; see `Readings`."""
    together = Readings()
    for each in readings:
        together.add(each)
    return together.take()


def _add_waits(pairs: WaitPairs, waits: Mapping[int, Sequence[Wait]]) -> None:
    for victim, found in waits.items():
        known = pairs.setdefault(victim, {})
        for ns, count, aggressor in found:
            had = known.get(aggressor)
            known[aggressor] = (ns, count) if had is None else (had[0] + ns, had[1] + count)


def _merged(earlier: Snapshot, later: Snapshot) -> Snapshot:
    """All but the waits."""
    gone = earlier.cgroups.keys() - later.cgroups.keys()
    return replace(
        later,
        cgroups=_with(earlier.cgroups, later.cgroups, gone),
        waits={},
        paths=_with(earlier.paths, later.paths, gone),
        untracked=max(earlier.untracked, later.untracked),
        waits_since_ns=earlier.waits_since_ns,
        counters=_with(earlier.counters, later.counters, gone & earlier.counters.keys()),
        removed=earlier.removed | later.removed,
        tasks=_most_tasks(earlier, later),
        reach_ns=earlier.reach_ns + later.reach_ns if earlier.reach_ns and later.reach_ns else 0,
        disks=_by_device(earlier.disks, later.disks),
        network=_by_device(earlier.network, later.network),
        reclaims=_by_device(earlier.reclaims, later.reclaims),
    )


def _with(
    earlier: Mapping[Key, Value], later: Mapping[Key, Value], gone: Iterable[Key]
) -> Mapping[Key, Value]:
    kept = {key: earlier[key] for key in gone}
    return {**kept, **later} if kept else later


def _by_device(
    earlier: Mapping[str, Mapping[Key, Value]], later: Mapping[str, Mapping[Key, Value]]
) -> Mapping[str, Mapping[Key, Value]]:
    if not earlier:
        return later
    return {name: {**earlier.get(name, {}), **later.get(name, {})} for name in {**earlier, **later}}


def _most_tasks(earlier: Snapshot, later: Snapshot) -> dict[int, int]:
    """At most so many tasks a cgroup had: those until the earlier reading, and who came since."""
    if not earlier.tasks or not later.tasks:
        return {}
    found = {}
    for key in later.tasks.keys() | earlier.tasks.keys():
        came = 0
        if key in earlier.cgroups and key in later.cgroups:
            came = later.cgroups[key].newcomers - earlier.cgroups[key].newcomers
        found[key] = max(earlier.tasks.get(key, 0) + came, later.tasks.get(key, 0))
    return found
