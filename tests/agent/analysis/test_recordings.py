"""Whom a comparison of recordings is about, and which of its windows count."""

import pytest

from agent.analysis.recordings import recorded_cgroup, undecided_verdict, victim_windows
from agent.documents.verdict import Compared, Conclusion
from agent.store.run_file import Run, pack
from probes.errors import UsageError
from tests.agent.analysis.summaries import HOST
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window


def run(*run_s: float, **meta: str) -> Run:
    busy = cgroup(2.0, {VICTIM: 1.5}, path=NEIGHBOUR)
    return Run(
        {"host": pack(HOST), **meta}, tuple(window(cgroup(each), busy) for each in run_s), partial=False
    )


def test_the_cgroup_is_the_one_given_or_the_commands() -> None:
    assert recorded_cgroup(run(1.0), VICTIM[1:], "the") == VICTIM
    assert recorded_cgroup(run(1.0, command_cgroup=VICTIM), None, "the") == VICTIM
    assert recorded_cgroup(run(1.0, command_cgroup=VICTIM), NEIGHBOUR, "the") == NEIGHBOUR


def test_without_one_those_that_waited_longest_are_told() -> None:
    with pytest.raises(UsageError) as raised:
        recorded_cgroup(run(1.0), None, "the")
    assert NEIGHBOUR in (raised.value.remedy or "")
    with pytest.raises(UsageError, match="no cgroup /nowhere in the first recording"):
        recorded_cgroup(run(1.0), "/nowhere", "the first")


def test_windows_in_which_it_hardly_ran_do_not_count() -> None:
    found = victim_windows(run(1.0, 0.0, 0.5), VICTIM, "the")
    assert [each.victim.run_ns for each in found] == [10**9, 5 * 10**8]
    with pytest.raises(UsageError, match="hardly ran in the second recording"):
        victim_windows(run(0.0, 0.0), VICTIM, "the second")


def test_too_little_to_compare_is_inconclusive_and_says_why() -> None:
    verdict = undecided_verdict(
        run(1.0, tier="psi"), VICTIM, Compared.RECORDINGS, "there is one window", ["w"]
    )
    assert (verdict.verdict, verdict.effect, verdict.aggressors) == (Conclusion.INCONCLUSIVE, None, ())
    assert "there is one window" in verdict.reason.lower()
    assert (verdict.quality.tier, verdict.quality.ok) == ("psi", False)
    assert verdict.quality.pmu == "unavailable: not in the recording"
