"""`jostle blame`: who one cgroup waited for, watched now or from a recording."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from agent.analysis.blame import blame, path_name, tasks_of
from agent.analysis.now import advice_for, watched
from agent.analysis.placement import settings_now
from agent.cli import completion, output
from agent.cli import history as from_history
from agent.cli.help import CGROUP_HELP, Depth, Verbose, duration_option
from agent.cli.history import BySecond, HistoryFile
from agent.documents.blame import BlameSummary
from agent.documents.tasks import tasks_within
from agent.recording import recorder
from agent.recording.budget import DEFAULT_BUDGET_PCT, Governor
from agent.recording.host import describe_host
from agent.sandbox.commands import interrupted_within
from agent.sandbox.interrupts import Interrupts
from agent.store.query import DEFAULT_HISTORY
from agent.store.recorded import cgroups_of
from agent.store.run_file import Run, pack, read_run
from collectors.host.hierarchy import detect_layout
from collectors.host.names import name_workload
from collectors.host.resolver import resolve
from collectors.sources.tasks import read_tasks
from collectors.sources.tiers import open_source
from probes.errors import UsageError
from probes.privilege import require_privilege

DEFAULT_DURATION_S, INTERVAL_S = 5.0, 1.0
DEFAULT_AROUND_S = 60.0
EPILOG = "Example: jostle blame api.service -d 10"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("blame", epilog=EPILOG)(blame_cgroup)


def blame_cgroup(
    cgroup: Annotated[
        str,
        typer.Argument(
            metavar="CGROUP",
            autocompletion=completion.cgroups,
            help=f"{CGROUP_HELP}; all below it is its own.",
            show_default=False,
        ),
    ],
    duration: Annotated[
        float | None,
        duration_option(
            "-d",
            "--duration",
            help_=f"How long to watch, such as 10 or 2m (default: {DEFAULT_DURATION_S:g}).",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            autocompletion=completion.recordings,
            help="Ask a recording instead of watching now.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="In the history: 03:12, 2026-03-01T03:12, 30m (ago).",
            show_default=False,
        ),
    ] = None,
    history_file: HistoryFile = None,
    seconds: BySecond = False,
    depth: Depth = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    verbose: Verbose = False,
) -> None:
    """Who this cgroup waited for, in milliseconds and in shares. They add up to its whole wait.

    With --at the agent's history is asked, for a minute, or as long as -d says.
    """
    if at is not None and run is not None:
        raise UsageError("--at is a time of the history, and --run a recording", "leave out one of them")
    if history_file is not None and at is None:
        raise UsageError("--history-file needs to know which time of it", "give --at")
    if seconds and at is None:
        raise UsageError("--seconds are of the history", "give --at")
    if at is not None:
        around_s = recorder.require_duration(DEFAULT_AROUND_S if duration is None else duration)
        period = from_history.around(at, around_s)
        past = from_history.load(history_file or DEFAULT_HISTORY, period, by_second=seconds)
        _show(_recorded(past, cgroup, depth), json_output=json_output, verbose=verbose)
        return
    if run is not None and duration is not None:
        raise UsageError("-d says how long to watch, and a recording is over", "leave out -d or --run")
    if run is not None:
        _show(_recorded(read_run(run), cgroup, depth), json_output=json_output, verbose=verbose)
        return
    duration_s = recorder.require_duration(DEFAULT_DURATION_S if duration is None else duration)
    with Interrupts() as interrupts:
        found = watch(cgroup, duration_s, interrupts, depth)
    _show(found, json_output=json_output, verbose=verbose)
    interrupts.check()


def _recorded(run: Run, cgroup: str, depth: int | None) -> BlameSummary:
    among = cgroups_of(run)

    def named(path: str) -> str:
        return among.workloads[path].name if path in among.workloads else path_name(path)

    path = resolve(cgroup, among)
    # What the host's settings were then nobody knows; lower tiers do not tell who was in the way.
    advice = advice_for(path, watched(run.windows, named, tasks=tasks_of(run))) if _tells(run) else ()
    return replace(blame(run, path, named, depth), advice=advice)


def _tells(run: Run) -> bool:
    return bool(run.windows) and run.meta.get("tier", "ebpf") == "ebpf"


def watch(cgroup: str, duration_s: float, interrupts: Interrupts, depth: int | None = None) -> BlameSummary:
    """Whom it waits for now, watched for so long or until a signal."""
    from collectors.host.live import live, require_told

    layout = detect_layout()
    path = resolve(cgroup, live(layout))
    require_told(path, layout)
    require_privilege()
    with open_source(layout, "ebpf") as source:
        governor, ended = Governor(source, DEFAULT_BUDGET_PCT), partial(interrupted_within, interrupts)
        before = read_tasks(layout)
        windows = tuple(recorder.windows(governor, INTERVAL_S, duration_s, ended))
    tasks = tasks_within(before, read_tasks(layout))
    meta = {"host": pack(describe_host(layout)), "tier": "ebpf", "tasks": pack(tasks)}
    run = Run(meta=meta, windows=windows, partial=interrupts.requested)

    def named(name: str) -> str:
        return name_workload(name).name

    advice = advice_for(path, watched(windows, named, settings_now(layout), tasks))
    return replace(blame(run, path, named, depth), advice=advice)


def _show(found: BlameSummary, *, json_output: bool, verbose: bool) -> None:
    from reports import json_document
    from reports.sections import blame as blame_sections

    if json_output:
        output.show(json_document.render_blame(found))
    else:
        output.show_report(blame_sections.blame_report(found), verbose=verbose)
