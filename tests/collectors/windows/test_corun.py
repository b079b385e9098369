"""Who ran at the same time: rings with known answers, and a host's CPUs kept busy."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.host.readings import Missing
from collectors.host.topology import CpuGroups, Topology
from collectors.windows.corun import MOST_PARTNERS, Corun, coruns, overlaps
from probes.snapshot import KEY_IDLE, Ring

NONE = Missing("not told")


def topology(cores: CpuGroups | Missing, llc: CpuGroups | Missing) -> Topology:
    return Topology(frozenset({0, 1, 2, 3}), cores, llc, NONE, NONE)


def groups(*members: tuple[int, ...]) -> CpuGroups:
    return frozenset(map(frozenset, members))


APART, TOGETHER = groups((0,), (1,)), groups((0, 1))


def test_only_the_time_in_which_both_ran_counts() -> None:
    one = Ring(100, ((0, 1), (40, KEY_IDLE), (60, 1)))
    other = Ring(100, ((0, KEY_IDLE), (30, 2), (70, 3)))
    found = coruns((one, other), topology(APART, TOGETHER), 100)
    assert found == {
        1: {2: Corun(0, 20), 3: Corun(0, 30)},
        2: {1: Corun(0, 20)},
        3: {1: Corun(0, 30)},
    }


def test_siblings_and_a_shared_cache_are_told_apart() -> None:
    rings = (Ring(10, ((0, 1),)), Ring(10, ((0, 2),)), Ring(10, ((0, 3),)))
    found = coruns(rings, topology(groups((0, 1), (2,)), groups((0, 1, 2))), 10)
    assert found[1] == {2: Corun(10, 10), 3: Corun(0, 10)}


def test_a_stretch_stands_for_the_whole_window() -> None:
    rings = (Ring(100, ((50, 1), (75, KEY_IDLE))), Ring(100, ((80, 2), (90, KEY_IDLE), (95, 2))))
    assert coruns(rings, topology(APART, TOGETHER), 1000) == {}
    rings = (Ring(100, ((50, 1),)), rings[1])
    assert coruns(rings, topology(APART, TOGETHER), 1000)[1] == {2: Corun(0, 750)}  # 15 of 20


def test_what_is_older_than_the_window_does_not_count() -> None:
    rings = (Ring(100, ((0, 1),)), Ring(100, ((0, 2), (95, KEY_IDLE))))
    assert coruns(rings, topology(APART, TOGETHER), 10)[1] == {2: Corun(0, 5)}


def test_nobody_runs_beside_himself_or_idle_or_on_a_topology_that_is_not_told() -> None:
    assert coruns((Ring(9, ((0, 1),)), Ring(9, ((0, 1),))), topology(TOGETHER, TOGETHER), 9) == {}
    assert coruns((Ring(9, ((0, 1),)), Ring(9, ((0, KEY_IDLE),))), topology(TOGETHER, TOGETHER), 9) == {}
    assert coruns((Ring(9, ((0, 1),)), Ring(9, ((0, 2),))), topology(NONE, NONE), 9) == {}
    assert coruns((Ring(9, ((0, 1),)), Ring(9, ())), topology(TOGETHER, TOGETHER), 9) == {}


def test_each_keeps_the_partners_of_the_longest_time() -> None:
    slices = tuple((start * (start + 1) // 2, start) for start in range(1, MOST_PARTNERS + 11))
    rings = (Ring(1000, ((0, 999),)), Ring(1000, slices))
    partners = coruns(rings, topology(APART, TOGETHER), 10**6)[999]
    assert len(partners) == MOST_PARTNERS
    assert min(partners) == 11


keys = st.sampled_from([KEY_IDLE, 1, 2, 3])
slices = st.lists(st.tuples(st.integers(0, 50), keys), min_size=1, max_size=8).map(
    lambda drawn: tuple(sorted(drawn, key=lambda pair: pair[0]))
)


def runs_at(ring: Ring, moment: int) -> int:
    """The oracle: the last slice that began by then."""
    return [key for start, key in ring.slices if start <= moment][-1]


@given(slices, slices, st.integers(0, 40))
def test_overlaps_are_those_of_every_single_moment(
    one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...], since: int
) -> None:
    a, b = Ring(60, one), Ring(60, other)
    begin = max(one[0][0], other[0][0], since)
    expected: dict[tuple[int, int], int] = {}
    for moment in range(begin, 60):
        pair = runs_at(a, moment), runs_at(b, moment)
        if KEY_IDLE not in pair and pair[0] != pair[1]:
            expected[pair] = expected.get(pair, 0) + 1
    found: dict[tuple[int, int], int] = {}
    for left, right, ns in overlaps(a, b, begin):
        found[left, right] = found.get((left, right), 0) + ns
    assert found == expected
