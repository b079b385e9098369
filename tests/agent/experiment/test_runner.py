"""The order of an experiment, with trials that only pretend to run."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.analysis.observation import TrialResult
from agent.documents.verdict_parts import Arm
from agent.experiment.around import TrialVoidedError
from agent.experiment.design import ALONE, Treatment
from agent.experiment.plan import Plan
from agent.experiment.runner import (
    MOST_VOID_IN_A_ROW,
    Observer,
    Outcome,
    run_experiment,
    treatments_of,
    valid_blocks,
)
from agent.experiment.trial import VictimFailedError, VictimTimeoutError
from agent.experiment.victim_metrics import MetricNotFoundError, parse_spec
from agent.sandbox.interrupts import Interrupted
from agent.statistics.decision import Decision
from agent.statistics.design import block_orders, plan_looks
from probes.errors import JostleError
from tests.agent.analysis.trials import trial

Behaviour = Callable[[int, int, Treatment], TrialResult]


def plan(pairs: int = 4, max_pairs: int = 24, seed: int = 7) -> Plan:
    return Plan(
        victim="true",
        neighbours=("true",),
        metrics=(parse_spec("duration"),),
        pairs=pairs,
        max_pairs=max_pairs,
        seed=seed,
        threshold_pct=5.0,
        timeout_s=600.0,
        cpus=None,
    )


class Watcher(Observer):
    """An observer that remembers."""

    def __init__(self) -> None:
        self.started: list[tuple[int, int, Treatment]] = []
        self.ended: list[TrialResult] = []
        self.failed: list[tuple[int, str]] = []
        self.looks: list[tuple[int, int]] = []

    def trial_started(self, index: int, block: int, treatment: Treatment) -> None:
        self.started.append((index, block, treatment))

    def trial_ended(self, result: TrialResult) -> None:
        self.ended.append(result)

    def trial_failed(self, index: int, why: str) -> None:
        self.failed.append((index, why))

    def looked(self, decision: Decision, planned_pairs: int) -> None:
        self.looks.append((decision.effect.pairs, planned_pairs))


def slowed(index: int, block: int, treatment: Treatment, by: float = 2.0) -> TrialResult:
    """A victim of 1 s, a little different in each trial, that the neighbours slow to `by`."""
    duration_s = (by if treatment.arm is Arm.WITH else 1.0) * (1 + 0.001 * (index % 5))
    return trial(treatment.arm, duration_s, index=index, block=block)


def unclear(index: int, block: int, treatment: Treatment) -> TrialResult:
    """Half of the pairs twice as slow, half twice as fast."""
    fast = (block % 2 == 0) == (treatment.arm is Arm.WITH)
    return trial(treatment.arm, 1.0 if fast else 2.0, index=index, block=block)


def run(behaviour: Behaviour, asked: Plan | None = None) -> tuple[Outcome, Watcher]:
    watcher = Watcher()
    return run_experiment(asked or plan(), behaviour, watcher), watcher


def failing(times: int, error: Exception, then: Behaviour = slowed) -> Behaviour:
    """Behaves from the warm-up on, but raises in the first trials that have neighbours."""
    left = [error] * times

    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if treatment.arm is Arm.WITH and left:
            raise left.pop()
        return then(index, block, treatment)

    return behave


def test_the_order_comes_from_the_seed() -> None:
    for seed in range(5):
        outcome, _ = run(unclear, plan(pairs=4, max_pairs=8, seed=seed))
        expected = [each.arm for order in block_orders(seed, 8) for each in treatments_of(order)]
        assert [result.arm for result in outcome.trials] == expected


def test_the_warm_up_is_without_neighbours_and_does_not_count() -> None:
    outcome, watcher = run(slowed)
    assert watcher.started[0] == (0, 0, ALONE)
    assert [result.index for result in outcome.trials] == list(range(1, 9))


def test_as_many_warm_ups_as_asked_for() -> None:
    outcome, watcher = run(slowed, replace(plan(), warmup=3))
    assert watcher.started[:4] == [(0, 0, ALONE), (0, 1, ALONE), (0, 2, ALONE), watcher.started[3]]
    assert [result.index for result in outcome.trials] == list(range(1, 9))


def test_it_stops_at_the_first_look_that_decides() -> None:
    outcome, watcher = run(slowed)
    assert outcome.decision is not None
    assert outcome.decision.verdict == "interference"
    assert watcher.looks == [(4, 4)]
    assert not outcome.partial


def test_undecided_it_looks_as_planned_and_ends_at_the_most_pairs() -> None:
    outcome, watcher = run(unclear, plan(pairs=4, max_pairs=10))
    looks = plan_looks(4, 10).looks
    assert [pairs for pairs, _ in watcher.looks] == list(looks)
    assert [planned for _, planned in watcher.looks] == [*looks[1:], 10]
    assert outcome.decision is not None
    assert outcome.decision.verdict == "inconclusive"
    assert len(outcome.trials) == 20


def test_a_void_trial_is_kept_but_repeated_in_its_block_and_arm() -> None:
    voids = ["neighbour-1 true exited with code 1", "again"]

    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if treatment.arm is Arm.WITH and voids:
            return trial(treatment.arm, 99.0, index=index, block=block, void=voids.pop(0))
        return slowed(index, block, treatment)

    outcome, watcher = run(behave)
    assert [result.void for result in outcome.trials].count(None) == 8
    assert len(outcome.trials) == 10
    assert {without.block for without, _ in valid_blocks(outcome.trials)} == {0, 1, 2, 3}
    assert all(with_.seen.duration_s < 99 for _, with_ in valid_blocks(outcome.trials))
    indices = [index for index, _, _ in watcher.started]
    assert indices == list(range(len(indices)))


@pytest.mark.parametrize(
    "error",
    [VictimFailedError("the victim exited with 3"), MetricNotFoundError("no figure"), TrialVoidedError("75")],
)
def test_a_failed_trial_is_repeated_and_told(error: JostleError) -> None:
    outcome, watcher = run(failing(2, error))
    assert outcome.failed == (str(error), str(error))
    assert [why for _, why in watcher.failed] == [str(error), str(error)]
    assert len({index for index, _ in watcher.failed}) == 2
    assert outcome.decision is not None
    assert outcome.decision.effect.pairs == 4


@pytest.mark.parametrize("times", [MOST_VOID_IN_A_ROW, 99])
def test_a_victim_that_keeps_failing_ends_it(times: int) -> None:
    with pytest.raises(JostleError, match="3 trials with the neighbours failed, one after the other: broken"):
        run(failing(times, VictimFailedError("broken")))


def test_a_neighbour_that_never_stays_ends_it() -> None:
    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        return trial(
            treatment.arm,
            1.0,
            index=index,
            block=block,
            void="it died" if treatment.arm is Arm.WITH else None,
        )

    with pytest.raises(JostleError, match="it died"):
        run(behave)


def test_a_victim_that_takes_too_long_is_not_tried_again() -> None:
    with pytest.raises(VictimTimeoutError):
        run(failing(1, VictimTimeoutError("too long")))


def test_a_victim_that_hangs_beside_the_neighbours_again_and_again_is_harmed_by_them() -> None:
    """It worked twice in either arm; then it takes too long there each time, and never alone."""

    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if block >= 2 and treatment.arm is Arm.WITH:
            raise VictimTimeoutError("too long")
        return trial(treatment.arm, 1.0 + block / 1000, index=index, block=block)

    outcome, watcher = run(behave, plan(6, 24))
    assert outcome.decision is not None
    assert (outcome.decision.verdict, outcome.decision.by_failures) == ("interference", True)
    assert outcome.decision.effect.pairs == 2
    assert outcome.decision.reason[0].startswith("trials that failed: 0 without the neighbours")
    # Each once: none was tried again in its place.
    assert len(watcher.failed) == len(outcome.failed) == outcome.trials[-1].block - 1


def test_a_victim_that_hangs_in_both_arms_is_not_harmed_by_the_neighbours() -> None:
    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if block in {2, 5} and treatment.arm is (Arm.WITH if block == 2 else Arm.WITHOUT):
            raise VictimTimeoutError("too long")
        return trial(treatment.arm, 1.0 + block / 1000, index=index, block=block)

    outcome, _ = run(behave, plan(6, 6))
    assert outcome.decision is not None
    assert outcome.decision.verdict == "inconclusive"
    (surplus,) = outcome.decision.failures
    assert (surplus.without, surplus.with_) == (1, 1)


def test_a_victim_that_hangs_alone_three_times_does_not_work() -> None:
    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if block and treatment.arm is Arm.WITHOUT:
            raise VictimTimeoutError("too long")
        return trial(treatment.arm, 1.0, index=index, block=block)

    with pytest.raises(VictimTimeoutError):
        run(behave, plan(6, 6))


def test_what_fails_in_the_warm_up_is_raised_at_once() -> None:
    def behave(*where: object) -> TrialResult:
        raise VictimFailedError(f"run {where[0]}")

    with pytest.raises(VictimFailedError, match="run 0"):
        run(behave)


@pytest.mark.parametrize(("at", "pairs"), [(0, None), (1, None), (2, None), (3, 1), (4, 1), (5, 2)])
def test_interrupted_it_keeps_the_complete_pairs(at: int, pairs: int | None) -> None:
    def behave(index: int, block: int, treatment: Treatment) -> TrialResult:
        if index == at:
            raise Interrupted
        return slowed(index, block, treatment)

    outcome, _ = run(behave)
    assert outcome.partial
    assert len(outcome.trials) == max(0, at - 1)
    assert (outcome.decision.effect.pairs if outcome.decision else None) == pairs
