"""`jostle agent`: the daemon that systemd runs."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from agent.cli.output import say
from agent.daemon import config as configuration
from agent.daemon.signals import SIGNALS
from probes.isolated import python

EPILOG = "Example: jostle agent --config /etc/jostle/jostle.toml"
# Named, not imported: it is another process that needs what it needs.
PROCESS = "agent.cli.agent_process"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("agent", epilog=EPILOG)(agent)


def agent(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"Its configuration (default: {configuration.DEFAULT_PATH})."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the configuration is right.")
    ] = False,
) -> None:
    """The daemon that systemd runs. History, detection and metrics, until SIGTERM; SIGHUP reads FILE again."""
    configuration.load(config)
    if check:
        say(f"{config or configuration.DEFAULT_PATH}: ok")
        return
    _become_daemon(config)


def _become_daemon(config: Path | None) -> NoReturn:
    """Replace this process. A signal that comes meanwhile waits for the new one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    words = [
        *(word for word in sys.argv[1:] if word == "--debug"),
        *([] if config is None else [str(config)]),
    ]
    os.execv(sys.executable, python(PROCESS, *words))  # noqa: S606  no shell is meant
