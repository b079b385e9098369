"""The manual page: all of the commands, as roff that groff has nothing to say about."""

import re
import shutil
import subprocess
import sys

import pytest

from agent.cli.app import COMMANDS
from tests.cli.running import ROOT, run


@pytest.fixture(scope="module")
def page() -> str:
    made = [sys.executable, "-m", "agent.cli.manual"]
    return subprocess.run(made, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def shown(page: str) -> str:
    """As groff shows it, in one line, without its warnings, which must be none."""
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-c", "-ww", "-rHY=0"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return " ".join(re.sub(".\b", "", done.stdout).split())


def test_every_command_and_option_is_in_it(page: str) -> None:
    text = page.replace("\\-", "-")
    for command in COMMANDS:
        assert f".SS jostle {command} " in text
        options = set(re.findall(r"--[a-z-]+", run(command, "--help-all").out or run(command, "--help").out))
        assert [option for option in options - {"--help"} if f"{option}\\fR" not in text] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_what_an_option_says_is_shown_whole(page: str) -> None:
    text = shown(page)
    assert "128 and the number of the signal that killed it." in text
    assert "-d, --duration DURATION" in text
    assert "Example: jostle record" in text
