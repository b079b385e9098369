"""The verdict document says what the contract says, and refuses what breaks it."""

import copy
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import Better
from agent.documents.verdict import (
    Aggressor,
    Cause,
    CauseKind,
    Conclusion,
    Effect,
    Quality,
    SelfCost,
    Verdict,
)
from agent.documents.verdict_parts import (
    Arm,
    Blame,
    Confirmation,
    DataFile,
    Experiment,
    Host,
    Pair,
    SecondaryMetric,
    SweepPoint,
    Trial,
    WaitHistograms,
)
from probes.errors import UsageError
from tests.agent.documents.verdicts import CONTRACT_EXAMPLE, effect, verdict


def changed(path: str, value: object) -> dict[str, Any]:
    """The contract's example with one value replaced, or removed when `value` is Ellipsis."""
    document = copy.deepcopy(CONTRACT_EXAMPLE)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = document
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def test_the_example_of_the_contract_comes_back_key_for_key() -> None:
    written = Verdict.from_document(CONTRACT_EXAMPLE).to_document()
    assert {key: written[key] for key in CONTRACT_EXAMPLE} == CONTRACT_EXAMPLE
    assert list(written)[: len(CONTRACT_EXAMPLE)] == list(CONTRACT_EXAMPLE)
    assert written.keys() - CONTRACT_EXAMPLE.keys() == {"unavailable", "partial"}


FULL = verdict(
    unavailable={"effect.ci95_pct": "one pair is too few for an interval"},
    effect=effect(ci95_pct=None),
    partial=True,
    victim_cgroup="/jostle/victim",
    experiment=Experiment(
        command=("jostle", "experiment"),
        seed=7,
        order=(Arm.WITH, Arm.WITHOUT),
        victim="./serve",
        neighbours=("stress-ng --cpu 2",),
        metrics=("duration",),
        cpus=None,
        started="2025-01-01T00:00:00Z",
        duration_s=12.5,
        jostle_version="0.1.0",
    ),
    host=Host("web-1", "6.1.0", 2, "1 socket, 2 cores", "v2", "ab12"),
    metrics=(SecondaryMetric("p99", "ms", "lower", 1.0, 2.0, 100.0, (90.0, 110.0), 0.01),),
    pairs=(Pair(0, 1.0, 2.0, 100.0),),
    trials=(Trial(0, 0, Arm.WITH, 2.0, {"duration": 2.0}, None, 5, 6, None, 3),),
    blame=(Blame("/a", "a", 12.0, 80.0),),
    histograms=WaitHistograms((1000.0, None), (5, 1), (2, 9)),
    sweep=(SweepPoint(25.0, 10.0, None),),
    confirmed=(Confirmation("/a", "a", 20.0, (10.0, 30.0), 5),),
    files=(DataFile("trials.jsonl", "every trial"),),
)


def test_every_section_survives_json() -> None:
    assert Verdict.from_document(json.loads(json.dumps(FULL.to_document()))) == FULL


numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text()
intervals = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
effects = st.builds(
    Effect,
    metric=texts,
    unit=texts,
    better=st.sampled_from(get_args(Better)),
    without=numbers,
    with_=numbers,
    slowdown_pct=numbers,
    ci95_pct=intervals,
    p_value=numbers,
    noise_floor_pct=numbers,
    threshold_pct=numbers,
    pairs=st.integers(),
)
verdicts = st.builds(
    Verdict,
    verdict=st.sampled_from(Conclusion),
    reason=texts,
    effect=effects,
    causes=st.sampled_from(CauseKind).map(lambda kind: (Cause(kind, 100.0),)),
    aggressors=st.tuples(st.builds(Aggressor, texts, texts, st.floats(0, 100), st.sampled_from(CauseKind))),
    quality=st.builds(
        Quality,
        st.booleans(),
        texts,
        st.tuples(texts),
        blame_residual_pct=numbers,
        discarded=st.integers(),
        pmu=texts,
        blame_sampled_pct=numbers,
    ),
    self_cost=st.builds(SelfCost, numbers, numbers, numbers),
    advice=st.lists(texts).map(tuple),
    unavailable=st.just({}),
    partial=st.booleans(),
)


