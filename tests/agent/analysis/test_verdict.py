"""Verdict and names, as experiments and comparisons share them."""

import pytest

from agent.analysis.verdict import VerdictBasis, attribute, find, has_effect, quality_of, reason_of
from agent.documents.tasks import TasksWithin, TaskTime
from agent.documents.verdict import Cause, CauseKind, Conclusion
from agent.documents.verdict_parts import Arm
from agent.statistics.decision import Judgement
from agent.statistics.effect import EffectEstimate
from collectors.host.hierarchy import leaf
from collectors.windows.sched import KERNEL
from tests.agent.analysis.trials import NEIGHBOUR, cgroup, pair, trial


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


@pytest.mark.parametrize(
    ("judged", "ci95_pct", "slowed"),
    [
        ("interference", (6.0, 9.0), True),
        ("inconclusive", (1.0, 9.0), True),
        ("inconclusive", (-1.0, 19.0), False),
        ("inconclusive", None, False),
        ("inconclusive", (-9.0, -6.0), False),
        ("no-interference", (1.0, 3.0), False),
    ],
)
def test_an_effect_is_an_interval_above_0(
    judged: Judgement, ci95_pct: tuple[float, float] | None, *, slowed: bool
) -> None:
    estimate = EffectEstimate(1.0, 1.1, 10.0, ci95_pct, 0.5, 1.0, 5.0, 4)
    assert has_effect(judged, estimate) is slowed
    pairs = pair(trial(), trial(Arm.WITH, 2.0, victim=cgroup(1.0, {NEIGHBOUR: 1.0})))
    found = find(pairs, judged, estimate, {NEIGHBOUR: "n"})
    assert bool(found.causes) is slowed
    assert bool(found.aggressors) is slowed


def test_the_root_cgroup_and_the_kernel_are_named_by_who_was_busiest_within() -> None:
    kernel = TaskTime("kswapd0", 7, 1, 90.0), TaskTime("rcu", 8, 1, 5.0)
    tasks = TasksWithin(kernel, 95.0, (TaskTime("a", 1, 1, 6.0), TaskTime("b", 2, 1, 4.0)), 10.0)
    pairs = pair(trial(), trial(Arm.WITH, 2.0, victim=cgroup(1.0, {KERNEL: 0.5, "/": 0.3, NEIGHBOUR: 0.2})))
    slowed = EffectEstimate(1.0, 2.0, 100.0, (90.0, 110.0), 0.1, 1.0, 5.0, 4)
    found = find(pairs, "interference", slowed, {NEIGHBOUR: "n"}, tasks)
    assert [each.name for each in found.aggressors] == ["kernel: kswapd0", "/: a, b", "n"]
    assert "falls on kernel: kswapd0" in reason_of([], found)


def test_causes_that_add_up_only_when_bent_are_a_warning() -> None:
    pairs = pair(trial(), trial(Arm.WITH, 2.0, victim=cgroup(0.5, {NEIGHBOUR: 1.5})))
    found = find(pairs, "interference", EffectEstimate(1.0, 2.0, 100.0, (90.0, 110.0), 0.1, 1.0, 5.0, 4), {})
    quality = quality_of(VerdictBasis(pairs, [], "ebpf", "available", []), found)
    assert quality.warnings == (
        "the causes add up only after 50 % of the extra time was left out of them or scaled down",
    )
    assert not quality.ok
