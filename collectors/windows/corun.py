"""Who ran at the same moment as whom on CPUs that share a core (SMT siblings) or a last-level cache.

By sampling: of each window the latest stretch that the probe's rings of all CPUs of a group reach back to is
compared slice by slice, exactly, and taken for the whole window. Only such cgroups can take a core's execution units or
a cache from one another while both run; waiting for one another is not part of it.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from collectors.host.readings import Missing
from collectors.host.topology import CpuGroups, Topology
from probes.snapshot import KEY_IDLE, Ring

MOST_PARTNERS = 20


class Corun(NamedTuple):
    """How long a cgroup ran while another one ran on a sibling thread, and on a CPU of the same last-level cache."""

    smt_ns: int
    llc_ns: int


OverlapNs = dict[tuple[int, int], float]


def coruns(rings: Sequence[Ring], topology: Topology, duration_ns: int) -> dict[int, dict[int, Corun]]:
    """Co-run times by the keys of victim and aggressor: the longest MOST_PARTNERS of each victim, without idle."""
    smt, llc = (
        {} if isinstance(groups, Missing) else _of_groups(rings, groups, duration_ns)
        for groups in (topology.cores, topology.llc)
    )
    found: dict[int, dict[int, Corun]] = {}
    for victim, aggressor in smt.keys() | llc.keys():
        pair = victim, aggressor
        found.setdefault(victim, {})[aggressor] = Corun(round(smt.get(pair, 0)), round(llc.get(pair, 0)))
    return {victim: _longest(partners) for victim, partners in found.items()}


def _of_groups(rings: Sequence[Ring], groups: CpuGroups, duration_ns: int) -> OverlapNs:
    total: OverlapNs = {}
    for group in groups:
        members = [rings[cpu] for cpu in sorted(group) if cpu < len(rings) and rings[cpu].slices]
        if len(members) < 2:
            continue
        begin_ns = max(ring.slices[0][0] for ring in members)
        stretch_ns = min(ring.until_ns for ring in members) - begin_ns
        if stretch_ns <= 0:
            continue
        scale = duration_ns / min(stretch_ns, duration_ns)
        since_ns = max(begin_ns, begin_ns + stretch_ns - duration_ns)
        for one, other in combinations(members, 2):
            together: dict[tuple[int, int], int] = {}
            for a, b, ns in overlaps(one, other, since_ns):
                together[a, b] = together.get((a, b), 0) + ns
            for (a, b), ns in together.items():
                for pair in ((a, b), (b, a)):
                    total[pair] = total.get(pair, 0.0) + ns * scale
    return total


def overlaps(one: Ring, other: Ring, since_ns: int) -> Iterator[tuple[int, int, int]]:
    """(key on one, key on the other, ns) wherever two different cgroups ran at once, from `since_ns` on."""
    slices, others = _spans(one), _spans(other)
    mine, theirs = next(slices, None), next(others, None)
    while mine and theirs:
        (start, end, a), (start_other, end_other, b) = mine, theirs
        ns = min(end, end_other) - max(start, start_other, since_ns)
        if ns > 0 and a != b:
            yield a, b, ns
        if end <= end_other:
            mine = next(slices, None)
        else:
            theirs = next(others, None)


def _spans(ring: Ring) -> Iterator[tuple[int, int, int]]:
    """Start, end and key of each slice of a ring but the idle task's, which on a calm host is every other one."""
    for (start, key), (end, _) in pairwise((*ring.slices, (ring.until_ns, KEY_IDLE))):
        if key != KEY_IDLE:
            yield start, end, key


def _longest(partners: dict[int, Corun]) -> dict[int, Corun]:
    ranked = sorted(partners.items(), key=lambda item: -sum(item[1]))
    return dict(ranked[:MOST_PARTNERS])
