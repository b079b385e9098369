"""What an experiment refuses before anything starts."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiment.plan import Plan, first_word, neighbour_name, parse_cpus, require_runnable
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


@pytest.mark.parametrize(
    "command",
    [
        "true",
        "/bin/true",
        "sleep '1'",
        "cd / && true",
        "(true)",
        "A=1 true",
        "exit 3",
        "$HOME/x",
        "for i in 1; do :; done",
        "# don't\ntrue",
        "true # don't",
        "cat <<E\nit's\nE",
        "cat <<'E' | grep \"s\nit's\nE\n\"",
        "type ls",
        "jobs",
        "f () { true; }; f",
        "\n\n  # a\n#b\n true",
        "$(echo 'a b') c",
        '$(echo "it\'s")',
    ],
)
def test_what_the_shell_can_run_is_let_through(command: str) -> None:
    require_runnable(command)


@pytest.mark.parametrize(
    "command",
    [
        "nosuch",
        "./nosuch",
        "/etc/passwd",
        "/etc",
        "echo 'open",
        " ",
        "''",
        "# only a comment",
        "# a\nnosuch",
        "if true",
        "true )",
        "nosuch <<E\nit's\nE",
    ],
)
def test_what_cannot_run_is_refused(command: str) -> None:
    with pytest.raises(UsageError):
        require_runnable(command)


def test_a_path_is_not_said_to_be_missing_from_path(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with pytest.raises(UsageError, match="is not a program that can be run"):
        require_runnable(f"{tmp_path}/script")


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("/usr/bin/stress-ng --cpu 2", "stress-ng"),
        ("'a b' c", "a b"),
        ("echo 'open", "echo"),
        ("", ""),
        ("# don't\nwrk -c 1", "wrk"),
    ],
)
def test_a_neighbour_is_named_by_its_number_and_program(command: str, word: str) -> None:
    assert first_word(command) == word
    assert neighbour_name(2, command) == f"neighbour-2 {word}"


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
