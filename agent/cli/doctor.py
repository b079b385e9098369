"""`jostle doctor`: what this host can measure, why not, and what would fix it."""

from typing import Annotated

import typer

from agent.cli import output
from probes.errors import HostError

EPILOG = "Example: jostle doctor --json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=EPILOG)(doctor)


def doctor(
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What this host can measure. Per capability: available, degraded or missing, why, and what would fix it."""
    from agent.recording import examination
    from reports import json_document, text
    from reports.sections import capabilities as capabilities_sections

    found = examination.examine()
    if json_output:
        output.show(json_document.render_capabilities(found.capabilities, found.counting))
    else:
        report = capabilities_sections.doctor_report(found.capabilities, found.counting)
        output.show(text.render(report, width=output.width(), colour=output.colour()))
    if all(capability.state == "missing" for capability in found.capabilities):
        raise HostError("this host can measure nothing", found.capabilities[0].remedy)
