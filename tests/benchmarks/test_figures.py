from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead_figures import (
    EMPTY,
    OURS,
    REFERENCE,
    Visit,
    document,
    median_of,
    net_ns,
    ratio,
    with_slowdown,
)
from benchmarks.storms import Pass


def visit(**figures: float | None) -> Visit:
    names: dict[str, Any] = dict.fromkeys(Visit.__slots__)
    return Visit(**(names | figures))


SECONDS = st.floats(0.01, 100)


@given(SECONDS, SECONDS, st.floats(-50, 500))
def test_a_steady_drift_is_no_slowdown(first_s: float, last_s: float, slowdown_pct: float) -> None:
    during_s = fmean([first_s, last_s]) * (1 + slowdown_pct / 100)
    before, during, after = (Pass(s, s) for s in (first_s, during_s, last_s))
    found = with_slowdown(visit(), before, during, after)
    assert found.slowdown_pct == pytest.approx(slowdown_pct, abs=1e-6)
    assert found.slowdown_wall_pct == pytest.approx(slowdown_pct, abs=1e-6)


def test_cpu_time_and_wall_time_are_kept_apart() -> None:
    found = with_slowdown(visit(), Pass(1.0, 1.0), Pass(3.0, 1.1), Pass(1.0, 1.0))
    assert found.slowdown_pct == pytest.approx(10)
    assert found.slowdown_wall_pct == pytest.approx(200)


def test_a_pass_that_was_disturbed_leaves_no_figure() -> None:
    assert with_slowdown(visit(), Pass(1, 1), None, Pass(1, 1)).slowdown_pct is None


def test_the_median_is_over_what_was_measured() -> None:
    assert median_of([3.0, None, 1.0, 2.0, 100.0]) == 2.5
    assert median_of([None]) is None


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(1.0, 4.0, 0.25), (None, 4.0, None), (1.0, None, None), (1.0, 0.0, None), (5.0, -1.0, None)],
)
def test_a_ratio_is_only_of_what_is_known(
    numerator: float | None, denominator: float | None, expected: float | None
) -> None:
    assert ratio(numerator, denominator) == expected


def test_the_floor_counts_once_per_call() -> None:
    floor: dict[str, float | None] = {"ns_per_switch": 30.0, "calls_per_switch": 1.0}
    assert net_ns({"ns_per_switch": 230.0, "calls_per_switch": 1.5}, floor) == 185
    assert net_ns({"ns_per_switch": 20.0, "calls_per_switch": 1.0}, floor) == 0
    assert net_ns({"ns_per_switch": None, "calls_per_switch": None}, floor) is None
    assert net_ns({"ns_per_switch": 230.0, "calls_per_switch": 1.5}, None) is None


def small_document() -> dict[str, Any]:
    pipe = {
        OURS: [
            visit(ns_per_switch=ns, calls_per_switch=1.0, slowdown_pct=4.0, rss_mb=30.0)
            for ns in (50, 60, 900)
        ],
        REFERENCE: [visit(ns_per_switch=240.0, calls_per_switch=1.5, slowdown_pct=20.0, rss_mb=14.0)],
        "perf sched": [visit(slowdown_pct=60.0)],
        EMPTY: [visit(ns_per_switch=30.0, calls_per_switch=1.0, slowdown_pct=1.0)],
    }
    cgroups = {OURS: [visit(ns_per_switch=150.0, rss_mb=40.0)]}
    return document(
        {"pipe": pipe, "cgroups": cgroups},
        ([1.2, 1.0, 1.1], [0.3, 0.4, 0.5]),
        {"bpftrace": "not installed"},
        {},
    )


def test_the_headline_is_the_first_storm() -> None:
    result = small_document()
    assert result["ns_per_switch"] == {OURS: 60, REFERENCE: 240, "perf sched": None, EMPTY: 30}
    assert result["ratio_vs_runqlat"] == 0.25
    assert result["slowdown_pct"] == {OURS: 4, REFERENCE: 20, "perf sched": 60, EMPTY: 1}
    assert result["rss_mb"] == 40
    assert (result["first_sample_s"], result["first_sample_kept_s"]) == (1.1, 0.4)
    assert result["missing"] == {"bpftrace": "not installed"}


def test_each_storm_has_its_ratios() -> None:
    storms = small_document()["storms"]
    assert storms["pipe"]["net_ratio_vs_runqlat"] == pytest.approx((60 - 30) / (240 - 45))
    assert storms["pipe"]["slowdown_ratio_vs_runqlat"] == 0.2
    assert storms["cgroups"]["ratio_vs_runqlat"] is None


def test_every_visit_is_kept() -> None:
    kept = [one["ns_per_switch"] for one in small_document()["visits"]["pipe"][OURS]]
    assert kept == [50, 60, 900]
