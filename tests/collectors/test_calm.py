"""When a cgroup's pressure need not be read: only while what was read of it last is as true as a new reading."""

from bisect import bisect
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.psi import Calm
from collectors.readings import Missing

SECOND_NS = 1_000_000_000
# The kernel brings totals up to date when they are read, but at most so often (PSI_FREQ in kernel/sched/psi.c).
PSI_FREQ_NS = 2 * SECOND_NS
NAME = "io_some_ns"

Pair = tuple[float, float]


def stamps_at(*readings: tuple[float, int | Missing]) -> list[object]:
    """The stamp at each reading of (seconds, the host's total)."""
    calm = Calm()
    return [calm.stamps({NAME: total}, round(at_s * SECOND_NS))[NAME] for at_s, total in readings]


def test_a_total_that_stood_still_for_long_enough_is_a_stamp() -> None:
    assert stamps_at((10, 7), (12.4, 7), (12.5, 7), (100, 7)) == [None, None, 7, 7]


def test_a_total_that_moved_is_none_until_it_has_stood_still_again() -> None:
    assert stamps_at((0, 7), (3, 7), (4, 8), (6, 8), (7, 8)) == [None, 7, None, None, 8]


def test_what_cannot_be_read_is_never_a_stamp() -> None:
    gone = Missing("it vanished")
    assert stamps_at((0, gone), (3, gone), (4, 7), (5, gone), (6, 7)) == [None] * 5


def test_each_figure_has_a_stamp_of_its_own() -> None:
    calm = Calm()
    for at_s, io in ((0, 1), (3, 2)):
        found = calm.stamps({"io_some_ns": io, "cpu_some_ns": 5}, at_s * SECOND_NS)
    assert found == {"io_some_ns": None, "cpu_some_ns": 5}


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
    calm, now_ns, known, known_at = Calm(), 0, 0, None
    for pause_s in pauses_s:
        now_ns += ns(pause_s)
        stamp = calm.stamps({NAME: host.read(now_ns)}, now_ns)[NAME]
        if stamp is None or stamp != known_at:  # as `kernel_files.PooledFile` does
            known, known_at = cgroup.read(now_ns), stamp
        if not cgroup.true_at(now_ns - PSI_FREQ_NS) <= known <= cgroup.true_at(now_ns):
            return True
    return False


def ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


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
    monkeypatch.setattr("collectors.psi._SETTLED_NS", ns(1.9))
    assert is_ever_too_old(stall_s, [], pauses_s, lags_s)
