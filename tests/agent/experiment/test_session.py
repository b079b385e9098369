"""Whole sessions on this host, with something happening to the machine that must not really happen to it."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.experiment.machine import machine_state
from agent.experiment.plan import Plan
from agent.experiment.repeat import Observer
from agent.experiment.session import run_session
from agent.interrupts import Interrupts
from agent.metrics import parse_spec

pytestmark = pytest.mark.kernel


def test_a_trial_in_which_a_cpu_went_away_is_void_and_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = machine_state()
    # Each trial looks before and after; the warm-up is the first.
    states = iter([before, before, before, replace(before, cpus_online="0")])
    monkeypatch.setattr(
        "agent.experiment.trial.machine_state", lambda: next(states, replace(before, cpus_online="0"))
    )
    plan = Plan("true", ("sleep 1000",), (parse_spec("duration"),), 1, 1, 1, 5.0, 600.0, None)
    with Interrupts() as interrupts:
        outcome = run_session(plan, tmp_path, Observer(), interrupts).outcome
    first, *others = outcome.trials
    assert first.void is not None
    assert "CPUs online changed" in first.void
    assert [trial.void for trial in others] == [None, None]
    assert others[0].arm is first.arm
    assert outcome.decision is not None
    assert outcome.decision.effect.pairs == 1
