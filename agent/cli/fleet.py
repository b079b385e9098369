"""`jostle fleet`: questions to a fleet's dataset, a review of it, and its upkeep."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from agent.cli import output
from agent.cli.help import NOTE_HELP, TITLE_HELP, HelpAll
from agent.cli.report import Format
from agent.cli.ship import DATASET_HELP
from agent.fleet.ask import ALL, Asked, ask
from agent.fleet.engines import ENGINES
from agent.fleet.place import place_of
from agent.store.files import write_whole
from agent.store.query import moment_ns
from probes.errors import UsageError

if TYPE_CHECKING:
    from agent.documents.fleet import FleetAnswers

EPILOG = f"""Example: jostle fleet review s3://capacity/jostle -f html -o review.html

QUESTION: {", ".join(ALL)}; review: all; compact: rewrite past days to large files."""
REVIEW, COMPACT = "review", "compact"
_WIDE = 120  # characters, in which all columns of an answer have room


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fleet", epilog=EPILOG)(fleet)


def fleet(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="See below.", show_default=False)],
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=DATASET_HELP)],
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="owner=shop, host=web-*, label:pool=a (repeatable)."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="2026-03-01, 7d (ago).", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="As --since.", show_default=False, hidden=True)
    ] = None,
    form: Annotated[
        Format, typer.Option("-f", "--format", metavar="FORM", help="text, json, md or html.")
    ] = Format.TEXT,
    file: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Write it there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As -f json.")] = False,
    engine: Annotated[
        str, typer.Option(metavar="ENGINE", help="duckdb, clickhouse or spark.", hidden=True)
    ] = "duckdb",
    by: Annotated[
        str,
        typer.Option(
            metavar="WHAT", help="For change: kernel, cpu_model, label:NAME or a time.", hidden=True
        ),
    ] = "kernel",
    objective_ms: Annotated[
        float, typer.Option("--objective", metavar="MS", help="The p99 wait that is good.", hidden=True)
    ] = 10.0,
    cost: Annotated[float, typer.Option(metavar="MONEY", help="Of a CPU-hour.", hidden=True)] = 0.04,
    limit: Annotated[
        int | None, typer.Option(metavar="ROWS", help="Of each answer (20; of a review's 10).", hidden=True)
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep an object store's files here.", hidden=True)
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help=TITLE_HELP, hidden=True)] = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help=NOTE_HELP, hidden=True)] = None,
    help_all: HelpAll = False,  # noqa: ARG001  acts by itself
) -> None:
    """Ask a fleet: who costs whom how much, and at which load."""
    if question == COMPACT:
        _compact(dataset)
        return
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}", f"give one of {', '.join(ENGINES)}")
    asked = Asked(
        questions=ALL if question == REVIEW else (question,),
        engine=engine,
        conditions=where or (),
        since_s=_time_s(since),
        until_s=_time_s(until),
        limit=limit or (10 if question == REVIEW else 20),
        objective_ms=objective_ms,
        cpu_hour_cost=cost,
        by=_by(by),
        cache=cache,
        command=("jostle", *sys.argv[1:]),
    )
    found = replace(ask(place_of(dataset), asked), title=title, note=note)
    rendered = render(found, Format.JSON if as_json else form, to_terminal=file is None)
    if file is not None:
        write_whole(file, rendered)
        output.say(f"wrote {file}")
    elif form in (Format.HTML, Format.MARKDOWN):
        output.show_document(rendered)
    else:
        output.show(rendered)


def _compact(dataset: str) -> None:
    from agent.fleet.compact import compact

    done = compact(place_of(dataset))
    for each in done:
        output.say(
            f"{each.day}: {each.sources} hours of hosts in {each.files} files, {each.bytes / 2**20:.0f} MiB; "
            f"{each.removed} files removed"
        )
    if not done:
        output.say("nothing to compact: no day is over that has hours of its own")


def render(found: "FleetAnswers", form: Format, *, to_terminal: bool) -> str:
    """The answers in the form that was asked for."""
    from reports import json_document, markdown, text
    from reports.sections.fleet import fleet_report

    if form is Format.JSON:
        return json_document.render_fleet(found)
    if form is Format.HTML:
        from reports import html

        return html.render_fleet(found)
    if form is Format.MARKDOWN:
        return markdown.render(fleet_report(found))
    width = output.width()
    report = fleet_report(found, narrow=width < _WIDE)
    return text.render(report, width=width, colour=to_terminal and output.colour())


def _time_s(text: str | None) -> float | None:
    return None if text is None else moment_ns(text, datetime.now().astimezone().replace(tzinfo=None)) / 1e9


def _by(text: str) -> str | float:
    return (_time_s(text) or 0.0) if text[:1].isdecimal() else text
