"""When a cgroup's files need not be read: only while what was read last is as true as a new reading."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.host.hierarchy import CgroupLayout, lineage
from collectors.host.readings import Missing
from collectors.sources.cgroup_files import CgroupReader
from collectors.sources.kernel_files import ChangeTokens, KernelFile, single
from collectors.sources.psi import FILES
from collectors.sources.unchanged import LEAST_BELOW, Total, Unchanged, Whole

SECOND_NS = 1_000_000_000
# The kernel brings totals up to date when they are read, but at most so often (PSI_FREQ in kernel/sched/psi.c).
PSI_FREQ_NS = 2 * SECOND_NS
SPEC = KernelFile(("io.pressure",), ("io_some_ns",), single, PSI_FREQ_NS)
NAME = SPEC.name

Pair = tuple[float, float]


def tokens_at(*readings: tuple[float, int | Missing]) -> list[object]:
    """The token at each reading of (seconds, the host's total)."""
    whole = Whole()
    return [whole.tokens([Total(SPEC, (total,))], ns(at_s)).get(NAME) for at_s, total in readings]


def test_a_total_that_stood_still_for_long_enough_is_a_token() -> None:
    assert tokens_at((10, 7), (12.4, 7), (12.5, 7), (100, 7)) == [None, None, (7,), (7,)]


def test_a_total_that_moved_is_none_until_it_has_stood_still_again() -> None:
    assert tokens_at((0, 7), (3, 7), (4, 8), (6, 8), (7, 8)) == [None, (7,), None, None, (8,)]


def test_what_cannot_be_read_is_never_a_token() -> None:
    gone = Missing("it vanished")
    assert tokens_at((0, gone), (3, gone), (4, 7), (5, gone), (6, 7)) == [None] * 5


def test_a_file_that_does_not_count_what_is_below_is_never_a_token() -> None:
    local = KernelFile(("memory.events",), ("oom_kills",), single)
    whole = Whole()
    assert [whole.tokens([Total(local, (0,))], ns(at_s)) for at_s in (0, 60)] == [{}, {}]


def test_each_file_has_a_token_of_its_own() -> None:
    other = KernelFile(("memory.stat",), ("a", "b"), single, 0)
    whole = Whole()
    for at_s, io in ((0, 1), (3, 2)):
        found = whole.tokens([Total(SPEC, (io,)), Total(other, (5, 6))], ns(at_s))
    assert found == {"memory.stat": (5, 6)}


def ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


@dataclass
class KernelTotal:
    """A pressure file: its content is brought up to date by a reading, if the last time is PSI_FREQ ago."""

    stalls_ns: list[int]  # when a nanosecond was lost
    phase_ns: int
    updated_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.updated_ns = -self.phase_ns

    def true_at(self, at_ns: int) -> int:
        return bisect(self.stalls_ns, at_ns)

    def read(self, at_ns: int) -> int:
        if at_ns - self.updated_ns >= PSI_FREQ_NS:
            self.updated_ns = at_ns
        return self.true_at(self.updated_ns)


def is_ever_too_old(
    stalls_s: list[float], elsewhere_s: list[float], pauses_s: list[float], lags_s: Pair
) -> bool:
    """Whether what is known of a cgroup was ever older than its file may be, over readings with these pauses.

    The host is stalled whenever one of its cgroups is; each of the two files lags by its own.
    """
    cgroup = KernelTotal(sorted(map(ns, stalls_s)), ns(lags_s[0]))
    host = KernelTotal(sorted(map(ns, [*stalls_s, *elsewhere_s])), ns(lags_s[1]))
    whole, now_ns, known, known_at = Whole(), 0, 0, None
    for pause_s in pauses_s:
        now_ns += ns(pause_s)
        token = whole.tokens([Total(SPEC, (host.read(now_ns),))], now_ns).get(NAME)
        if token is None or token != known_at:  # as `kernel_files.FileReader` does
            known, known_at = cgroup.read(now_ns), token
        if not cgroup.true_at(now_ns - PSI_FREQ_NS) <= known <= cgroup.true_at(now_ns):
            return True
    return False


def tenths(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda tenth: tenth / 10)


@settings(max_examples=500)
@given(
    stalls_s=st.lists(tenths(0, 200), max_size=8),
    elsewhere_s=st.lists(tenths(0, 200), max_size=2),
    pauses_s=st.lists(tenths(1, 8), min_size=10, max_size=60),
    lags_s=st.tuples(tenths(0, 19), tenths(0, 19)),
)
def test_what_is_known_is_never_older_than_what_the_kernel_might_say(
    stalls_s: list[float], elsewhere_s: list[float], pauses_s: list[float], lags_s: Pair
) -> None:
    assert not is_ever_too_old(stalls_s, elsewhere_s, pauses_s, lags_s)


def test_a_rule_that_trusts_too_soon_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's file tells of the stall at once; the cgroup's not yet when the host's has stood still for 1.9 s."""
    stall_s, pauses_s, lags_s = [0.04], [0.02, 0.04, 1.91, 0.08], (1.99, 1.95)
    assert not is_ever_too_old(stall_s, [], pauses_s, lags_s)
    monkeypatch.setattr("collectors.sources.unchanged._MARGIN_NS", ns(-0.1))
    assert is_ever_too_old(stall_s, [], pauses_s, lags_s)


CROWD, ALONE = [f"/pods/{number}" for number in range(LEAST_BELOW)], "/alone/0"


@dataclass
class Tree:
    """Readings of the pods, of one cgroup elsewhere and of the host, with those of the ancestors that are asked for."""

    asked: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: {"/pods": 0, "/alone": 0})

    def __post_init__(self) -> None:
        self.unchanged = Unchanged(self.read)

    def read(self, path: str, tokens: ChangeTokens) -> Sequence[Total]:
        assert set(tokens) <= {NAME}
        self.asked.append(path)
        return [Total(SPEC, (self.totals[path],))]

    def at(self, at_s: float, host: int) -> Mapping[str, ChangeTokens]:
        paths = [*CROWD, ALONE]
        self.unchanged.begin(map(lineage, paths), [Total(SPEC, (host,))], ns(at_s))
        return {path: self.unchanged.tokens(lineage(path)) for path in paths}


