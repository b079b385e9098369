"""`--help` fits a screen; `--help-all` of a command with more options than that shows every one of them."""

from typing import Annotated, Any

import typer

from agent.cli.output import show
from agent.documents.times import duration_s


def _help_all(context: typer.Context, wanted: bool) -> None:  # noqa: FBT001  typer's way to call back
    if wanted:
        for parameter in context.command.params:
            parameter.hidden = False  # type: ignore[attr-defined]  # an option's; an argument ignores it
        show(f"{context.get_help()}\n")
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option("--help-all", callback=_help_all, is_eager=True, help="Show further options, and exit."),
]

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print all, not the answer alone.")]

CGROUP_HELP = "A path, unit, container, NAMESPACE/POD[/CONTAINER], PID or process name"
"""What `collectors.host.resolver` understands."""
TITLE_HELP, NOTE_HELP = "Stands above all in the report.", "A remark, below its first lines."
Title = Annotated[str | None, typer.Option(metavar="TEXT", help=TITLE_HELP, show_default=False)]
Note = Annotated[str | None, typer.Option(metavar="TEXT", help=NOTE_HELP, show_default=False)]
FILTER_HELP = "Only these: names or patterns (repeatable)."


def duration_option(*names: str, help_: str, **more: Any) -> Any:  # noqa: ANN401  as typer.Option has it
    """An option that takes a duration, which the command gets as seconds."""
    return typer.Option(*names, metavar="DURATION", parser=duration_s, help=help_, **more)