@given(verdicts)
def test_any_verdict_survives_json(made: Verdict) -> None:
    assert Verdict.from_document(json.loads(json.dumps(made.to_document(), allow_nan=False))) == made


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("schema", "jostle.verdict/2", "its schema is 'jostle.verdict/2'"),
        ("schema", ..., "its schema is 'None'"),
        ("verdict", "\udcff", "a key or a word is not Unicode"),
        ("\udcff", "x", "a key or a word is not Unicode"),
        ("verdict", "x - at `$.reason`", "verdict: invalid enum value 'x - at"),
        ("verdict", "guilty", "verdict: invalid enum value 'guilty'"),
        ("reason", 5, "reason: expected `str`, got `int`"),
        ("effect.metric", ..., "effect.metric is missing"),
        ("effect.pairs", "8", "effect.pairs: expected `int`, got `str`"),
        ("effect.pairs", True, "effect.pairs: expected `int`, got `bool`"),
        ("effect.with", [1], "effect.with: expected `float | null`, got `array`"),
        ("effect.without", float("nan"), "effect.without must be a finite number"),
        ("effect.without", 10**400, "effect.without: number out of range"),
        ("effect.ci95_pct", [1.0], "effect.ci95_pct: expected `array` of length 2, got 1"),
        ("effect.ci95_pct", [2.0, 1.0], "effect: ci95_pct must be"),
        ("effect.p_value", None, "effect.p_value is null and unavailable gives no reason"),
        ("effect", None, "effect is null and unavailable gives no reason"),
        ("causes", {}, "causes: expected `array`, got `object`"),
        ("causes.1.share_pct", 8.0, "^jostle.verdict/1 document: causes must sum to 100 [^:]*$"),
        ("causes.1.share_pct", 6.4, "^jostle.verdict/1 document: causes must sum to 100 [^:]*$"),
        ("causes.0.cause", [], r"causes\[0\].cause: expected `str`, got `array`"),
        ("aggressors.0.share_pct", 130.0, r"aggressors\[0\]: share_pct"),
        ("unavailable", {"effect.with": "lost"}, "reason for effect.with, which is not null"),
        ("victim_cgroup", "/system.slice/batch.service", "aggressors must not contain the victim"),
        ("trials", [{}], r"trials\[0\].index is missing"),
        ("histograms", {"edges_ns": [1], "without": [1], "with": []}, "histograms: edges_ns, without"),
        ("histograms", {"edges_ns": [None, 1], "without": [1, 1], "with": [1, 1]}, "only the last"),
        ("histograms", {"edges_ns": [2, 1], "without": [1, 1], "with": [1, 1]}, "edges_ns must ascend"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_refused_by_the_name_of_the_key(path: str, value: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Verdict.from_document(changed(path, value))


@pytest.mark.parametrize("document", [None, [], "jostle.verdict/1", 5])
def test_what_is_no_document_at_all_is_refused(document: object) -> None:
    with pytest.raises(UsageError, match=r"not a document of schema 'jostle\.verdict/1'"):
        Verdict.from_document(document)


def test_shares_may_miss_100_by_half_a_per_cent() -> None:
    read = Verdict.from_document(changed("causes.1.share_pct", 7.5))
    assert [cause.share_pct for cause in read.causes] == [93.0, 7.5]


def test_aggressors_come_sorted() -> None:
    with pytest.raises(ValueError, match="sorted"):
        verdict(aggressors=tuple(Aggressor(f"/{n}", "n", n, CauseKind.CPU_WAIT) for n in (10.0, 20.0)))


def test_keys_of_a_later_release_are_ignored_not_kept() -> None:
    later = changed("effect.median", 1.3) | {"weather": "mild"}
    assert Verdict.from_document(later) == Verdict.from_document(CONTRACT_EXAMPLE)


def test_an_unavailable_figure_is_null_with_its_reason() -> None:
    document = FULL.to_document()
    assert document["effect"]["ci95_pct"] is None
    assert document["unavailable"] == {"effect.ci95_pct": "one pair is too few for an interval"}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_hold_is_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="unavailable figure is None"):
        verdict(effect=effect(without=number)).to_document()
