"""The answer in three lines: a slowdown as people say it, and nothing that a figure does not bear out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.documents.metric import Better, change_pct, factor, signed, slower
from agent.documents.verdict import Aggressor, Cause, CauseKind, Conclusion, Effect, MeanEffect
from agent.documents.verdict_parts import Blocked, Witness
from reports import text
from reports.sections.answer import HAPPENS, size, verdict_answer
from reports.sections.blame import blame_report
from reports.sections.verdict import verdict_report
from tests.reports.samples import BLAMES, INTERFERENCE, VERDICTS


def effect(pct: float, bounds: tuple[float, float], better: Better = "lower", *figures: float) -> Effect:
    without, with_ = figures or (0.177, 0.419)
    unit = "s" if better == "lower" else "requests/s"
    return Effect("rate", unit, better, without, with_, pct, bounds, 0.01, 2.0, 5.0, 8)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (effect(137.0, (130.0, 150.0)), "2.4× slower (0.177 → 0.419 s; 95 %: 2.3 to 2.5×)"),
        (effect(57.84, (51.2, 64.0)), "57.8 % slower (0.177 → 0.419 s; 95 %: +51.2 to +64.0 %)"),
        (effect(-0.04, (-3.0, 2.0)), "no slower (0.177 → 0.419 s; 95 %: −3.0 to +2.0 %)"),
        (effect(-9.0, (-11.0, -7.0)), "9.0 % faster (0.177 → 0.419 s; 95 %: −11.0 to −7.0 %)"),
        # A halved rate is no 100 % of anything less.
        (
            effect(100.0, (90.0, 110.0), "higher", 10_000.0, 5_000.0),
            "rate −50.0 % (10,000 → 5,000 requests/s; 95 %: −52.4 to −47.4 %)",
        ),
    ],
)
def test_how_a_change_reads(of: Effect, said: str) -> None:
    assert size(of) == said


@given(st.floats(-99, 1e6), st.sampled_from(["lower", "higher"]))
def test_a_change_is_the_ratio_that_was_measured(pct: float, better: Better) -> None:
    changed = change_pct(pct, better)
    assert changed is not None
    ratio = 1 + changed / 100
    assert ratio * (1 / factor(pct) if better == "lower" else factor(pct)) == pytest.approx(1, abs=1e-6)


@given(st.floats(-1e9, 1e9))
def test_what_rounds_to_nothing_has_no_direction(pct: float) -> None:
    if "0.0 " in f"{slower(pct)} " and re.match(r"0\.0 %", slower(pct)):
        raise AssertionError(slower(pct))
    assert (signed(pct) == "0.0") is (slower(pct) == "no slower")


@pytest.mark.parametrize("name", VERDICTS)
def test_an_answer_has_three_lines_at_most_and_ends_a_long_report(name: str) -> None:
    report = verdict_report(VERDICTS[name])
    assert 1 <= len(verdict_answer(VERDICTS[name])) <= 3
    lines = text.render(report, width=500, again=True).splitlines()
    answer = lines[: len(report.answer)]
    assert lines[-len(answer) :] == answer
    assert lines.count(answer[0]) == 2


def test_an_answer_that_is_all_is_said_once() -> None:
    shown = text.render(verdict_report(INTERFERENCE), width=500, short=True, again=True)
    assert len(shown.splitlines()) == 3


def test_what_makes_an_answer_doubtful_is_never_left_out() -> None:
    quality = replace(INTERFERENCE.quality, ok=False, warnings=("the machine drifted",))
    shown = text.render(verdict_report(replace(INTERFERENCE, quality=quality)), width=500, short=True)
    assert "doubtful" in shown.splitlines()[0]
    assert "the machine drifted" in shown


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("pct", [8.8, 250.0])
def test_an_interval_that_tells_nothing_is_not_told_in_digits(pct: float, better: Better) -> None:
    """Two pairs after which the slowdown lies between −100 and 33,991,174.9 %."""
    wide = replace(
        effect(pct, (-100.0, 33_991_174.9), better),
        noise_floor_pct=31_228_259.2,
        mean=MeanEffect(10.3, (-100.0, 2.5e39), 2.5e39),
    )
    assert size(wide).endswith("95 %: not known yet)")
    shown = text.render(
        verdict_report(
            replace(INTERFERENCE, verdict=Conclusion.INCONCLUSIVE, effect=wide, causes=(), aggressors=())
        )
    )
    assert not re.search(r"\d{5,}\.\d|,\d{3},", shown)
    assert "not known yet" in shown.split("Noise floor")[1].splitlines()[0]


def test_of_those_who_cannot_be_told_apart_each_stands_beside_its_share_and_three_are_enough() -> None:
    shares = {"batch": 40.0, "etl": 30.0, "java": 20.0, "cron": 6.0, "kernel": 3.0}
    alike = [
        Aggressor(f"/{name}", name, pct, CauseKind.CPU_WAIT, (0.0, 60.0), Witness.SEEN)
        for name, pct in shares.items()
    ]
    said = verdict_answer(
        replace(INTERFERENCE, causes=(Cause(CauseKind.CPU_WAIT, 100.0),), aggressors=tuple(alike))
    )[1]
    assert said.endswith("behind batch (40.0 % of it, seen), etl (30.0 %), java (20.0 %) and 2 others")
    said = verdict_answer(
        replace(INTERFERENCE, causes=(Cause(CauseKind.CPU_WAIT, 100.0),), aggressors=tuple(alike[:2]))
    )[1]
    assert said.endswith("behind batch (40.0 % of it, seen) and etl (30.0 %)")


def test_of_an_unexplained_time_is_said_what_it_slept_on_and_who_held_it() -> None:
    slept = (
        Blocked("pipe", 0.5, 0.1),
        Blocked("sleep", 0.0, 0.05),
        Blocked("file lock", 0.0, 0.9, "/run/lock", "neighbour-1 etl", "/etl"),
    )
    causes = (Cause(CauseKind.UNEXPLAINED, 97.0), Cause(CauseKind.CPU_WAIT, 3.0))
    unexplained = replace(INTERFERENCE, causes=causes, aggressors=(), blocked=slept)
    line = verdict_answer(unexplained)[1]
    assert line.startswith(
        "sleeps longer on: file lock (/run/lock), held by neighbour-1 etl (97.0 % of the additional time)"
    )
    assert verdict_answer(replace(unexplained, blocked=slept[:1]))[1].startswith(
        "is slower for a reason that is not known (97.0 %"
    )
    assert "sleeps" not in verdict_answer(replace(INTERFERENCE, blocked=slept))[1]


@pytest.mark.parametrize(("pct", "told"), [(8.9, "8.9 % longer ("), (-8.9, "8.9 % shorter (")])
def test_a_mean_time_is_longer_or_shorter(pct: float, told: str) -> None:
    effect = replace(INTERFERENCE.effect, mean=MeanEffect(pct, (pct - 1, pct + 1)))  # type: ignore[type-var]
    shown = text.render(verdict_report(replace(INTERFERENCE, effect=effect)), width=500)
    assert told in shown.split("Mean time")[1].splitlines()[0]


def test_a_blame_names_whom_it_waited_for() -> None:
    shown = text.render(blame_report(BLAMES["blame"]), width=500, short=True).splitlines()
    assert shown[1].strip().startswith("for batch.service 65.7 %")


def test_every_cause_has_its_words() -> None:
    assert HAPPENS.keys() == set(CauseKind)
