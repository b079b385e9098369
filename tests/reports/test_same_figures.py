"""One verdict, three formats, the same figures."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.documents.metric import Better
from agent.documents.verdict import Aggressor, Cause, CauseKind, Effect, SelfCost, Verdict
from agent.documents.verdict_parts import SecondaryMetric
from reports import json_document, markdown, text
from reports.sections.blame import blame_report
from reports.sections.verdict import full_report, verdict_report
from tests.reports.samples import BLAMES, INTERFERENCE, VERDICTS

CONCLUSIONS = ("effect", "causes", "aggressors", "quality", "self_cost", "metrics", "sweep", "confirmed")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")

figure = st.floats(0.001, 1e9)
pct = st.floats(-300, 3000)
share = st.floats(0, 100)
p_values = st.floats(0.0001, 1)
intervals = st.tuples(pct, pct).map(lambda pair: (min(pair), max(pair)))
effects = st.builds(
    Effect,
    metric=st.just("m"),
    unit=st.just("s"),
    better=st.sampled_from(get_args(Better)),
    without=figure,
    with_=figure,
    slowdown_pct=pct,
    ci95_pct=intervals,
    p_value=p_values,
    noise_floor_pct=pct,
    threshold_pct=share,
    pairs=st.integers(1, 5000),
)
causes = share.map(
    lambda pct: (Cause(CauseKind.CPU_WAIT, pct, (0, 100)), Cause(CauseKind.UNEXPLAINED, 100 - pct))
)
metrics = st.builds(
    SecondaryMetric,
    name=st.just("m"),
    unit=st.just("s"),
    better=st.just("lower"),
    without=figure,
    with_=figure,
    slowdown_pct=pct,
    ci95_pct=intervals,
    p_value=p_values,
)
verdicts = st.builds(
    replace,
    st.just(INTERFERENCE),
    effect=effects,
    causes=causes,
    aggressors=share.map(lambda pct: (Aggressor("/a", "a", pct, CauseKind.CPU_WAIT),)),
    self_cost=st.builds(SelfCost, figure, figure, share),
    metrics=st.tuples(metrics),
)


def numbers_in(report: str) -> set[float]:
    return {float(number.replace(",", "")) for number in NUMBER.findall(report.replace("−", "-"))}


def numbers_of(part: object) -> Iterator[float]:
    if isinstance(part, dict | list):
        for item in part.values() if isinstance(part, dict) else part:
            yield from numbers_of(item)
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield part


def as_said(document: dict[str, Any], key: str) -> Any:  # noqa: ANN401  a part of a JSON document
    """With slowdowns of what is better higher as the figure's own change, which is what people are told."""
    part = document.get(key)
    better: str = (document["effect"] or {}).get("better", "lower")
    if key == "metrics":
        return [in_changes(known(entry), entry["better"]) for entry in part or ()]
    if key in ("sweep", "confirmed"):
        return [in_changes(known(entry), better) for entry in part or ()]
    return in_changes(known(part), better) if key == "effect" and part else part


def known(entry: dict[str, Any]) -> dict[str, Any]:
    """Without the interval, and the noise floor that is half of it, that has an end a hundred times the other."""
    low, high = (100 + pct for pct in entry["ci95_pct"] or (0, 0))
    if low > 0 and high <= 100 * low:
        return entry
    return {name: value for name, value in entry.items() if name not in ("ci95_pct", "noise_floor_pct")} | {
        "ci95_pct": None
    }


def in_changes(entry: dict[str, Any], better: str) -> dict[str, Any]:
    if better == "lower":
        return entry
    slowdowns = {name for name in entry if name.endswith("_pct") and name not in ("level_pct", "ci95_pct")}
    changes = {name: told_pct(entry[name]) for name in slowdowns}
    return {**entry, **changes, "ci95_pct": entry["ci95_pct"] and [*map(told_pct, entry["ci95_pct"])]}


def told_pct(slowdown_pct: float | None) -> float | None:
    """Work in a unit of time is the inverse of the time for a unit of work."""
    ratio = 0.0 if slowdown_pct is None else 1 + slowdown_pct / 100
    return round(100 * (1 / ratio - 1), 1) if ratio > 0 else None


def assert_same_figures(verdict: Verdict) -> None:
    document = json.loads(json_document.render_verdict(verdict))
    in_json = set(numbers_of([as_said(document, key) for key in CONCLUSIONS]))
    in_text = numbers_in(text.render(verdict_report(verdict), width=500))
    in_markdown = numbers_in(markdown.render(full_report(verdict)))
    assert in_json - in_text == set()
    assert in_json - in_markdown == set()
    assert in_text - in_markdown == set()


@given(verdicts)
def test_the_formats_agree(verdict: Verdict) -> None:
    assert_same_figures(verdict)


def test_the_formats_agree_on_every_sample() -> None:
    for verdict in VERDICTS.values():
        assert_same_figures(verdict)


def test_the_formats_agree_on_blame() -> None:
    for blame in BLAMES.values():
        document = json.loads(json_document.render_blame(blame))
        in_json = set(numbers_of([document["run_ms"], document["wait_ms"], document["parts"]]))
        in_text = numbers_in(text.render(blame_report(blame), width=500))
        assert in_json - in_text == set()
        assert in_text - numbers_in(markdown.render(blame_report(blame))) == set()
        if blame.parts:
            assert sum(part["share_pct"] for part in document["parts"]) == pytest.approx(100, abs=1e-6)


def test_a_json_report_can_be_rendered_again() -> None:
    for verdict in VERDICTS.values():
        again = Verdict.from_document(json.loads(json_document.render_verdict(verdict)))
        assert json_document.render_verdict(again) == json_document.render_verdict(verdict)
        assert text.render(verdict_report(again)) == text.render(verdict_report(verdict))
