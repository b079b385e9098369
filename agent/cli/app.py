"""The application: its commands, and how their words are parsed."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from agent.cli.exit_codes import end_with
from agent.cli.help import PlainCommand
from agent.cli.output import prepare_streams, show
from agent.cli.plain_words import plain
from agent.sandbox.interrupts import raise_on_signals
from probes.errors import UsageError

# Each is a module of this package whose `register` adds the command of the same name. The line says what it is for, as
# the command itself does: with all of them imported, `jostle --help` took 0.21 s of CPU instead of 0.07.
COMMANDS = {
    "now": "Who suffers on this host, behind whom, and what to do.",
    "doctor": "What this host can measure.",
    "record": "Record all cgroups, or some, for a time or while COMMAND runs.",
    "top": "A live table of every cgroup, who suffers most on top.",
    "blame": "Who this cgroup waited for, in milliseconds and in shares.",
    "experiment": "Find out whether a victim runs slower beside its neighbours.",
    "advise": "What would help a running cgroup, tried on its neighbours.",
    "compare": "A verdict from recordings; an experiment's is stronger.",
    "report": "Render a recording, a verdict or a part of the history.",
    "selftest": "Say how often the verdict is right on this host.",
    "prepare": "Compile the probes, for hosts that have no compiler.",
    "agent": "The daemon that systemd runs.",
    "events": "The agent's incidents: list, filter, explain.",
    "dump": "The agent's last 15 minutes, by the second.",
    "thaw": "Put back what killed experiments left frozen or capped.",
    "ship": "Ship the history's hours to a fleet's dataset.",
    "fleet": "Ask a fleet: who costs whom how much, and at which load.",
}

# What `jostle` does without a command, and the options that it then may have.
ALONE, ALONE_OPTIONS = "now", ("-d", "--duration", "--json")
OF_ALL_COMMANDS = ("--debug", "--host-root")
# As in `collectors.host.roots`, which the help is not to pay for.
_HOST_ROOT = "JOSTLE_HOST_ROOT"
# Set by the shell while it completes a command line, and the line: of bash and of fish, and of zsh.
COMPLETION, COMPLETED = "_JOSTLE_COMPLETE", ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")


# By the question that a person comes with; in a line each, as all of it is to fit a screen.
EPILOG = """\b
Where to begin:
  is my benchmark slowed, by whom?   jostle experiment --victim ./bench
                                         --neighbour ./batch
  who suffers here, what would help? jostle
  whom does NAME wait for now?       jostle blame NAME
  who was harmed, said the agent?    jostle events --since 12h
  what happened at that time?        jostle report --history --since 03:00
  what can be measured here?         jostle doctor
"""


def _british(option: str) -> str:
    """`--neighbor` is `--neighbour`, and so for every option with it; no value comes here."""
    return option.replace("neighbor", "neighbour")


app = typer.Typer(
    name="jostle",
    help="Is this workload slowed by its neighbours, by how much, by whom, and what would help?",
    epilog=EPILOG,
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


def _host_root(folder: str | None) -> None:
    if folder:
        from collectors.host.roots import set_host_root

        set_host_root(folder)


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails (before the command).")
    ] = False,
    version: Annotated[
        bool, typer.Option("-V", "--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    host_root: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            callback=_host_root,
            envvar=_HOST_ROOT,
            show_envvar=False,
            help=f"Where a container has the host's / (before the command; {_HOST_ROOT}).",
        ),
    ] = None,
) -> None:
    """Options of all commands."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with the contract's code: 0, 1, 2, 3, 10, 11 or 130."""
    raise_on_signals()
    words = list(sys.argv[1:] if arguments is None else arguments)
    prepare_streams()
    end_with(lambda: _command(words), debug="--debug" in _before_command(words))


def wanted(words: Sequence[str]) -> str | None:
    """The command that is called or, by the shell, completed, if there is one of that name."""
    if COMPLETION in os.environ:
        words = next((os.environ[name].split()[1:] for name in COMPLETED if name in os.environ), ())
    first = next(iter(words[len(_before_command(words)) :]), None)
    return first if first in COMMANDS else None


def _before_command(words: Sequence[str]) -> list[str]:
    """The options that change what any command does, with the directory that one of them takes."""
    taken = 0
    while taken < len(words):
        has_value = words[taken] == "--host-root"
        if words[taken].partition("=")[0] not in OF_ALL_COMMANDS or len(words) == taken + has_value:
            break
        taken += 1 + has_value
    return list(words[:taken])


def register(*commands: str) -> None:
    """Import these and let them be called: one alone where one is, as statistics would add 70 MB to a recording."""
    for name in commands:
        import_module(f"agent.cli.{name}").register(app)
    for command in app.registered_commands:
        if command.cls is None or not issubclass(command.cls, PlainCommand):
            command.cls = PlainCommand


def list_commands() -> None:
    """Let all be listed by the help and by completion, without what they do."""
    for name, line in COMMANDS.items():
        app.command(name, help=line)(lambda: None)


def _with_command(words: list[str]) -> list[str]:
    """The words with the command that is meant where there is none; a shell that completes has none to run."""
    before = _before_command(words)
    after = words[len(before) :]
    is_alone = not after or after[0].partition("=")[0] in ALONE_OPTIONS
    return [*before, ALONE, *after] if is_alone and COMPLETION not in os.environ else words


def _command(words: list[str]) -> int:
    """Parse and run; the exit code that the command asks for.

    Raises:
        UsageError: The words are not a command.
    """
    words = _with_command(words)
    name = wanted(words)
    register(name) if name else list_commands()
    try:
        code = app(args=words, prog_name="jostle", standalone_mode=False)
    except typer.TyperException as error:
        command = f"jostle {name}" if name else "jostle"
        raise UsageError(plain(error), f"see `{command} --help`") from error
    return int(code or 0)
