"""Rounds with trials that only pretend to run; what the confirmation and the sweep make of them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.observation import TrialResult
from agent.analysis.verdict import Findings
from agent.documents.verdict import Cause, CauseKind, Conclusion
from agent.documents.verdict_parts import Arm, Confirmation
from agent.experiment.design import ALONE, BESIDE_ALL, Design, Treatment, at_level, orders, stopped
from agent.experiment.follow_ups import (
    FEWEST_TO_CONFIRM,
    confirmation,
    confirmations,
    describe_confirmed,
    is_worth_confirming,
    sweep_design,
    sweep_result,
)
from agent.experiment.runner import Observer, Rounds, run_rounds
from agent.sandbox.interrupts import Interrupted
from probes.errors import JostleError
from tests.agent.analysis.trials import NEIGHBOUR, trial

IDLE = "/jostle-1/neighbour-2"
NAMES = {NEIGHBOUR: "neighbour-1 stress-ng", IDLE: "neighbour-2 sleep"}


def cost(treatment: Treatment, index: int, block: int) -> TrialResult:
    """1 s alone; NEIGHBOUR doubles it at full intensity; IDLE costs nothing."""
    on = treatment.arm is Arm.WITH and treatment.stopped != NEIGHBOUR
    duration_s = 1 + (treatment.level_pct / 100 if on else 0.0)
    ran = {NEIGHBOUR: duration_s * treatment.level_pct / 100} if on else {}
    jitter = 1 + 0.001 * (index % 3)
    return trial(treatment.arm, duration_s * jitter, index=index, block=block, others_run_s=ran)


def run(design: Design, fail_at: int = 10**6, error: BaseException | None = None) -> Rounds:
    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if index == fail_at and error:
            raise error
        return cost(treatment, index, block)

    return run_rounds(design, 9, behave, Observer())


treatments = st.lists(st.floats(1, 99), min_size=1, max_size=5, unique=True).map(
    lambda levels: (ALONE, *(at_level(level) for level in levels))
)


@given(treatments, st.integers(1, 9), st.text(max_size=5))
def test_every_round_holds_every_treatment_and_every_second_runs_backwards(
    chosen: tuple[Treatment, ...], rounds: int, seed: str
) -> None:
    found = list(orders(Design("", chosen, rounds, seed)))
    assert len(found) == rounds
    assert all(sorted(map(str, order)) == sorted(map(str, chosen)) for order in found)
    assert all(second == first[::-1] for first, second in list(pairwise(found))[::2])
    assert found == list(orders(Design("", chosen, rounds, seed)))


def test_the_order_depends_on_the_seed() -> None:
    chosen = sweep_design([10, 20, 30, 40], 4, 1).treatments
    assert len({tuple(next(orders(Design("", chosen, 1, str(seed))))) for seed in range(20)}) > 10


def test_trials_are_numbered_on_and_void_ones_repeated_and_counted() -> None:
    left = ["it died", "it died again"]

    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if treatment.stopped and left:
            return trial(treatment.arm, 9.0, index=index, block=block, void=left.pop())
        return cost(treatment, index, block)

    rounds = run_rounds(confirmation([NEIGHBOUR], 8, 1), 9, behave, Observer())
    assert [each.index for each in rounds.log.trials] == list(range(9, 9 + 16 + 2))
    assert sorted(rounds.discarded) == ["it died", "it died again"]
    assert len(rounds.whole) == 8
    assert all(each.void is None for trials in rounds.whole for each in trials.values())


@pytest.mark.parametrize(("fail_at", "whole"), [(9, 0), (12, 1), (13, 1), (15, 2)])
def test_a_signal_keeps_the_complete_rounds(fail_at: int, whole: int) -> None:
    rounds = run(confirmation([NEIGHBOUR, IDLE], 4, 1), fail_at, Interrupted())
    assert (len(rounds.whole), rounds.partial, rounds.broken) == (whole, True, None)


def test_a_failure_keeps_them_too_and_is_told() -> None:
    rounds = run(confirmation([NEIGHBOUR, IDLE], 4, 1), 13, JostleError("the cgroup /x is gone"))
    assert (len(rounds.whole), rounds.partial, rounds.broken) == (1, False, "the cgroup /x is gone")


def test_each_suspect_gets_its_own_effect() -> None:
    rounds = run(confirmation([NEIGHBOUR, IDLE], 9, 1))
    guilty, innocent = confirmations(rounds, NAMES, 5.0)
    assert (guilty.cgroup, guilty.pairs) == (NEIGHBOUR, 9)
    assert guilty.slowdown_pct == pytest.approx(100, abs=1)
    assert innocent.slowdown_pct == pytest.approx(0, abs=1)
    assert guilty.ci95_pct is not None
    assert innocent.ci95_pct is not None
    assert guilty.ci95_pct[0] > 90
    assert innocent.ci95_pct[0] <= 0 <= innocent.ci95_pct[1]
    words = describe_confirmed((guilty, innocent))
    assert "stopping neighbour-1 stress-ng alone confirms it (its own effect +100.0 %" in words


def test_intervals_are_wider_for_more_suspects() -> None:
    rounds = run(confirmation([NEIGHBOUR, IDLE], 4, 1))
    one = confirmations(rounds, {NEIGHBOUR: "a"}, 5.0)[0].ci95_pct
    two = confirmations(rounds, NAMES, 5.0)[0].ci95_pct
    assert one is not None
    assert two is not None
    assert two[0] < one[0] < one[1] < two[1]


def test_without_a_round_nothing_is_confirmed() -> None:
    assert confirmations(run(confirmation([NEIGHBOUR], 4, 1), 9, Interrupted()), NAMES, 5.0) == ()


def test_suspects_whose_intervals_hold_0_are_not_confirmed() -> None:
    unsure = Confirmation("/a", "a", 3.0, (-1.0, 7.0), 4)
    assert describe_confirmed([unsure]) == "stopping each suspect alone confirms none of them"
    assert describe_confirmed([Confirmation("/a", "a", 3.0, None, 1)]).endswith("none of them")
    sure = [Confirmation("/a", "a", 3.0, (1.0, 7.0), 4), Confirmation("/b", "b", 2.0, (1.0, 7.0), 4)]
    assert describe_confirmed(sure).endswith(", and 1 more")


def test_where_only_failures_are_the_interference_there_is_no_time_to_confirm() -> None:
    both = [NEIGHBOUR, "/other"]
    assert not is_worth_confirming(Findings(Conclusion.INTERFERENCE), both)
    unseen = Findings(Conclusion.INTERFERENCE, (Cause(CauseKind.CPU_WAIT, 100.0),))
    assert is_worth_confirming(unseen, both)
    assert not is_worth_confirming(unseen, [NEIGHBOUR])


def test_a_suspect_is_stopped_beside_all_the_others() -> None:
    assert stopped("/a") != BESIDE_ALL
    assert str(stopped("/a/b")) == "with all but b"
    assert confirmation(["/a"], 1, 1).rounds == FEWEST_TO_CONFIRM


def test_the_sweep_gives_each_level_its_cost_and_the_largest_harmless_one() -> None:
    levels = [2.0, 4.0, 50.0, 100.0]
    result = sweep_result(run(sweep_design(levels, 6, 1)), levels, [NEIGHBOUR], 2.0, 5.0)
    assert result is not None
    assert [point.level_pct for point in result.points] == levels
    assert [point.slowdown_pct for point in result.points] == pytest.approx(levels, abs=0.5)
    assert [point.used_cpus for point in result.points] == pytest.approx([0.02, 0.04, 0.5, 1.0], rel=0.01)
    fitted = [point.fitted_pct or 0 for point in result.points]
    assert fitted == sorted(fitted)
    assert result.sentence == "up to 0.04 CPUs of the neighbours cost less than 5 % (level 4 % of 2 CPUs)"


def test_a_sweep_without_a_harmless_level_says_so() -> None:
    result = sweep_result(run(sweep_design([50, 100], 4, 1)), [50, 100], [NEIGHBOUR], 2.0, 5.0)
    assert result is not None
    assert result.sentence.startswith("even 0.50 CPUs of the neighbours, the lowest level of 50 % of 2 CPUs")


def test_the_level_0_is_shown_only_when_asked_for_and_costs_nothing() -> None:
    asked = sweep_result(run(sweep_design([0, 50], 4, 1)), [0, 50], [NEIGHBOUR], 2.0, 5.0)
    assert asked is not None
    first = asked.points[0]
    assert (first.level_pct, first.slowdown_pct, first.used_cpus) == (0, 0, 0)


def test_one_round_is_no_sweep() -> None:
    rounds = run(sweep_design([50], 4, 1), 9 + 2, Interrupted())
    assert len(rounds.whole) == 1
    assert sweep_result(rounds, [50], [NEIGHBOUR], 2.0, 5.0) is None


def test_the_whole_level_is_the_treatment_of_the_experiment_itself() -> None:
    assert at_level(100.0) == BESIDE_ALL
    assert at_level(0.0) == ALONE
    assert sweep_design([0, 50], 4, 1).treatments == (ALONE, at_level(50))
