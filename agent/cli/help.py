"""`--help` fits a screen; `--help-all` of a command with more options than that shows every one of them."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from agent.cli.output import show
from agent.documents.times import duration_s

_TYPE = re.compile(r"^([^-].*|-- .*) <[^>]*>$")


class _PlainRows(typer.Context.formatter_class):  # type: ignore[misc,valid-type]  # a class that typer does not export
    """Names of arguments without the parser's types, such as `<list[str]>`, which are no words of a command line."""

    def write_dl(self, rows: Sequence[tuple[str, str]], *limits: int, **named: int) -> None:
        """Rows of a name and its help."""
        plain = [(_TYPE.sub(r"\1", name), text) for name, text in rows]
        super().write_dl(plain, *limits, **named)


class _PlainContext(typer.Context):
    formatter_class = _PlainRows


class PlainCommand(TyperCommand):
    """A command whose help has no words of the parser's."""

    context_class = _PlainContext


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

Depth = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Name by N parts of a path, not by tenant.", show_default=False),
]


def duration_option(*names: str, help_: str, **more: Any) -> Any:  # noqa: ANN401  as typer.Option has it
    """An option that takes a duration, which the command gets as seconds."""
    return typer.Option(*names, metavar="DURATION", parser=duration_s, help=help_, **more)
