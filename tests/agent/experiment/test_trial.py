"""What a trial reads of its victim and of the machine. Whole trials: tests/cli/test_experiment.py."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents.metric import DURATION, STRETCH
from agent.experiment.trial import MachineState, machine_state, samples_of
from agent.experiment.victim_metrics import parse_spec
from tests.agent.analysis.trials import NEIGHBOUR, cgroup


def test_duration_and_stretch_need_no_output() -> None:
    specs = [parse_spec("stretch"), parse_spec("duration")]
    samples = samples_of(specs, 7.0, cgroup(1.0, {NEIGHBOUR: 2.0}), ())
    assert [(sample.metric, sample.value) for sample in samples] == [(STRETCH, 3.0), (DURATION, 7.0)]


NS = 10**9
BEFORE = MachineState(suspended_ns=5 * NS, wall_offset_ns=10**18, cpus_online="0-3")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"suspended_ns": 7 * NS, "wall_offset_ns": 10**18 + 2 * NS}, "suspended for 2.0 s"),
        ({"wall_offset_ns": 10**18 + 3600 * NS}, r"clock was set by \+3600.0 s"),
        ({"wall_offset_ns": 10**18 - NS}, "clock was set by -1.0 s"),
        ({"cpus_online": "0-2"}, "CPUs online changed from 0-3 to 0-2"),
    ],
)
def test_an_event_is_told(change: dict[str, object], told: str) -> None:
    import re

    event = BEFORE.event_until(replace(BEFORE, **change))  # type: ignore[arg-type]  # each field with its own type
    assert event is not None
    assert re.search(told, event)


@given(st.integers(-NS // 20, NS // 20))
def test_what_ntp_does_in_a_trial_is_no_event(slewed_ns: int) -> None:
    assert BEFORE.event_until(replace(BEFORE, wall_offset_ns=10**18 + slewed_ns)) is None


def test_two_readings_of_this_machine_are_free_of_events() -> None:
    assert machine_state().event_until(machine_state()) is None
    assert machine_state().cpus_online


def test_a_machine_that_does_not_list_its_cpus_is_read_all_the_same(tmp_path: Path) -> None:
    assert machine_state(tmp_path).cpus_online == ""
