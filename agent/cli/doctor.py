"""`jostle doctor`: what this host can measure, why not, and what would fix it."""

from enum import StrEnum
from typing import Annotated

import typer

from agent.cli import output
from probes.errors import HostError, UsageError

EPILOG = "Example: jostle doctor   or, of --metric: jostle doctor metrics"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=EPILOG)(doctor)


class Page(StrEnum):
    """What else it can print."""

    METRICS = "metrics"


def doctor(
    page: Annotated[
        Page | None, typer.Argument(metavar="metrics", help="Instead: what --metric reads of an output.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What this host can measure. Per capability: available, degraded or missing, why, and what would fix it."""
    if page is Page.METRICS:
        _metrics(json_output=json_output)
        return
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


def _metrics(*, json_output: bool) -> None:
    """The readers, which line of an output each looks for, and what is one result of several."""
    if json_output:
        raise UsageError("doctor metrics is a page to read", "leave out --json")
    from agent.experiment.victim_metrics.readers import READERS
    from reports import text
    from reports.sections.capabilities import metrics_report

    shown = metrics_report({name: (reader.looks_for, reader.about) for name, reader in READERS.items()})
    output.show(text.render(shown, width=output.width(), colour=output.colour()))
