"""The application: its commands, and how their words are parsed."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import takewhile
from typing import Annotated

import typer

from agent.cli.exit_codes import end_with
from agent.cli.output import prepare_streams, show
from agent.cli.plain_words import plain
from agent.sandbox.interrupts import raise_on_signals
from probes.errors import UsageError

# Each is a module of this package whose `register` adds the command of the same name.
COMMANDS = (
    *("now", "doctor", "record", "top", "blame", "experiment", "compare", "report"),
    *("selftest", "agent", "thaw"),
)

# What `jostle` does without a command, and the options that it then may have.
ALONE, ALONE_OPTIONS = "now", ("-d", "--duration", "--json")
# Set by the shell while it completes a command line.
COMPLETION = "_JOSTLE_COMPLETE"


def _british(option: str) -> str:
    """`--neighbor` is `--neighbour`, and so for every option with it; no value comes here."""
    return option.replace("neighbor", "neighbour")


app = typer.Typer(
    name="jostle",
    help="Is this workload slowed by its neighbours, by how much, by whom, and what would help?",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _british},
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:  # noqa: FBT001  typer's way to call back
    if wanted:
        from importlib.metadata import version

        show(f"jostle {version('jostle')}\n")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails (before the command).")
    ] = False,
    version: Annotated[
        bool, typer.Option("-V", "--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with the contract's code: 0, 1, 2, 3, 10, 11 or 130."""
    raise_on_signals()
    words = list(sys.argv[1:] if arguments is None else arguments)
    prepare_streams()
    end_with(lambda: _command(words), debug="--debug" in takewhile(lambda word: word.startswith("-"), words))


def wanted(words: Sequence[str]) -> Sequence[str]:
    """The command that is called, or all of them where it takes all: for the help and for completion.

    The statistics alone (numpy, scipy) would add 70 MB to a recording.
    """
    first = next((word for word in words if not word.startswith("-")), None)
    return (first,) if first in COMMANDS and COMPLETION not in os.environ else COMMANDS


def _with_command(words: list[str]) -> list[str]:
    """The words with the command that is meant where there is none; a shell that completes has none to run."""
    before = list(takewhile(lambda word: word == "--debug", words))
    after = words[len(before) :]
    is_alone = not after or after[0].partition("=")[0] in ALONE_OPTIONS
    return [*before, ALONE, *after] if is_alone and COMPLETION not in os.environ else words


def _command(words: list[str]) -> int:
    """Parse and run; the exit code that the command asks for.

    Raises:
        UsageError: The words are not a command.
    """
    words = _with_command(words)
    for name in wanted(words):
        import_module(f"agent.cli.{name}").register(app)
    try:
        code = app(args=words, prog_name="jostle", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "jostle"
        raise UsageError(plain(error), f"see `{command} --help`") from error
    return int(code or 0)
