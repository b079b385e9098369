"""`jostle compare`: a verdict from two recordings made earlier, or from within one."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from agent.cli import completion, output
from agent.cli import history as from_history
from agent.cli.help import Note, Title, Verbose
from agent.cli.history import HistoryFile, HistoryFlag
from agent.store.files import write_whole
from agent.store.run_file import Run, read_run
from probes.errors import UsageError

EPILOG = "Example: jostle compare quiet.run busy.run --cgroup api.service"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=EPILOG)(compare_runs)


def compare_runs(
    without: Annotated[
        str | None,
        typer.Argument(
            metavar="WITHOUT",
            autocompletion=completion.recordings,
            hidden=True,
        ),
    ] = None,
    with_: Annotated[
        str | None,
        typer.Argument(
            metavar="WITH",
            autocompletion=completion.recordings,
            hidden=True,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            autocompletion=completion.recordings,
            help="Or one run file, in which a tenant came and went.",
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="CGROUP", autocompletion=completion.cgroups, help="That tenant.")
    ] = None,
    cgroup: Annotated[
        str | None,
        typer.Option(
            metavar="CGROUP",
            autocompletion=completion.cgroups,
            help="The victim (default: the recorded command).",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="PCT", help="The smallest slowdown that matters.")
    ] = 5.0,
    file: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="Also write the verdict document.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the verdict document alone.")] = False,
    verbose: Verbose = False,
    title: Title = None,
    note: Note = None,
    history: HistoryFlag = False,
    history_file: HistoryFile = None,
) -> None:
    """A verdict from recordings; an experiment's is stronger.

    WITHOUT and WITH are run files, or with --history periods, such as 02:00..02:30.
    """
    from reports import json_document
    from reports.sections import verdict as verdict_sections

    asked = from_history.asked(history, history_file)

    def load(name: str) -> Run:
        return read_run(Path(name)) if asked is None else from_history.load(asked, from_history.period(name))

    if within is not None or tenant is not None:
        name, tenant = require_within(within, tenant, without)
        from agent.analysis.within_run import compare_within

        verdict = compare_within(load(name), tenant, cgroup, threshold)
    else:
        first, second = require_two(without, with_)
        from agent.analysis.before_after import compare

        verdict = compare(load(first), load(second), cgroup, threshold)
    verdict = replace(verdict, title=title, note=note)
    document = json_document.render_verdict(verdict)
    if file is not None:
        write_whole(file, document)
    if json_output:
        output.show(document)
    else:
        output.show_report(verdict_sections.verdict_report(verdict), verbose=verbose)


def require_two(without: str | None, with_: str | None) -> tuple[str, str]:
    """The names of two recordings.

    Raises:
        UsageError: There are not two.
    """
    if without is None or with_ is None:
        missing = "WITHOUT and WITH" if without is None else "WITH"
        raise UsageError(
            f"compare needs two recordings: {missing} is missing", "or give --within RUN --tenant CGROUP"
        )
    return without, with_


def require_within(run: str | None, tenant: str | None, other: str | None) -> tuple[str, str]:
    """The name of one recording, and the tenant.

    Raises:
        UsageError: One of them is missing, or there is a further recording.
    """
    if run is None or tenant is None:
        missing = "--within RUN" if run is None else "--tenant CGROUP"
        raise UsageError(f"--within and --tenant go together: {missing} is missing", "give both")
    if other is not None:
        raise UsageError(f"--within is one recording, and {other} is another", "leave one of them out")
    return run, tenant
