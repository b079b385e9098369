"""Verdict and names, as experiments and comparisons share them."""

import pytest

from agent.analysis.observation import TrialResult, VictimSignals, pairs_of
from agent.analysis.verdict import VerdictBasis, attribute, find, has_effect, quality_of, reason_of
from agent.documents.tasks import TasksWithin, TaskTime
from agent.documents.verdict import Conclusion
from agent.documents.verdict_parts import Arm
from agent.statistics.decision import Judgement
from agent.statistics.effect import EffectEstimate
from collectors.host.hierarchy import leaf
from collectors.windows.sched import KERNEL
from tests.agent.analysis.trials import NEIGHBOUR, NS, OTHER, cgroup, pair, seen_as, trial


@pytest.mark.parametrize(
    ("own_ci_pct", "expected"),
    [((50.1, 99.0), "self-inflicted"), ((50.0, 99.0), "interference"), (None, "interference")],
)
def test_the_victims_own_doing_decides_where_its_share_is_above_one_half_beyond_doubt(
    own_ci_pct: tuple[float, float] | None, expected: str
) -> None:
    assert attribute("interference", own_ci_pct) == expected


@pytest.mark.parametrize("judged", ["no-interference", "inconclusive"])
def test_without_a_slowdown_there_is_nothing_to_inflict(judged: str) -> None:
    assert attribute(judged, (90.0, 100.0)) is Conclusion(judged)  # type: ignore[arg-type]  # literals


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b.service", "b.service"), ("/a/b/", "b"), ("/", "/"), ("kernel", "kernel"), ("", "")],
)
def test_a_name_is_the_last_part_of_a_path(path: str, name: str) -> None:
    assert leaf(path) == name


@pytest.mark.parametrize(
    ("own_ns", "conclusion"), [(NS, Conclusion.SELF_INFLICTED), (4 * NS // 10, Conclusion.INTERFERENCE)]
)
def test_a_quota_that_it_shares_with_neighbours_is_not_its_own(own_ns: int, conclusion: Conclusion) -> None:
    """It loses 0.9 s of each second to throttling: all by its own quota, or two fifths of it."""
    told = VictimSignals(throttled_own_ns=own_ns, throttled_ancestors_ns=NS - own_ns)
    none = VictimSignals(throttled_own_ns=0, throttled_ancestors_ns=0)
    pairs = pairs_of(
        [
            (
                seen_as(trial(), signals=none),
                seen_as(trial(Arm.WITH, 2.0 + k / 100, victim=cgroup(1.0, throttled_s=0.9)), signals=told),
            )
            for k in range(4)
        ]
    )
    slowed = EffectEstimate(1.0, 2.0, 100.0, (90.0, 110.0), 0.01, 10.0, 5.0, 4)
    assert find(pairs, "interference", slowed, {}).conclusion is conclusion


def test_shares_that_cannot_be_told_apart_are_named_together() -> None:
    def seen(first_s: float, second_s: float) -> TrialResult:
        waits = {NEIGHBOUR: first_s, OTHER: second_s}
        return trial(Arm.WITH, 2.0, victim=cgroup(1.0, waits))

    slowed = EffectEstimate(1.0, 2.0, 100.0, (90.0, 110.0), 0.01, 10.0, 5.0, 4)
    alike = [(trial(), seen(0.5 + d, 0.5 - d)) for d in (0.02, -0.01, 0.0, 0.01)]
    apart = [(trial(), seen(0.8 + d, 0.2 - d)) for d in (0.02, -0.01, 0.0, 0.01)]
    names = {NEIGHBOUR: "one", OTHER: "two"}
    reasons = [
        reason_of([], find(pairs_of(blocks), "interference", slowed, names)) for blocks in (alike, apart)
    ]
    assert "100 % of the extra time falls on one and two (cpu-wait: seen), whose shares cannot" in reasons[0]
    assert "80 % of the extra time falls on one (cpu-wait: seen)." in reasons[1]


@pytest.mark.parametrize(
    ("judged", "ci95_pct", "slowed"),
    [
        ("interference", (6.0, 9.0), True),
        ("interference", (-1.0, 2.0), False),  # of what failed, not of time
        ("inconclusive", (1.0, 9.0), False),
        ("inconclusive", (-1.0, 19.0), False),
        ("inconclusive", None, False),
        ("inconclusive", (-9.0, -6.0), False),
        ("no-interference", (1.0, 3.0), False),
    ],
)
def test_an_effect_is_interference_by_an_interval_above_0(
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


def test_causes_below_0_that_sum_to_much_are_a_warning() -> None:
    pairs = pair(trial(), trial(Arm.WITH, 2.0, victim=cgroup(0.5, {NEIGHBOUR: 1.5})))
    found = find(pairs, "interference", EffectEstimate(1.0, 2.0, 100.0, (90.0, 110.0), 0.1, 1.0, 5.0, 4), {})
    quality = quality_of(VerdictBasis(pairs, [], "ebpf", "available", []), found)
    assert quality.warnings == (
        "causes below 0 sum to 50 % of the extra time: the accounts of it contradict each other",
    )
    assert not quality.ok
