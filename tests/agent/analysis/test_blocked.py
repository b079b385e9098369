"""What a victim slept on for longer, and how that is said."""

import pytest

from agent.analysis.advice import Advice, advise
from agent.analysis.blocked import blocked, clauses, is_unexplained
from agent.documents.verdict import Cause, CauseKind, Conclusion, Quality
from agent.documents.verdict_parts import Arm, Blocked
from collectors.sources.asleep import Asleep
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, pair, seen_as, trial

BELOW = f"{NEIGHBOUR}/worker"
LOCK = Asleep("file lock", "/run/lock", BELOW)
OWN = Asleep("file lock", "/run/own", VICTIM)
QUALITY = Quality(ok=True, tier="ebpf", warnings=(), blame_residual_pct=None, discarded=0, pmu="available")


def rows(without: dict[Asleep, float], with_: dict[Asleep, float]) -> tuple[Blocked, ...]:
    busy = cgroup(0.1)
    before = seen_as(trial(victim=busy), asleep_s=without)
    after = seen_as(trial(Arm.WITH, 2.0, victim=busy), asleep_s=with_)
    return blocked(pair(before, after), {NEIGHBOUR: "neighbour-1 etl"})


def test_only_what_changed_is_told_and_a_lock_is_charged_to_the_neighbour_above_its_holder() -> None:
    sleep = Asleep("sleep")
    assert rows({sleep: 0.4}, {sleep: 0.401, LOCK: 0.9}) == (
        Blocked("file lock", 0.0, 0.9, "/run/lock", "neighbour-1 etl", NEIGHBOUR),
    )


def test_what_was_added_stands_before_what_became_less() -> None:
    found = rows({Asleep("pipe"): 0.5, OWN: 0.1}, {OWN: 0.3, LOCK: 0.9})
    assert [(row.on, row.holder) for row in found] == [
        ("file lock", "neighbour-1 etl"),
        ("file lock", "the victim itself"),
        ("pipe", None),
    ]


def test_a_sentence_says_how_long_on_what_and_by_whom() -> None:
    assert list(clauses(rows({}, {LOCK: 0.9}))) == [
        "in each trial the victim was asleep for 0.9 s more on: file lock (/run/lock), held by neighbour-1 etl"
    ]
    assert list(clauses(rows({LOCK: 0.9}, {}))) == ["what the victim slept on was not seen"]


@pytest.mark.parametrize(("pct", "is_so"), [(60.0, True), (40.0, False)])
def test_unexplained_is_what_is_so_for_the_most_part(pct: float, is_so: bool) -> None:  # noqa: FBT001  a fact
    assert is_unexplained([Cause(CauseKind.UNEXPLAINED, pct), Cause(CauseKind.IO, 100 - pct)]) is is_so
    assert not is_unexplained([])


@pytest.mark.parametrize(
    ("on", "advice"),
    [
        ("file lock", Advice.OTHER_LOCK),
        ("futex", Advice.OWN_LOCKS),
        ("pipe", Advice.OTHER_END),
        ("sleep", Advice.OWN_SLEEP),
        ("kernel", Advice.OFF_CPU),
        (None, Advice.OFF_CPU),
    ],
)
def test_advice_is_about_what_it_slept_on(on: str | None, advice: Advice) -> None:
    slept = () if on is None else (Blocked(on, 0.0, 1.0),)
    causes = [Cause(CauseKind.UNEXPLAINED, 100.0)]
    assert advise(Conclusion.INTERFERENCE, causes, None, QUALITY, blocked=slept) == [advice]
