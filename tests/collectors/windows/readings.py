"""Readings of a source that counts: each has grown from the one before, and cgroups come and go."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from probes.block_io import NR_BUCKETS as DISK_BUCKETS
from probes.block_io import DiskFigures
from probes.layout import FIELDS, NR_BUCKETS
from probes.snapshot import KEY_KERNEL, CpuFigures, SchedFigures, Snapshot, Wait

KEYS = (1, 2, 3, 4)
PATHS = {KEY_KERNEL: "kernel"} | {key: f"/cgroup-{key}" for key in KEYS} | {5: "/caf\udce9"}
_SECOND = 10**9

Growth = tuple[int, dict[int, tuple[int, int]]]
"""Of one cgroup in one second: what its figures grow by, each by another part of it, and whom it waited for."""


def _growths() -> st.SearchStrategy[Growth]:
    amount = st.integers(1, 1 << 33)  # who waited was there
    return st.tuples(
        amount, st.dictionaries(st.sampled_from((*PATHS, 99)), st.tuples(amount, st.integers(0, 9)))
    )


@st.composite
def readings(draw: st.DrawFn) -> list[Snapshot]:
    """The first, and one after each second: of cgroups that are there, those that are removed go one later."""
    steps = draw(st.lists(st.dictionaries(st.sampled_from((*KEYS, 5)), _growths()), min_size=1, max_size=6))
    there = [draw(st.sets(st.sampled_from((*KEYS, 5)))) for _ in steps]
    gone: set[int] = set()
    found = [_reading(0, {}, {}, PATHS)]
    for number, (grown, alive) in enumerate(zip(steps, there, strict=True), 1):
        before = found[-1]
        cgroups = {key: figures for key, figures in before.cgroups.items() if key not in gone}
        waits: dict[int, Sequence[Wait]] = {}
        for key, (amount, waited) in grown.items():
            if key in gone:
                continue
            figures = [amount // part for part in range(1, len(FIELDS) + 1)]
            histogram = (amount % 300, amount % 7, *(0,) * (NR_BUCKETS - 2))
            waits[key] = [(ns, count, other) for other, (ns, count) in waited.items() if other not in gone]
            by_others = sum(count for _, count, _ in waits[key]) + figures[FIELDS.index("rest_ns")] // 2
            figures[FIELDS.index("preempted_foreign")] = by_others
            cgroups[key] = _plus(cgroups.get(key), figures, histogram)
        gone |= cgroups.keys() - alive  # is in this reading for the last time
        paths = {key: path for key, path in PATHS.items() if key in cgroups or key not in gone}
        found.append(_reading(number, cgroups, waits, paths))
    return found


def _plus(before: SchedFigures | None, figures: list[int], histogram: tuple[int, ...]) -> SchedFigures:
    was = before or SchedFigures._make((*(0,) * len(FIELDS), (0,) * NR_BUCKETS))
    counted = tuple(a + b for a, b in zip(was.histogram, histogram, strict=True))
    return SchedFigures._make((*(a + b for a, b in zip(was[:-1], figures, strict=True)), counted))


def _reading(
    second: int,
    cgroups: Mapping[int, SchedFigures],
    waits: Mapping[int, Sequence[Wait]],
    paths: Mapping[int, str],
) -> Snapshot:
    return Snapshot(
        monotonic_ns=(100 + second) * _SECOND,
        cgroups=cgroups,
        waits=waits,
        cpus=tuple(CpuFigures(second * 10**8 * cpu, second * 7, second * cpu) for cpu in range(2)),
        paths=paths,
        untracked=second % 3,
        waits_since_ns=(99 + second) * _SECOND,
        reach_ns=_SECOND,
        disks={
            "vda": {
                key: DiskFigures(figures.run_ns, *(0,) * 8, (0,) * DISK_BUCKETS, {})
                for key, figures in cgroups.items()
            }
        },
    )


def _reads(count: int) -> DiskFigures:
    return DiskFigures(count, *(0,) * 8, (0,) * DISK_BUCKETS, {})


def bare(snapshot: Snapshot) -> Snapshot:
    """Without what a second does not keep."""
    return replace(snapshot, disks={})
