"""`jostle record`: every cgroup, or those that match, into one run file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from agent.cli import completion
from agent.cli.exit_codes import become
from agent.cli.help import FILTER_HELP, Note, Title, Verbose, duration_option
from agent.documents.times import stamp
from agent.recording.budget import DEFAULT_BUDGET_PCT
from collectors.sources.tiers import Tier

EPILOG = "Example: jostle record -d 60 -o before.run   or   jostle record -- make -j4"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("record", epilog=EPILOG)(record)


def record(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", hidden=True, show_default=False),
    ] = None,
    duration: Annotated[
        float | None,
        duration_option("-d", "--duration", help_="90, 10m, 2h (default: until Ctrl-C)."),
    ] = None,
    interval: Annotated[
        float, duration_option("-i", "--interval", help_="Length of a window.", show_default=False)
    ] = 1.0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The run file (default: jostle-TIME.run)."),
    ] = None,
    cgroup: Annotated[
        list[str] | None,
        typer.Option("--cgroup", metavar="CGROUP", autocompletion=completion.cgroups, help=FILTER_HELP),
    ] = None,
    tier: Annotated[
        Tier,
        typer.Option(help="schedstat, psi: no BPF, sums."),
    ] = "ebpf",
    max_overhead: Annotated[
        float,
        typer.Option(metavar="PCT", help="Above this, leave parts out."),
    ] = DEFAULT_BUDGET_PCT,
    no_counters: Annotated[
        bool, typer.Option("--no-counters", help="Leave the hardware counters (IPC, misses) out.")
    ] = False,
    no_io: Annotated[bool, typer.Option("--no-io", help="Leave disks out.")] = False,
    no_net: Annotated[bool, typer.Option("--no-net", help="Leave queues of network devices out.")] = False,
    title: Title = None,
    note: Note = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Record all cgroups, or some, for a time or while COMMAND runs."""
    options = {
        "duration_s": duration,
        "interval_s": interval,
        "output": str(output or f"jostle-{stamp()}.run"),
        "globs": _filters(cgroup) if cgroup else [],
        "budget_pct": max_overhead,
        "tier": tier,
        "counters": not no_counters,
        "io": not no_io,
        "net": not no_net,
        "title": title,
        "note": note,
        "json_output": json_output,
        "verbose": verbose,
    }
    debug = ["--debug"] if context.find_root().params["debug"] else []
    # The command's words as they are: each fitted into an argument already.
    become("agent.cli.record_process", *debug, json.dumps(options), *(command or []))


def _filters(wanted: list[str]) -> list[str]:
    """Names are those of now; a shell pattern may match what comes later."""
    from collectors.host.hierarchy import detect_layout
    from collectors.host.live import live
    from collectors.host.resolver import filters

    return list(filters(wanted, live(detect_layout()), later=True))
