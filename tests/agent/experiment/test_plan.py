"""What an experiment refuses before anything starts."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiment.plan import Plan, neighbour_name, parse_cpus
from agent.experiment.victim_metrics import parse_spec
from probes.errors import UsageError

PLAN = Plan(
    victim="true",
    neighbours=("sleep 1",),
    metrics=(parse_spec("duration"),),
    pairs=4,
    max_pairs=24,
    seed=1,
    threshold_pct=5.0,
    timeout_s=600.0,
    cpus=None,
)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"pairs": 0}, "--pairs 0"),
        ({"pairs": -3}, "--pairs -3"),
        ({"max_pairs": 3}, "--max-pairs 3 is below --pairs 4"),
        ({"threshold_pct": 0.0}, "--threshold 0"),
        ({"threshold_pct": -5.0}, "--threshold -5"),
        ({"threshold_pct": float("nan")}, "--threshold nan"),
        ({"threshold_pct": float("inf")}, "--threshold inf"),
        ({"timeout_s": 0.0}, "--timeout 0"),
        ({"timeout_s": float("nan")}, "--timeout nan"),
        ({"neighbours": ()}, "needs a neighbour"),
        ({"neighbours": ("sleep 1", "nosuch-program")}, "nosuch-program is not in PATH"),
        ({"victim": "nosuch-program -x"}, "nosuch-program is not in PATH"),
        ({"victim": ""}, "empty"),
        ({"metrics": (parse_spec("duration"), parse_spec("duration"))}, "'duration' is asked for twice"),
        (
            {"metrics": (parse_spec("a=x([0-9]):lower"), parse_spec("a=y([0-9]):lower"))},
            "'a' is asked for twice",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, object], names: str) -> None:
    with pytest.raises(UsageError, match=names):
        replace(PLAN, **change)  # type: ignore[arg-type]  # each field with its own type


def test_a_neighbour_is_named_by_its_number_and_program() -> None:
    assert neighbour_name(2, "/usr/bin/stress-ng --cpu 2") == "neighbour-2 stress-ng"


ALLOWED = sorted(os.sched_getaffinity(0))


def test_a_list_of_cpus_is_sorted_and_without_repeats() -> None:
    first, last = ALLOWED[0], ALLOWED[-1]
    assert parse_cpus(f"{last},{first},{first}") == tuple(sorted({first, last}))


@pytest.mark.skipif(len(ALLOWED) != ALLOWED[-1] - ALLOWED[0] + 1, reason="the CPUs of this host have gaps")
def test_a_range_of_cpus_holds_both_ends() -> None:
    assert parse_cpus(f"{ALLOWED[0]}-{ALLOWED[-1]}") == tuple(ALLOWED)


@pytest.mark.parametrize("text", ["", ",", "0,", "a", "-1", "1-", "0--1", "3-1", "0-1-2", "0.5", "0x1"])
def test_what_is_no_list_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a list of CPUs"):
        parse_cpus(text)


@pytest.mark.parametrize("text", ["99999", "0-99999999999999"])
def test_a_cpu_that_is_not_there_is_refused_however_large(text: str) -> None:
    with pytest.raises(UsageError, match="there is no CPU"):
        parse_cpus(text)


@given(st.text(alphabet="0123456789,- ax", max_size=12))
def test_any_text_gives_cpus_of_this_process_or_is_refused(text: str) -> None:
    try:
        cpus = parse_cpus(text)
    except UsageError:
        return
    assert cpus
    assert set(cpus) <= set(ALLOWED)
    assert list(cpus) == sorted(set(cpus))


@pytest.mark.parametrize("text", ["4077", "0,4077", "4077-4090"])
def test_the_cpu_that_is_absent_is_the_one_asked_for(text: str) -> None:
    with pytest.raises(UsageError, match="there is no CPU 4077 here"):
        parse_cpus(text)
