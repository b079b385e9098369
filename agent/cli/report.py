"""`jostle report`: render a run, a comparison or an experiment again."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli import output
from agent.cli.experiment import VERDICT_FILE
from agent.files import write_whole
from agent.runfile import read_run
from agent.summarise import summarise
from agent.summary import RunSummary
from agent.verdict import Verdict
from probes.errors import UsageError

EPILOG = "Example: jostle report jostle-20260301T031200Z/ -f md -o review.md"


class Format(StrEnum):
    """What a report can be rendered to."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "md"
    HTML = "html"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog=EPILOG)(report)


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run file, a verdict.json, or an experiment's directory.")
    ],
    form: Annotated[Format, typer.Option("-f", "--format", help="How to render it.")] = Format.TEXT,
    file: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Write it there.")] = None,
) -> None:
    """Render a run, a comparison or an experiment again."""
    rendered = render(load(run), form, to_terminal=file is None)
    if file is None:
        output.show(rendered)
    else:
        write_whole(file, rendered)


def load(path: Path) -> Verdict | RunSummary:
    """What a path holds: an experiment's or comparison's verdict, or a recording's summary.

    Raises:
        UsageError: Neither.
    """
    if path.is_dir():
        path /= VERDICT_FILE
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "give a run file or an experiment's directory")
    try:
        with path.open("rb") as file:
            is_document = file.read(64).lstrip().startswith(b"{")
        return _verdict(path) if is_document else summarise(read_run(path))
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})", "check its permissions") from error


def _verdict(path: Path) -> Verdict:
    try:
        return Verdict.from_document(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON document ({error})", "give a file that jostle wrote") from error
    except UsageError as error:
        raise UsageError(
            f"{path} is no verdict that can be read ({error})", "use the jostle that wrote it"
        ) from error


def render(result: Verdict | RunSummary, form: Format, *, to_terminal: bool) -> str:
    """The result in the form that was asked for."""
    from reports import json_document, markdown, run_sections, text, verdict_sections

    if form is Format.JSON:
        return (
            json_document.render_verdict(result)
            if isinstance(result, Verdict)
            else json_document.render_run(result)
        )
    if form is Format.HTML:
        from reports import html

        return (
            html.render_verdict(result)
            if isinstance(result, Verdict)
            else html.render(run_sections.run_report(result))
        )
    if not isinstance(result, Verdict):
        sections = run_sections.run_report(result)
    elif form is Format.MARKDOWN:
        sections = verdict_sections.full_report(result)
    else:
        sections = verdict_sections.verdict_report(result)
    if form is Format.MARKDOWN:
        return markdown.render(sections)
    return text.render(sections, width=output.width(), colour=to_terminal and output.colour())