def test_while_their_parent_stands_still_many_cgroups_do_whatever_happens_elsewhere() -> None:
    tree = Tree()
    for at_s, host in ((0, 1), (10, 2), (20, 3)):
        found = tree.at(at_s, host)
    assert {found[path][NAME] for path in CROWD} == {(0,)}
    assert found[ALONE] == {}
    assert set(tree.asked) == {"/pods"}  # a parent of one is not worth a reading
    tree.totals["/pods"] = 1
    assert tree.at(30, 4)[CROWD[0]] == {}


def test_while_the_host_stands_still_everything_does() -> None:
    tree = Tree()
    for at_s in (0, 10):
        found = tree.at(at_s, 7)
    assert found[ALONE] == {NAME: (7,)}
    assert {found[path][NAME] for path in CROWD} == {(0,)}


def test_a_host_that_stalls_now_and_then_is_nothing_to_a_crowd_that_does_not() -> None:
    tree = Tree()
    totals = [(number * 10, 1 + number // 2) for number in range(10)]  # it moves in every other reading
    tokens = [tree.at(at_s, host)[CROWD[0]].get(NAME) for at_s, host in totals]
    assert tokens[1:] == [(0,)] * 9


def test_an_ancestor_of_an_ancestor_stands_for_it() -> None:
    asked: list[str] = []

    def read(path: str, _tokens: ChangeTokens) -> Sequence[Total]:
        asked.append(path)
        return [Total(SPEC, (len(asked) if path == "/a/b" else 5,))]

    unchanged = Unchanged(read)
    below = [lineage(f"/a/b/{number}") for number in range(LEAST_BELOW)]
    for at_s in (0, 10, 20):
        unchanged.begin(below, [Total(SPEC, (at_s,))], ns(at_s))
    assert asked == ["/a", "/a/b"] * 3
    assert unchanged.tokens(below[0]) == {NAME: (5,)}


class Pods:
    """Files of a fake tree: `CROWD` below /pods, each with pressure of memory and I/O, and a reader of them."""

    def __init__(self, mount: Path, most_skipped: int = 0) -> None:
        self._mount = mount
        self._reader = CgroupReader(CgroupLayout("v2", mount, {}, None, None), most_skipped=most_skipped)
        self._now_s = 0
        for path in ("/pods", *CROWD):
            (mount / path.lstrip("/")).mkdir(parents=True)
            for resource in ("memory", "io"):
                self.stall(path, 1, resource)

    def stall(self, path: str, total_us: int, resource: str = "io") -> None:
        text = f"some total={total_us}\nfull total=0\n"
        (self._mount / path.lstrip("/") / f"{resource}.pressure").write_text(text)

    def read(self, idle: Sequence[str] = ()) -> dict[str, object]:
        """Each pod's I/O stalls 10 s later, on a host on which something else stalls all the time."""
        self._now_s += 10
        host = [Total(spec, (self._now_s, 0)) for spec in FILES]
        found = self._reader.read(CROWD, host, ns(self._now_s), idle)
        return {path: figures.io_some_ns for path, figures in found.items()}


def test_a_reader_reads_the_files_of_an_unchanged_crowd_once(tmp_path: Path) -> None:
    pods, pod = Pods(tmp_path), CROWD[0]
    assert [pods.read()[pod] for _ in range(2)] == [1000, 1000]
    pods.stall(pod, 2)  # which no kernel would do: its parent counts it as well
    assert pods.read()[pod] == 1000
    pods.stall("/pods", 2)
    assert pods.read()[pod] == 2000


def test_an_idle_cgroup_is_left_out_of_two_passes_in_three(tmp_path: Path) -> None:
    pods, idle = Pods(tmp_path, most_skipped=2), CROWD[:-1]
    passes = [set(pods.read(idle)) for _ in range(20)]
    assert passes[0] == set(CROWD)  # it is not known yet that nothing stalls
    for path in idle:
        (first, second, third), *_ = [
            [number for number, found in enumerate(passes) if number > 0 and path in found][:3]
        ]
        assert first <= 3
        assert (second - first, third - second) == (3, 3)
    assert all(CROWD[-1] in found for found in passes)
    assert max(map(len, passes[1:])) < len(CROWD)  # they take turns


def test_an_idle_cgroup_is_read_while_anything_around_it_stalls(tmp_path: Path) -> None:
    pods = Pods(tmp_path, most_skipped=2)
    for number in range(10):
        pods.stall("/pods", number, "memory")
        assert set(pods.read(CROWD)) == set(CROWD)


def test_nobody_is_left_out_unless_that_is_asked_for(tmp_path: Path) -> None:
    pods = Pods(tmp_path)
    assert all(set(pods.read(CROWD)) == set(CROWD) for _ in range(10))
