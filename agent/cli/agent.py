"""`jostle agent`: the daemon that systemd runs."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.exit_codes import become
from agent.cli.output import say
from agent.daemon import config as configuration

EPILOG = "Example: jostle agent --config /etc/jostle/jostle.toml"
# mallopt(3): by itself glibc keeps large blocks once it has freed one, and gives each thread a heap of its own: 0.5 MB.
HEAP = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("agent", epilog=EPILOG)(agent)


def agent(
    context: typer.Context,
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
    debug = ["--debug"] if context.find_root().params["debug"] else []
    become("agent.cli.agent_process", *debug, *([] if config is None else [str(config)]), environment=HEAP)
