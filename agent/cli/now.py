"""`jostle` alone: ten seconds of this host, and who suffers, behind whom, and what to do."""

from functools import partial
from typing import Annotated

import typer

from agent.analysis.now import host_now, watched
from agent.analysis.placement import settings_now
from agent.cli import history as from_history
from agent.cli import output
from agent.cli.help import duration_option
from agent.cli.history import HistoryFile, Usuals
from agent.documents.now import HostNow
from agent.documents.tasks import tasks_within
from agent.recording import recorder
from agent.recording.budget import DEFAULT_BUDGET_PCT, Governor
from agent.recording.host import describe_host
from agent.sandbox.commands import interrupted_within
from agent.sandbox.interrupts import Interrupts
from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.names import name_workload
from collectors.sources.tasks import read_tasks
from collectors.sources.tiers import open_source
from probes.privilege import require_privilege

DEFAULT_DURATION_S, INTERVAL_S = 10.0, 1.0
EPILOG = "Example: jostle now -d 30   or the same for ten seconds: jostle"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("now", epilog=EPILOG)(now)


def now(
    duration: Annotated[
        float, duration_option("-d", "--duration", help_="How long to watch.")
    ] = DEFAULT_DURATION_S,
    history_file: HistoryFile = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Who suffers on this host, behind whom, and what to do. It is what `jostle` alone does."""
    duration_s, usual = recorder.require_duration(duration), from_history.usual(history_file)
    require_privilege()
    layout = detect_layout()
    output.say(f"jostle: watching this host for {duration_s:g} s (jostle --help tells what else it does)")
    with Interrupts() as interrupts:
        found = _watched(layout, duration_s, interrupts, usual)
    _show(found, json_output=json_output)
    interrupts.check()


def _watched(layout: CgroupLayout, duration_s: float, interrupts: Interrupts, usual: Usuals) -> HostNow:
    before = read_tasks(layout)
    with open_source(layout, "ebpf") as source:
        governor, ended = Governor(source, DEFAULT_BUDGET_PCT), partial(interrupted_within, interrupts)
        windows = list(recorder.windows(governor, INTERVAL_S, duration_s, ended))
    tasks = tasks_within(before, read_tasks(layout))
    seen = watched(windows, lambda path: name_workload(path).name, settings_now(layout), tasks)
    return host_now(describe_host(layout).hostname, seen, usual=usual, partial=interrupts.requested)


def _show(found: HostNow, *, json_output: bool) -> None:
    from reports import json_document
    from reports.sections import now as now_sections

    if json_output:
        output.show(json_document.render_now(found))
    else:
        output.show_report(now_sections.now_report(found), verbose=True)
