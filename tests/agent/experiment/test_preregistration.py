"""The plan that is written before the first trial, who asked the same before, and what it can show."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.documents.plan import PLAN_FILE, RegisteredPlan
from agent.documents.verdict_parts import Arm
from agent.experiment.plan import Plan
from agent.experiment.preregistration import as_text, asked_before, power_of, registered, sha256
from agent.experiment.victim_metrics import parse_spec
from reports.sections.origin import foreseen
from tests.agent.analysis.trials import trial

PLAN = Plan(
    victim="true",
    neighbours=("true",),
    metrics=(parse_spec("duration"),),
    pairs=6,
    max_pairs=24,
    seed=1,
    threshold_pct=5.0,
    timeout_s=60.0,
    cpus=None,
)


def test_looks_errors_and_seed_are_written_and_hashed_as_others_hash_a_file(tmp_path: Path) -> None:
    text = as_text(registered(PLAN))
    (tmp_path / PLAN_FILE).write_text(text)
    assert sha256(text) == hashlib.sha256((tmp_path / PLAN_FILE).read_bytes()).hexdigest()
    found = registered(PLAN)
    assert (found.seed, found.looks) == (1, (6, 10, 16, 24))
    # One-sided, what may be claimed in error adds up to 2.5 %.
    assert found.alpha.typical + found.alpha.mean + found.alpha.failures <= 0.05
    assert sha256(as_text(registered(replace(PLAN, seed=2)))) != sha256(text)


def test_who_asked_the_same_with_another_seed_is_counted(tmp_path: Path) -> None:
    plans = {
        "again": as_text(registered(replace(PLAN, seed=2))),
        "other": as_text(registered(replace(PLAN, threshold_pct=3.0))),
        "broken": "{" * 100_000,
        "mine": as_text(registered(PLAN)),
    }
    for name, text in plans.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / PLAN_FILE).write_text(text)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / PLAN_FILE)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / PLAN_FILE).symlink_to("nowhere")
    assert asked_before(tmp_path / "mine", plans["mine"]) == 1


@pytest.mark.parametrize(("noise", "clears"), [(1.001, True), (1.3, False)])
def test_what_two_pairs_foretell(noise: float, clears: bool) -> None:  # noqa: FBT001  a case of the table
    trials = [trial(Arm.WITHOUT), trial(Arm.WITH, noise), trial(block=1), trial(Arm.WITH, block=1)]
    power = power_of(PLAN, trials)
    assert power.clears is clears
    said = " ".join(foreseen(registered(PLAN, power)))
    assert f"and clear {'neighbours that change nothing' if clears else 'nothing'}." in said
    # 24 pairs of two seconds, what the neighbours need to start, and the pauses.
    assert 48 < power.duration_s < 75
    assert RegisteredPlan.from_document(registered(PLAN, power).to_document()).power == power


def test_in_slots_a_pair_takes_what_its_cycle_took_with_the_time_in_which_nobody_is_stopped() -> None:
    """Two cycles that ended 7 s apart, of which 1.5 s were measured."""
    slots = replace(
        PLAN,
        victim=None,
        victim_cgroup="/api",
        neighbours=(),
        neighbour_cgroups=("/batch",),
        allow_freeze=True,
        slots=True,
        metrics=(parse_spec("stretch"),),
    )
    seen = [
        replace(each, window=replace(each.window, end_ns=end_s * 10**9))
        for block, end_s in ((0, 10), (1, 17))
        for each in (trial(block=block), trial(Arm.WITH, 1.01, block=block))
    ]
    assert power_of(slots, seen).duration_s == pytest.approx(7 * (24 + 1))
