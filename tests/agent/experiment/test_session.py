"""Whole sessions on this host, with something happening to the machine that must not really happen to it."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.experiment.plan import Plan
from agent.experiment.runner import Observer
from agent.experiment.session import run_session
from agent.experiment.trial import machine_state
from agent.experiment.victim_metrics import parse_spec
from agent.sandbox.interrupts import Interrupts
from probes.perf_event import CPU_CLOCK, PAGE_FAULTS

pytestmark = pytest.mark.kernel

# The naps make the CPU go to and fro between cgroups: one reading of the events in 64 is timed.
TOUCH = """
import mmap, time
for _ in range(300): time.sleep(0.0005)
memory = mmap.mmap(-1, {pages} * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range({pages}):
    if page % 1000 == 0: time.sleep(0.0005)  # a switch in between: one that is not seen hides a round, not all
    memory[page * mmap.PAGESIZE] = 1
"""


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


def test_events_are_counted_for_the_victim_in_each_trial(tmp_path: Path) -> None:
    """On software events with known answers; those of a PMU go the same way."""
    pages = 50_000
    victim = shlex.join([sys.executable, "-c", TOUCH.format(pages=pages)])
    plan = Plan(victim, ("sleep 1000",), (parse_spec("duration"),), 1, 1, 1, 5.0, 600.0, None)
    with Interrupts() as interrupts:
        session = run_session(plan, tmp_path, Observer(), interrupts, (CPU_CLOCK, PAGE_FAULTS))
    assert len(session.outcome.trials) == 2
    for trial in session.outcome.trials:
        # Some guests switch unseen a few times a second: then it is another's for a moment.
        assert trial.seen.counted["page-faults"].value == pytest.approx(pages, rel=0.2)
        assert trial.seen.counted["cpu-clock"].value == pytest.approx(trial.seen.victim.run_ns, rel=0.2)
    assert session.self_cost is not None
    assert session.self_cost.counters_ns_per_switch is not None


def test_counters_can_be_left_out(tmp_path: Path) -> None:
    plan = Plan("true", ("sleep 1000",), (parse_spec("duration"),), 1, 1, 1, 5.0, 600.0, None, counters=False)
    with Interrupts() as interrupts:
        session = run_session(plan, tmp_path, Observer(), interrupts, (CPU_CLOCK,))
    assert [trial.seen.counted for trial in session.outcome.trials] == [{}, {}]
    assert session.self_cost is not None
    assert session.self_cost.counters_ns_per_switch is None
