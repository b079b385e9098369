"""What is said of cgroups that found no slot."""

from dataclasses import replace

from agent.analysis.untracked import warnings
from collectors.windows.sched import OTHER
from tests.agent.analysis.trials import VICTIM, cgroup, window


def test_nothing_is_said_where_all_had_a_slot() -> None:
    assert warnings([]) == ()
    assert warnings([window(cgroup(1.0), cgroup(1.0, path=OTHER))]) == ()


def test_how_much_is_hidden_is_said_over_all_windows() -> None:
    first = replace(window(cgroup(3.0, {OTHER: 0.5}), cgroup(0.5, {VICTIM: 0.25}, path=OTHER)), untracked=7)
    second = replace(window(cgroup(0.5, {OTHER: 0.25})), untracked=3)
    (sentence,) = warnings([first, second])
    assert sentence.startswith("7 cgroups found no slot")
    assert "with 12.5 % of all time on a CPU and 25.0 % of all waiting" in sentence


def test_where_other_was_not_recorded_only_their_number_is_known() -> None:
    (sentence,) = warnings([replace(window(cgroup(1.0)), untracked=7)])
    assert sentence.endswith("counted together as 'other'")


def test_those_that_neither_ran_nor_waited_hide_nothing() -> None:
    (sentence,) = warnings([replace(window(cgroup(0.0, path=OTHER)), untracked=1)])
    assert "0.0 % of all time" in sentence


def test_figures_that_cannot_be_are_a_warning() -> None:
    (sentence,) = warnings([replace(window(cgroup(1.0)), impossible=count) for count in (0, 2, 1)])
    assert sentence == "3 figures were more than tasks times the time can be, and are left out"
