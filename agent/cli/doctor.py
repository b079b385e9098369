"""`jostle doctor`: what this host can measure, why not, and what would mend it."""

from typing import Annotated

import typer

from agent import doctor as examination
from agent.cli import output
from probes.errors import HostError

EPILOG = "Example: jostle doctor --json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=EPILOG)(doctor)


def doctor(
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What this host can measure. Per signal: available, degraded or missing, why, and what would mend it."""
    from reports import json_document, signal_sections, text

    found = examination.examine()
    if json_output:
        output.show(json_document.render_signals(found.signals, found.counting))
    else:
        report = signal_sections.doctor_report(found.signals, found.counting)
        output.show(text.render(report, width=output.width(), colour=output.colour()))
    if all(signal.state == "missing" for signal in found.signals):
        raise HostError("this host can measure nothing", found.signals[0].remedy)
