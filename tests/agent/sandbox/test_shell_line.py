"""What a shell's line begins with, and which lines are refused before anything is started."""

from pathlib import Path

import pytest

from agent.sandbox.shell_line import first_word, require_runnable
from probes.errors import UsageError


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
def test_a_line_begins_with_a_program(command: str, word: str) -> None:
    assert first_word(command) == word
