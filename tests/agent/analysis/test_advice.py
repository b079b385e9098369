"""Advice follows from the verdict and its causes, and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.advice import REMEDIES, Advice, advise
from agent.documents.verdict import Cause, CauseKind, Conclusion
from tests.agent.documents.verdicts import EFFECT, QUALITY, effect, quality


def test_every_cause_has_a_remedy() -> None:
    assert REMEDIES.keys() == set(CauseKind)


@pytest.mark.parametrize(
    ("conclusion", "cause", "first"),
    [
        (Conclusion.INTERFERENCE, CauseKind.CPU_WAIT, Advice.LOWER_WEIGHT),
        (Conclusion.INTERFERENCE, CauseKind.MEMORY_BANDWIDTH, Advice.RESCTRL),
        (Conclusion.INTERFERENCE, CauseKind.STEAL, Advice.DEDICATED_HOST),
        (Conclusion.SELF_INFLICTED, CauseKind.THROTTLED, Advice.RAISE_OWN_QUOTA),
        (Conclusion.SELF_INFLICTED, CauseKind.SELF, Advice.FEWER_THREADS),
        (Conclusion.INCONCLUSIVE, CauseKind.CPU_WAIT, Advice.MORE_PAIRS),
    ],
)
def test_the_main_cause_decides(conclusion: Conclusion, cause: CauseKind, first: Advice) -> None:
    causes = [Cause(CauseKind.UNEXPLAINED, 10.0), Cause(cause, 90.0)]
    assert advise(conclusion, causes, EFFECT, QUALITY)[0] is first


def test_a_small_cause_gets_no_advice() -> None:
    causes = [Cause(CauseKind.SELF, 90.0), Cause(CauseKind.IO, 10.0)]
    assert advise(Conclusion.INTERFERENCE, causes, EFFECT, QUALITY) == [Advice.FEWER_THREADS]


def test_nothing_to_do_means_no_advice() -> None:
    assert advise(Conclusion.NO_INTERFERENCE, [Cause(CauseKind.SELF, 100.0)], EFFECT, QUALITY) == []


@pytest.mark.parametrize(("floor_pct", "noisy"), [(9.0, True), (2.0, False), (None, False)])
def test_a_noisy_machine_is_named_only_when_it_is_noisy(floor_pct: float | None, noisy: bool) -> None:  # noqa: FBT001  a parametrised fact
    found = advise(Conclusion.INCONCLUSIVE, [], effect(noise_floor_pct=floor_pct), QUALITY)
    assert (Advice.QUIETER_MACHINE in found) is noisy


def test_a_lower_tier_is_worth_a_repeat() -> None:
    causes = [Cause(CauseKind.CPU_WAIT, 100.0)]
    found = advise(Conclusion.INTERFERENCE, causes, EFFECT, quality(tier="procfs"))
    assert found[-1] is Advice.FULL_TIER


@given(
    st.sampled_from(Conclusion),
    st.lists(st.builds(Cause, st.sampled_from(CauseKind), st.floats(-100, 200))),
)
def test_no_sentence_twice(conclusion: Conclusion, causes: list[Cause]) -> None:
    found = advise(conclusion, causes, None, QUALITY)
    assert len(found) == len(set(found))
