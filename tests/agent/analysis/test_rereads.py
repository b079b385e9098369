"""What is read again as it had been reclaimed, told from what is read for the first time and from a slower disk."""

from mmap import PAGESIZE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.observation import Pairs, VictimSignals
from agent.analysis.rereads import fresh_ratio, reread_ratio
from agent.documents.verdict_parts import Arm
from collectors.windows.disks import DiskUse
from tests.agent.analysis.trials import pair, seen_as, trial


def use(large_reads: int = 0, pages: int = 0, large_writes: int = 0) -> DiskUse:
    """Requests of 1 MiB, and reads of a page each."""
    return DiskUse(
        reads=large_reads + pages,
        read_bytes=(large_reads << 20) + pages * PAGESIZE,
        writes=large_writes,
        written_bytes=large_writes << 20,
    )


def seen(before: DiskUse, after: DiskUse, came_back: int | None) -> Pairs:
    none = VictimSignals(refaulted_pages=0)
    again = VictimSignals(refaulted_pages=came_back)
    return pair(
        seen_as(trial(), disk=before, signals=none), seen_as(trial(Arm.WITH), disk=after, signals=again)
    )


@pytest.mark.parametrize(
    ("before", "after", "came_back", "again", "afresh"),
    [
        (use(100), use(100, 900), 900, 0.9, 0.0),  # it needs each page again, one by one
        (use(100), use(200), 256 * 100, 0.5, 0.0),  # all of it again, in large requests
        (use(100), use(100, 900), 0, 0.0, 0.9),  # it reads other things as well
        (use(100), use(100, 900), 300, 0.3, 0.6),
        (use(100), use(100), 900, 0.0, 0.0),  # what came back came from no disk that is seen
        (use(100), use(100, 0, 900), 900, 0.0, 0.9),  # it writes: that is no reread
        (use(100), use(100, 900), None, 0.0, 0.9),  # the kernel does not tell
        (use(), use(), 900, 0.0, 0.0),
    ],
)
def test_reads_that_are_more_are_rereads_as_far_as_pages_came_back(
    before: DiskUse, after: DiskUse, came_back: int | None, again: float, afresh: float
) -> None:
    pairs = seen(before, after, came_back)
    assert reread_ratio(pairs) == pytest.approx(again)
    assert fresh_ratio(pairs) == pytest.approx(afresh)


amounts = st.integers(0, 10**6)
uses = st.builds(use, amounts, amounts, amounts)


@given(uses, uses, amounts)
def test_either_is_a_part_of_what_there_is(before: DiskUse, after: DiskUse, came_back: int) -> None:
    pairs = seen(before, after, came_back)
    assert 0 <= reread_ratio(pairs) <= 1
    assert 0 <= fresh_ratio(pairs) <= 1
    assert reread_ratio(seen(after, after, came_back)) == 0
