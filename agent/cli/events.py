"""`jostle events`: what the agent told, from its history."""

from typing import Annotated

import typer

from agent.cli import history as from_history
from agent.cli import output
from agent.cli.history import HistoryFile
from agent.store.query import DEFAULT_HISTORY, load_incidents
from probes.errors import UsageError

EPILOG = (
    "Example: jostle events --since 12h --victim 'web*', then jostle events --since 12h --victim 'web*' 2"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events", epilog=EPILOG)(events)


def events(
    number: Annotated[
        int | None,
        typer.Argument(metavar="NUMBER", min=1, help="Explain this one of the list.", show_default=False),
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="03:00, 2026-03-01T03:00 or 30m (ago).")] = "1d",
    until: Annotated[str, typer.Option(metavar="TIME", help="As --since.")] = "now",
    victim: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only these victims, by name or path.", show_default=False),
    ] = None,
    aggressor: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only what these did.", show_default=False)
    ] = None,
    history_file: HistoryFile = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The agent's incidents: list, filter, explain. Who suffered, behind whom, for how long, at what cost."""
    period = from_history.between(since, until)
    found = load_incidents(history_file or DEFAULT_HISTORY, period, victim or (), aggressor or ())
    if number is not None and number > len(found.incidents):
        raise UsageError(f"there is no incident {number}", f"there are {len(found.incidents)} from {period}")
    chosen = None if number is None else found.incidents[number - 1]
    if json_output:
        from msgspec.structs import replace

        from reports import json_document

        output.show(json_document.render_incidents(replace(found, incidents=(chosen,)) if chosen else found))
        return
    from reports.sections import events as sections

    output.show_report(
        sections.incident_report(chosen, history_file) if chosen else sections.incidents_report(found),
        verbose=True,
    )
