"""Several metrics at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics import TrialPair, decide, holm, plan_looks, secondary_effects, slowdown

P_VALUES = st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8)


def test_the_textbook_example() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(adjusted) == ["a", "b", "c", "d"]


@given(P_VALUES)
def test_adjusted_values_lie_between_the_raw_and_bonferronis(p_values: dict[str, float]) -> None:
    for name, adjusted in holm(p_values).items():
        assert p_values[name] <= adjusted <= min(1, len(p_values) * p_values[name])


@given(P_VALUES)
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: dict[str, float]) -> None:
    rejected = set()
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if (len(p_values) - rank) * p_values[name] > 0.05:
            break
        rejected.add(name)
    assert {name for name, adjusted in holm(p_values).items() if adjusted <= 0.05} == rejected


def test_secondary_intervals_share_the_error_of_the_look() -> None:
    plan = plan_looks(8, 8)
    pairs = [TrialPair(1.0, 1.3 + 0.01 * (i % 5)) for i in range(8)]
    effects = secondary_effects({"p99": (pairs, "lower"), "rate": (pairs, "higher")}, 5, plan)
    assert effects["p99"].ci95_pct == slowdown(pairs, "lower", 0.025).ci_pct
    assert effects["rate"].slowdown_pct < 0 < effects["p99"].slowdown_pct
    assert effects["p99"].p_value == pytest.approx(2 * decide(pairs, "lower", 5, plan).effect.p_value)


def test_no_secondary_metrics_are_no_effects() -> None:
    assert secondary_effects({}, 5, plan_looks(4, 8)) == {}
