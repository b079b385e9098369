"""`jostle compare`: a verdict from two recordings made earlier."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli import history as from_history
from agent.cli import output
from agent.cli.history import HistoryFile, HistoryFlag
from agent.files import write_whole
from agent.runfile import read_run

EPILOG = "Example: jostle compare quiet.run busy.run --cgroup /api.slice/api.service"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=EPILOG)(compare_runs)


def compare_runs(
    without: Annotated[
        str,
        typer.Argument(metavar="WITHOUT", help="The run file without the neighbours.", show_default=False),
    ],
    with_: Annotated[str, typer.Argument(metavar="WITH", help="The one with them.", show_default=False)],
    cgroup: Annotated[
        str | None, typer.Option(metavar="PATH", help="The victim (default: the command that both recorded).")
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="PCT", help="The smallest slowdown that matters.")
    ] = 5.0,
    file: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="Also write the verdict document.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the verdict document alone.")] = False,
    history: HistoryFlag = False,
    history_file: HistoryFile = None,
) -> None:
    """A verdict from two recordings made earlier; weaker than an experiment, as nothing was interleaved.

    With --history they are periods, such as 02:00..02:30 and 03:00..03:30.
    """
    from agent.comparison import compare
    from reports import json_document, text, verdict_sections

    asked = from_history.asked(history, history_file)
    first, second = (
        read_run(Path(each)) if asked is None else from_history.load(asked, from_history.period(each))
        for each in (without, with_)
    )
    verdict = compare(first, second, cgroup, threshold)
    document = json_document.render_verdict(verdict)
    if file is not None:
        write_whole(file, document)
    if json_output:
        output.show(document)
    else:
        report = verdict_sections.verdict_report(verdict)
        output.show(text.render(report, width=output.width(), colour=output.colour()))
