"""Verdict and names, as experiments and comparisons share them."""

import pytest

from agent.analysis.attribution import attribute
from agent.documents.verdict import Cause, CauseKind, Conclusion
from collectors.host.hierarchy import leaf


@pytest.mark.parametrize(("own_pct", "expected"), [(50.0, "interference"), (50.1, "self-inflicted")])
def test_the_victims_own_doing_decides_from_half_of_the_loss_on(own_pct: float, expected: str) -> None:
    causes = [
        Cause(CauseKind.CPU_WAIT, 100 - own_pct),
        Cause(CauseKind.SELF, own_pct - 20),
        Cause(CauseKind.THROTTLED, 20.0),
    ]
    assert attribute("interference", causes) == expected


@pytest.mark.parametrize("judged", ["no-interference", "inconclusive"])
def test_without_a_slowdown_there_is_nothing_to_inflict(judged: str) -> None:
    assert attribute(judged, [Cause(CauseKind.SELF, 100.0)]) is Conclusion(judged)  # type: ignore[arg-type]  # literals


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b.service", "b.service"), ("/a/b/", "b"), ("/", "/"), ("kernel", "kernel"), ("", "")],
)
def test_a_name_is_the_last_part_of_a_path(path: str, name: str) -> None:
    assert leaf(path) == name


@pytest.mark.parametrize(
    ("own_ratio", "conclusion"), [(1.0, Conclusion.SELF_INFLICTED), (0.4, Conclusion.INTERFERENCE)]
)
def test_a_quota_that_it_shares_with_neighbours_is_not_its_own(
    own_ratio: float, conclusion: Conclusion
) -> None:
    causes = (Cause(CauseKind.THROTTLED, 90.0), Cause(CauseKind.UNEXPLAINED, 10.0))
    assert attribute("interference", causes, own_ratio) is conclusion
