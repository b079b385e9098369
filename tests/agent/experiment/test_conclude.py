"""From constructed trials to the document."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.analysis.observation import TrialResult
from agent.documents.metric import Metric, Sample
from agent.documents.verdict import CauseKind, Conclusion, SelfCost, Verdict
from agent.documents.verdict_parts import Arm, Confirmation, Host, SweepPoint
from agent.experiment.conclude import conclude
from agent.experiment.follow_ups import DoseResponse
from agent.experiment.plan import Plan
from agent.experiment.runner import Log, Outcome, Rounds, better, complete_pairs
from agent.experiment.session import Session
from agent.experiment.victim_metrics import parse_spec
from agent.experiment.victim_metrics.figures import ERRORS
from agent.statistics.decision import decide
from agent.statistics.design import plan_looks
from collectors.windows.sched import CgroupWindow
from tests.agent.analysis.trials import NEIGHBOUR, OTHER, VICTIM, cgroup, trial

HOST = Host("node", "Linux 6.1", 2, "1 socket", "v2", "abc")
RATE = Metric("requests", "1/s", "higher")


def session(trials: Sequence[TrialResult], *, partial: bool = False, failed: tuple[str, ...] = ()) -> Session:
    plan = Plan("true", ("sleep 9",), (parse_spec("duration"),), 4, 24, 1, 5.0, 600.0, (0,))
    decision = decide(complete_pairs(trials), better(trials), 5.0, plan_looks(4, 24))
    return Session(
        plan=plan,
        outcome=Outcome(tuple(trials), failed, decision, partial),
        host=HOST,
        started="2026-03-01T03:12:00+00:00",
        duration_s=9.0,
        victim_cgroup=VICTIM,
        neighbours={NEIGHBOUR: "neighbour-1 sleep"},
        self_cost=SelfCost(200.0, 1000.0, 0.1),
    )


def concluded(ended: Session) -> Verdict:
    assert ended.outcome.decision is not None
    return conclude(ended, ended.outcome.decision, ("jostle", "experiment"), ())


def pairs_of(with_: CgroupWindow, duration_s: float, count: int = 4) -> list[TrialResult]:
    """Pairs whose victim runs 1 s alone, and beside its neighbour as given."""
    found = []
    for block in range(count):
        jitter = 1 + 0.001 * block
        found.append(trial(Arm.WITHOUT, jitter, index=2 * block + 1, block=block, victim=cgroup(1.0)))
        found.append(trial(Arm.WITH, duration_s * jitter, index=2 * block + 2, block=block, victim=with_))
    return found


BLAMED = pairs_of(cgroup(1.0, {NEIGHBOUR: 0.9, OTHER: 0.1}), 2.0)


def test_a_neighbour_that_the_victim_waits_for_is_interference() -> None:
    verdict = concluded(session(BLAMED))
    assert verdict.verdict is Conclusion.INTERFERENCE
    assert verdict.causes[0].cause is CauseKind.CPU_WAIT
    assert [(a.cgroup, a.name) for a in verdict.aggressors] == [
        (NEIGHBOUR, "neighbour-1 sleep"),
        (OTHER, "cron.service"),
    ]
    assert verdict.aggressors[0].share_pct == pytest.approx(90, abs=0.5)
    assert "90 % of the extra time falls on neighbour-1 sleep (cpu-wait: seen)" in verdict.reason
    assert verdict.quality.ok


@pytest.mark.parametrize("own", [cgroup(1.0, self_s=1.0), cgroup(1.0, throttled_s=1.0)])
def test_a_slowdown_by_own_threads_or_own_quota_is_self_inflicted(own: CgroupWindow) -> None:
    verdict = concluded(session(pairs_of(own, 2.0)))
    assert verdict.verdict is Conclusion.SELF_INFLICTED
    assert verdict.aggressors == ()
    assert verdict.effect is not None
    assert verdict.effect.slowdown_pct == pytest.approx(100, abs=1)


def test_own_doing_below_half_of_the_loss_does_not_excuse_the_neighbours() -> None:
    verdict = concluded(session(pairs_of(cgroup(1.0, {NEIGHBOUR: 0.6}, self_s=0.4), 2.0)))
    assert verdict.verdict is Conclusion.INTERFERENCE


def test_without_a_slowdown_there_are_no_causes_and_nobody_is_blamed() -> None:
    verdict = concluded(session(pairs_of(cgroup(1.0, {NEIGHBOUR: 0.001}), 0.999, 24)))
    assert verdict.verdict is Conclusion.NO_INTERFERENCE
    assert verdict.causes == ()
    assert verdict.aggressors == ()


def test_a_single_pair_gives_reasons_for_what_it_cannot_say() -> None:
    verdict = concluded(session(BLAMED[:2]))
    assert verdict.verdict is Conclusion.INCONCLUSIVE
    assert verdict.unavailable.keys() >= {"effect.ci95_pct", "effect.noise_floor_pct"}


def test_void_and_failed_trials_are_counted_as_discarded_and_told() -> None:
    void = trial(Arm.WITH, 0.3, index=3, block=1, void="neighbour-1 sleep exited with code 1")
    verdict = concluded(session([*BLAMED, void], failed=("the victim exited with code 3",)))
    assert verdict.quality.discarded == 2
    assert not verdict.quality.ok
    assert set(verdict.quality.warnings) >= {void.void, "the victim exited with code 3"}
    assert verdict.pairs is not None
    assert len(verdict.pairs) == 4


def test_an_interrupted_experiment_says_so() -> None:
    verdict = concluded(session(BLAMED[:4], partial=True))
    assert verdict.partial
    assert any("interrupted" in warning for warning in verdict.quality.warnings)


def test_waiting_that_is_charged_to_nobody_is_a_warning() -> None:
    verdict = concluded(session(pairs_of(cgroup(1.0, {NEIGHBOUR: 0.5}, unattributed_s=0.5), 2.0)))
    assert verdict.quality.blame_residual_pct == pytest.approx(50)
    assert "50 % of the victim's waiting is charged to nobody" in verdict.quality.warnings


def test_a_higher_rate_is_better() -> None:
    trials = [
        trial(arm, 1.0, block=block, value=(50.0 if arm is Arm.WITH else 100.0) + block, metric=RATE)
        for block in range(4)
        for arm in (Arm.WITHOUT, Arm.WITH)
    ]
    verdict = concluded(session(trials))
    assert verdict.verdict is Conclusion.INTERFERENCE
    assert verdict.pairs is not None
    assert verdict.pairs[0].slowdown_pct == pytest.approx(100)


def test_failures_beside_the_neighbours_make_a_faster_verdict_doubtful() -> None:
    def with_errors(result: TrialResult) -> TrialResult:
        errors = 610_000.0 if result.arm is Arm.WITH else 0.0
        seen = replace(result.seen, samples=(*result.seen.samples, Sample(ERRORS, errors)))
        return replace(result, seen=seen)

    fast = [
        trial(arm, index=2 * block + place, block=block, metric=RATE, value=value * (1 + 0.001 * block))
        for block in range(4)
        for place, (arm, value) in enumerate(((Arm.WITHOUT, 1000.0), (Arm.WITH, 1500.0)), 1)
    ]
    assert concluded(session(fast)).quality.ok
    verdict = concluded(session(list(map(with_errors, fast))))
    assert not verdict.quality.ok
    assert any("errors 0 without them, 2,440,000 with them" in text for text in verdict.quality.warnings)
    assert verdict.metrics == ()  # a count of failures has no slowdown
    assert verdict.trials is not None
    assert [entry.metrics["errors"] for entry in verdict.trials[:2]] == [0, 610_000]


def test_the_document_can_be_written_and_read_again() -> None:
    verdict = concluded(session(BLAMED))
    assert Verdict.from_document(json.loads(json.dumps(verdict.to_document()))) == verdict


CONFIRMED = (Confirmation(NEIGHBOUR, "neighbour-1 sleep", 98.0, (90.0, 106.0), 4),)


def test_what_was_confirmed_is_in_the_document_and_the_reason() -> None:
    verdict = concluded(replace(session(BLAMED), further=(Rounds((), Log()),), confirmed=CONFIRMED))
    assert verdict.confirmed == CONFIRMED
    assert "; stopping neighbour-1 sleep alone confirms it (its own effect +98.0 %" in verdict.reason
    assert verdict.quality.ok
    assert Verdict.from_document(json.loads(json.dumps(verdict.to_document()))) == verdict


def test_the_sweep_is_in_the_document_and_ends_the_reason() -> None:
    points = (SweepPoint(50.0, 40.0, (30.0, 50.0), 40.0, 0.9),)
    verdict = concluded(
        replace(session(BLAMED), sweep=DoseResponse(points, "up to 0.2 CPUs cost less than 5 %"))
    )
    assert verdict.sweep == points
    assert verdict.reason.endswith("; up to 0.2 CPUs cost less than 5 %.")
    assert Verdict.from_document(json.loads(json.dumps(verdict.to_document()))) == verdict


def test_rounds_that_were_cut_short_are_told_and_their_void_trials_counted() -> None:
    void = trial(Arm.WITH, 0.3, index=9, void="it died")
    rounds = Rounds((), Log(9, [void], ["the victim exited with code 3"]), partial=True)
    verdict = concluded(replace(session(BLAMED), further=(rounds,), confirmed=()))
    assert verdict.partial
    assert verdict.confirmed is None
    assert verdict.quality.discarded == 2
    assert {"it died", "the victim exited with code 3"} < set(verdict.quality.warnings)
    assert "confirms" not in verdict.reason


def test_rounds_that_broke_leave_the_verdict_and_a_warning() -> None:
    verdict = concluded(replace(session(BLAMED), further=(Rounds((), Log(), broken="/x is gone"),)))
    assert verdict.verdict is Conclusion.INTERFERENCE
    assert not verdict.partial
    assert "ended early: /x is gone" in verdict.quality.warnings


def test_a_watched_victim_is_named_and_its_limits_are_told() -> None:
    ended = session(BLAMED)
    plan = replace(ended.plan, victim=None, victim_cgroup="/a", metrics=(parse_spec("stretch"),))
    verdict = concluded(replace(ended, plan=plan))
    assert verdict.experiment is not None
    assert verdict.experiment.victim == "/a"
    assert any("caches, memory or disks" in warning for warning in verdict.quality.warnings)
