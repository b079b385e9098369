"""The command that a report gives to make an experiment again: it works while the first one's directory is there."""

import inspect
import shlex
from typing import get_args

import pytest

from agent.cli.experiment import FLAGS, _to_repeat, experiment


@pytest.mark.parametrize(
    ("given", "again"),
    [
        ("experiment --victim ./a -o out", "jostle experiment --victim ./a --seed 7"),
        ("experiment -o out --victim ./a --seed 3", "jostle experiment --victim ./a --seed 3"),
        ("experiment -oout --confirm -o out --seed=3", "jostle experiment --confirm --seed=3"),
        (
            "experiment --victim -o --neighbour 'cc -o x'",
            "jostle experiment --victim -o --neighbour 'cc -o x' --seed 7",
        ),
    ],
)
def test_the_directory_is_left_out_and_the_seed_named(given: str, again: str) -> None:
    assert shlex.join(_to_repeat(shlex.split(given), 7)) == again


def test_every_option_without_a_value_is_known() -> None:
    named = set()
    for parameter in inspect.signature(experiment).parameters.values():
        kind, option = get_args(parameter.annotation)
        if kind is bool:
            words = (option.default, *option.param_decls)
            named |= {word for word in words if str(word).startswith("--")}
    # Of --confirm the value may be left out.
    assert named - {"--help-all"} == FLAGS - {"--confirm"}
