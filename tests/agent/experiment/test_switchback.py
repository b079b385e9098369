"""Slots added up, bounds kept, files read back; with real neighbours: tests/cli/test_running.py."""

import math
from pathlib import Path

import pytest

from agent.documents.metric import STRETCH, Ratio
from agent.experiment.switchback import Bounds, RunBlock, Slot, Treated, joined, restored, write_slots
from agent.sandbox.treatments import FileChange, parse_remedy
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window


def slot(begin_s: float, end_s: float, held_s: float = 0.0, over: float = 1.0) -> Slot:
    return Slot(begin_s, end_s, window(cgroup(1.0)), {STRETCH: Ratio(over, 1.0)}, held_s)


def test_windows_that_do_not_follow_one_another_are_one() -> None:
    whole = joined(
        [
            window(cgroup(1.0, {NEIGHBOUR: 2.0}), duration_s=1.0),
            window(cgroup(0.5, {NEIGHBOUR: 1.0}), duration_s=3.0),
        ]
    )
    assert whole.duration_ns == 4 * 10**9
    assert whole.cgroups[VICTIM].run_ns == 1.5e9
    assert whole.cgroups[VICTIM].waited_for[NEIGHBOUR].wait_ns == 3e9
    assert (whole.cpus[0].running, whole.cpus[0].waiting, whole.cpus[0].switches) == (1.0, 0.5, 2000)


def test_who_was_stopped_too_much_of_the_time_is_let_rest() -> None:
    bounds = Bounds()
    bounds.add(RunBlock((slot(10.0, 10.1), slot(10.1, 10.3, held_s=0.2)), 1, "void ones count too"))
    bounds.add(RunBlock((slot(10.3, 10.4, held_s=0.1), slot(10.4, 11.0)), 0))
    assert (bounds.slots, bounds.longest_s) == (2, 0.2)
    assert bounds.pct == pytest.approx(30)
    assert bounds.rest_until_s(20) == pytest.approx(11.5)


def test_a_file_that_says_something_else_is_not_restored(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text("max 100000\n")
    change = FileChange(file, "50000 100000", "max 100000")
    assert restored([change])
    file.write_text("50000 100000\n")
    assert not restored([change])
    # Of a cgroup that is gone there is nothing to put back.
    assert restored([FileChange(tmp_path / "gone/cpu.max", "1", "2")])


def test_each_slot_is_in_the_table_and_pairs_are_of_cycles(tmp_path: Path) -> None:
    block = RunBlock((slot(0, 1), slot(1, 2, 0.5, 2.0), slot(2, 3), slot(3, 4, over=4.0)), 1)
    treated = Treated(parse_remedy("stop"), cycles=[[block] * 3])
    assert [(pair.without, pair.with_) for pair in treated.pairs()] == [(2.0, 2.5)]
    write_slots(tmp_path / "slots.csv", [treated])
    rows = (tmp_path / "slots.csv").read_text().splitlines()
    assert rows[0].startswith("remedy,cycle,block,slot")
    assert len(rows) == 1 + 3 * 4
    assert rows[2] == "stop,0,0,1,1.0000,2.0000,500.0,2"
    assert math.isnan(Ratio().value)
