"""When `jostle advise` touches nobody, and why it says so."""

import pytest

from agent.cli.advise import is_suspect, nobody_to_treat, nothing_to_gain
from agent.documents.blame import BlameSummary, Charge, WaitPart


def waited(run_ms: float, others_ms: float, own_ms: float = 0.0) -> BlameSummary:
    """Five seconds of one that waited so long for another cgroup and for its own threads."""
    parts = (
        WaitPart(Charge.CGROUP, "etl", others_ms, 0.0, 1, "/etl"),
        WaitPart(Charge.SELF, "self", own_ms, 0.0, None),
    )
    return BlameSummary(
        cgroup="/web",
        name="web",
        duration_s=5.0,
        tier="ebpf",
        run_ms=run_ms,
        wait_ms=others_ms + own_ms,
        wait_p99_ns=None,
        preempted=0,
        parts=parts,
        partial=False,
        warnings=(),
    )


@pytest.mark.parametrize(
    ("run_ms", "others_ms", "own_ms", "told"),
    [
        (0.0, 0.0, 0.0, "web wanted no CPU time in 5 s"),
        (4_000.0, 0.0, 0.0, "for 0.0 % of the CPU time that it wanted in 5 s: too little to matter (5 %)"),
        (1_000.0, 40.0, 0.0, "for 3.8 % of the CPU time"),  # without it 4 % faster
        (1_000.0, 60.0, 1_000.0, "for 2.9 % of the CPU time"),  # its own threads remain
        (1_000.0, 60.0, 0.0, None),  # 6 %
        (0.0, 500.0, 0.0, None),  # it got nothing at all
    ],
)
def test_where_all_of_the_wait_for_others_would_not_matter_nothing_is_tried(
    run_ms: float, others_ms: float, own_ms: float, told: str | None
) -> None:
    found = nothing_to_gain(waited(run_ms, others_ms, own_ms))
    assert bool(found) is (told is not None)
    assert told is None or told in found


@pytest.mark.parametrize(
    ("charge", "cgroup", "share_pct", "is_one"),
    [
        (Charge.CGROUP, "/etl", 60.0, True),
        (Charge.CGROUP, "/etl", 4.0, False),
        (Charge.KERNEL, None, 60.0, False),
        (Charge.CGROUP, "/jostle-7182-ccd5c9/neighbour-1", 60.0, False),  # another jostle's trial
    ],
)
def test_whom_it_would_try_something_on(
    charge: Charge,
    cgroup: str | None,
    share_pct: float,
    is_one: bool,  # noqa: FBT001  a fact
) -> None:
    assert is_suspect(WaitPart(charge, "name", 10.0, share_pct, 1, cgroup)) is is_one


def test_who_may_not_be_touched_is_named_with_why() -> None:
    found = waited(1_000.0, 500.0)
    reason = "the neighbour /docker contains dockerd, on which others depend"
    assert reason in nobody_to_treat(found, (reason,))
    assert "none of whom has 5 % of it" in nobody_to_treat(found, ())
