"""`jostle` alone: ten seconds of this host, and who suffers, behind whom, and what to do."""

from typing import Annotated

import typer

from agent.analysis.now import Placement, host_now
from agent.cli import output
from agent.cli.help import duration_option
from agent.detection.quota import binding_quota
from agent.documents.now import HostNow
from agent.recording import recorder
from agent.recording.budget import DEFAULT_BUDGET_PCT, Governor
from agent.recording.host import describe_host
from agent.sandbox.commands import wait_for_first
from agent.sandbox.interrupts import Interrupted, Interrupts
from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.names import name_workload
from collectors.host.placement import allowed_cpus, weights
from collectors.host.readings import Missing
from collectors.host.topology import read_topology
from collectors.sources.tiers import open_source
from probes.loader import require_privilege

DEFAULT_DURATION_S, INTERVAL_S = 10.0, 1.0
EPILOG = "Example: jostle now -d 30   or the same for ten seconds: jostle"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("now", epilog=EPILOG)(now)


def now(
    duration: Annotated[
        float, duration_option("-d", "--duration", help_="How long to watch.")
    ] = DEFAULT_DURATION_S,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Who suffers on this host, behind whom, and what to do. It is what `jostle` alone does."""
    duration_s = recorder.require_duration(duration)
    require_privilege()
    layout = detect_layout()
    output.say(f"jostle: watching this host for {duration_s:g} s (jostle --help tells what else it does)")
    with Interrupts() as interrupts:
        found = _watched(layout, duration_s, interrupts)
    _show(found, json_output=json_output)
    interrupts.check()


def _watched(layout: CgroupLayout, duration_s: float, interrupts: Interrupts) -> HostNow:
    host = describe_host(layout)
    topology = read_topology()
    online = range(host.cpus) if isinstance(topology.online, Missing) else sorted(topology.online)

    def ended(seconds: float) -> bool:
        try:
            return wait_for_first([], seconds, interrupts) is not None
        except Interrupted:
            return True

    with open_source(layout, "ebpf") as source:
        windows = list(recorder.windows(Governor(source, DEFAULT_BUDGET_PCT), INTERVAL_S, duration_s, ended))

    def placed(path: str, aggressor: str | None) -> Placement:
        return Placement(
            allowed_cpus(layout, path),
            binding_quota(layout, path),
            None if aggressor is None else weights(layout, path, aggressor),
        )

    return host_now(
        host.hostname,
        windows,
        online,
        lambda path: name_workload(path).name,
        placed,
        partial=interrupts.requested,
    )


def _show(found: HostNow, *, json_output: bool) -> None:
    from reports import json_document, text
    from reports.escape import for_terminal
    from reports.sections import now as now_sections

    if json_output:
        output.show(json_document.render_now(found))
        return
    lines = "".join(f"{for_terminal(line)}\n" for line in now_sections.answer(found))
    report = now_sections.now_report(found)
    output.show(f"{lines}\n{text.render(report, width=output.width(), colour=output.colour())}")
