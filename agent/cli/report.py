"""`jostle report`: render a run, a comparison, an experiment or a self-test again."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer
from msgspec.structs import replace

from agent.analysis.summarise import summarise
from agent.cli import completion, output
from agent.cli import history as from_history
from agent.cli.experiment import VERDICT_FILE
from agent.cli.help import FILTER_HELP, Note, Title
from agent.cli.history import BySecond, HistoryFile, HistoryFlag
from agent.documents.selftest import Selftest
from agent.documents.selftest_detection import DetectionSelftest
from agent.documents.summary import RunSummary
from agent.documents.verdict import Verdict
from agent.store.files import write_whole
from agent.store.run_file import read_run
from probes import bounded_json
from probes.errors import UsageError
from reports.sections.model import Report

EPILOG = (
    "Example: jostle report jostle-20260301T031200Z/ -f md -o review.md   or   "
    "jostle report --history --since 03:00 --until 03:30"
)

# A verdict of 1,000 trials has 1 MB; parsed, what is made to be large takes 25 times its size.
_MOST_BYTES = 4 << 20
_MOST_MEMORY = 64 << 20
Renderable = Verdict | RunSummary | Selftest | DetectionSelftest


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
        Path | None,
        typer.Argument(
            metavar="RUN",
            autocompletion=completion.recordings,
            help="A run file, a verdict.json, or an experiment's directory.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("-f", "--format", metavar="FORM", help="text, json, md or html.")
    ] = Format.TEXT,
    file: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Write it there.")] = None,
    history: HistoryFlag = False,
    history_file: HistoryFile = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="03:00, 2026-03-01T03:00 or 30m (ago).", show_default=False),
    ] = None,
    until: Annotated[str, typer.Option(metavar="TIME", help="As --since.")] = "now",
    cgroup: Annotated[
        list[str] | None, typer.Option(metavar="CGROUP", autocompletion=completion.cgroups, help=FILTER_HELP)
    ] = None,
    seconds: BySecond = False,
    title: Title = None,
    note: Note = None,
) -> None:
    """Render a recording, a verdict or a part of the history."""
    asked = from_history.asked(history, history_file)
    if (run is None) == (asked is None):
        raise UsageError("report needs one thing to render", "give RUN, or --history with --since")
    found: Renderable
    if asked is not None:
        past = from_history.load(asked, from_history.between(since, until), cgroup, by_second=seconds)
        found = summarise(past, by_moment=form is Format.HTML)
    elif since or cgroup or seconds:
        raise UsageError(
            "--since, --until, --cgroup and --seconds are for the history", "give --history, and no RUN"
        )
    else:
        found = load(cast("Path", run), by_moment=form is Format.HTML)
    found = replace(found, title=title or found.title, note=note or found.note)
    rendered = render(found, form, to_terminal=file is None)
    if file is None and form in (Format.HTML, Format.MARKDOWN):
        output.show_document(rendered)
    elif file is None:
        output.show(rendered)
        if asked is not None and form is Format.TEXT:
            output.say("Whom one of them waited for at a time: jostle blame NAME --at 03:12")
    else:
        write_whole(file, rendered)
        output.say(f"Written: {file}")


def load(path: Path, *, by_moment: bool = False) -> Renderable:
    """What a path holds: an experiment's or comparison's verdict, a self-test, or a recording's summary.

    `by_moment`: as `summarise` has it.

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
        return _document(path) if is_document else summarise(read_run(path), by_moment=by_moment)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})", "check its permissions") from error


def _document(path: Path) -> Verdict | Selftest | DetectionSelftest:
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise UsageError(f"{path} is longer than {_MOST_BYTES >> 20} MiB", "give a file that jostle wrote")
    try:
        document = bounded_json.parse(text.decode(), _MOST_MEMORY)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON document ({error})", "give a file that jostle wrote") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    kinds: dict[object, type[Selftest | DetectionSelftest]] = {
        Selftest.SCHEMA: Selftest,
        DetectionSelftest.SCHEMA: DetectionSelftest,
    }
    name = "self-test" if schema in kinds else "verdict"
    try:
        return kinds[schema].from_document(document) if schema in kinds else Verdict.from_document(document)
    except UsageError as error:
        raise UsageError(
            f"{path} is no {name} that can be read ({error})", "use the jostle that wrote it"
        ) from error


def render(result: Renderable, form: Format, *, to_terminal: bool) -> str:
    """The result in the form that was asked for."""
    from reports import markdown, text

    if form is Format.JSON:
        return _json(result)
    if form is Format.HTML:
        return _html(result)
    if form is Format.MARKDOWN:
        return markdown.render(_full(result))
    return text.render(_short(result), width=output.width(), colour=to_terminal and output.colour())


def _json(result: Renderable) -> str:
    from reports import json_document

    if isinstance(result, Verdict):
        return json_document.render_verdict(result)
    if isinstance(result, RunSummary):
        return json_document.render_run(result)
    return json_document.render_selftest(result)


def _html(result: Renderable) -> str:
    from reports import html

    if isinstance(result, Verdict):
        return html.render_verdict(result)
    if isinstance(result, RunSummary):
        return html.render_run(result)
    return html.render(_short(result))


def _full(result: Renderable) -> Report:
    from reports.sections import run as run_sections
    from reports.sections import verdict as verdict_sections

    if isinstance(result, Verdict):
        return verdict_sections.full_report(result)
    return run_sections.full_run_report(result) if isinstance(result, RunSummary) else _short(result)


def _short(result: Renderable) -> Report:
    from reports.sections import run as run_sections
    from reports.sections import selftest as selftest_sections
    from reports.sections import selftest_detection as detection_sections
    from reports.sections import verdict as verdict_sections

    if isinstance(result, Verdict):
        return verdict_sections.verdict_report(result)
    if isinstance(result, RunSummary):
        return run_sections.run_report(result)
    if isinstance(result, DetectionSelftest):
        return detection_sections.detection_report(result)
    return selftest_sections.selftest_report(result)
