"""The rates, against counts made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.selftest import Rate, SelftestFinding
from agent.documents.verdict import CauseKind, Conclusion
from agent.selftest.score import (
    CAUSE,
    CLEARED,
    CULPRIT,
    FALSE_POSITIVES,
    TRUE_POSITIVES,
    rates,
    tallies,
    trial_noise_pct,
)
from tests.agent.selftest.findings import EFFECT, NOTHING, OWN, finding

LABELS = (EFFECT, OWN, NOTHING)


def counts(*findings: SelftestFinding) -> dict[str, tuple[int, int]]:
    return {rate.name: (rate.hits, rate.trials) for rate in rates(LABELS, findings)}


def test_all_right() -> None:
    found = counts(finding(EFFECT), finding(OWN), finding(NOTHING))
    assert found == {
        TRUE_POSITIVES: (2, 2),
        FALSE_POSITIVES: (0, 1),
        CLEARED: (1, 1),
        CULPRIT: (1, 1),
        CAUSE: (2, 2),
    }


def test_the_wrong_kind_of_alarm_is_no_true_positive() -> None:
    assert counts(finding(OWN, Conclusion.INTERFERENCE))[TRUE_POSITIVES] == (0, 1)


@pytest.mark.parametrize("verdict", [Conclusion.INTERFERENCE, Conclusion.SELF_INFLICTED])
def test_any_alarm_over_nothing_is_a_false_positive(verdict: Conclusion) -> None:
    found = counts(finding(NOTHING, verdict))
    assert (found[FALSE_POSITIVES], found[CLEARED]) == ((1, 1), (0, 1))


def test_inconclusive_is_no_alarm_and_no_all_clear() -> None:
    found = counts(finding(NOTHING, Conclusion.INCONCLUSIVE), finding(EFFECT, Conclusion.INCONCLUSIVE))
    assert found == {
        TRUE_POSITIVES: (0, 1),
        FALSE_POSITIVES: (0, 1),
        CLEARED: (0, 1),
        CULPRIT: (0, 0),
        CAUSE: (0, 0),
    }


def test_cause_and_culprit_count_where_something_was_found() -> None:
    found = counts(finding(EFFECT, cause=CauseKind.STEAL), finding(EFFECT, culprit="neighbour-2 idle"))
    assert (found[CAUSE], found[CULPRIT]) == ((1, 2), (1, 2))


def test_a_failed_experiment_is_never_right() -> None:
    found = counts(finding(EFFECT, error="no"), finding(NOTHING, error="no"))
    assert (found[TRUE_POSITIVES], found[FALSE_POSITIVES], found[CLEARED]) == ((0, 1), (0, 1), (0, 1))


def test_a_rate_of_nothing_is_unavailable() -> None:
    assert all((rate.pct, rate.ci95_pct) == (None, None) for rate in rates(LABELS, []))


def test_a_rate_has_the_exact_interval() -> None:
    found = {rate.name: rate for rate in rates(LABELS, [finding(NOTHING)] * 56)}[FALSE_POSITIVES]
    # Clopper and Pearson's upper bound at 0 of n is 1 - 0.025 ** (1 / n).
    assert found.ci95_pct == pytest.approx((0.0, 100 * (1 - 0.025 ** (1 / 56))))


verdicts = st.sampled_from([*Conclusion])


@given(st.lists(st.builds(finding, st.sampled_from(LABELS), verdicts)))
def test_rates_count_no_experiment_twice(findings: list[SelftestFinding]) -> None:
    found: dict[str, Rate] = {rate.name: rate for rate in rates(LABELS, findings)}
    assert found[TRUE_POSITIVES].trials + found[FALSE_POSITIVES].trials == len(findings)
    assert found[FALSE_POSITIVES].hits + found[CLEARED].hits <= found[CLEARED].trials


def test_a_tally_per_scenario_that_was_run() -> None:
    found = tallies(LABELS, [finding(EFFECT), finding(EFFECT, Conclusion.INCONCLUSIVE), finding(NOTHING)])
    assert [tally.scenario for tally in found] == ["spin", "sleeper"]
    assert found[0].verdicts == {"interference": 1, "inconclusive": 1}
    assert (found[0].right_verdict, found[0].right_cause, found[0].right_culprit) == (1, 1, 1)
    assert (found[1].right_cause, found[1].right_culprit) == (None, None)
    assert found[0].median_pairs == 4


def test_the_noise_of_trials_is_robust() -> None:
    alike = [1.0 + 0.01 * k for k in (-2, -1, 0, 1, 2)]
    noise_pct = trial_noise_pct(alike)
    assert noise_pct is not None
    assert noise_pct == pytest.approx(1.4826, abs=0.02)
    assert trial_noise_pct([*alike, 3.0]) == pytest.approx(noise_pct, abs=1.0)
    assert trial_noise_pct([1.0]) is None
