"""`jostle selftest`: known neighbours beside known victims, and how often the verdict is right."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer

from agent.cli import output
from agent.cli.report import load
from agent.documents.selftest import Selftest
from agent.sandbox.interrupts import Interrupts
from agent.selftest.scenarios import scenarios
from agent.store.files import write_whole
from collectors.host.topology import read_topology
from probes.errors import UsageError
from probes.privilege import require_privilege

EPILOG = "Example: jostle selftest -o selftest.json"
# 42 scenarios, of which 14 have nothing to find: 56 experiments of these, 80 of the others.
REPEAT = 4
MOST_REPEAT = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("selftest", epilog=EPILOG)(selftest)


def selftest(
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_REPEAT, help="Experiments of each scenario.")
    ] = REPEAT,
    nothing: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=MOST_REPEAT, help="Of those with nothing to find (default: as --repeat)."
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this scenario (repeatable).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of the random order (default: drawn).")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Show the scenarios and their labels.")] = False,
    detection: Annotated[
        bool,
        typer.Option(
            "--detection", help="Of the agent's incidents instead: episodes, two at a time, 4 minutes each."
        ),
    ] = False,
    bystander: Annotated[
        bool,
        typer.Option(
            "--bystander",
            help="Beside a process of no experiment that wants 40 % of each CPU in random bursts.",
        ),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Go on with a document that is partial.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("-o", metavar="FILE", help="Also write the document, after each experiment."),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the document alone.")] = False,
) -> None:
    """Say how often the verdict is right on this host. Runs known neighbours beside known victims, for half an hour."""
    if detection:
        from agent.cli import selftest_detection

        if bystander or nothing is not None:
            raise UsageError("--bystander and --nothing are not for --detection", "leave them out")
        selftest_detection.selftest(
            repeat, scenario or [], seed, resume, file, list_only=list_only, json_output=json_output
        )
        return
    from agent.cli.selftest_progress import progress
    from agent.selftest.run import Campaign, choose_cpus, label_of, resumed, run_selftest
    from reports import json_document, text
    from reports.sections import selftest as selftest_sections

    cpus = choose_cpus(sorted(os.sched_getaffinity(0)), read_topology())
    chosen = choose(scenarios(cpus), scenario or [], "scenario", "jostle selftest --list")
    if list_only:
        labels = tuple(map(label_of, chosen))
        show(
            json_document.render_labels(labels),
            text.render(
                selftest_sections.scenario_list(labels), width=output.width(), colour=output.colour()
            ),
            json_output=json_output,
        )
        return
    require_privilege()
    campaign = Campaign(
        chosen, repeat, secrets.randbelow(2**31) if seed is None else seed, bystander, nothing
    )
    begun = None
    if resume is not None:
        begun, file = _begun(resume), file or resume
        campaign = resumed(begun, scenarios(cpus))

    def keep(so_far: Selftest) -> None:
        if file is not None:
            write_whole(file, json_document.render_selftest(so_far))

    with Interrupts() as interrupts:
        with progress() as observer:
            result = run_selftest(campaign, observer, interrupts, keep, begun)
        keep(result)
        document = json_document.render_selftest(result)
        report = selftest_sections.selftest_report(result)
        show(
            document,
            text.render(report, width=output.width(), colour=output.colour()),
            json_output=json_output,
        )
        interrupts.check()


def _begun(path: Path) -> Selftest:
    found = load(path)
    if not isinstance(found, Selftest):
        raise UsageError(f"{path} is no self-test", "give the file that -o has written")
    return found


class Named(Protocol):
    """A scenario, or an episode."""

    @property
    def name(self) -> str:
        """Short, unique."""


N = TypeVar("N", bound=Named)


def choose(known: Sequence[N], names: Sequence[str], what: str, listing: str) -> tuple[N, ...]:
    """Those of these names, or all.

    Args:
        known: All there are.
        names: Empty for all.
        what: What one is called.
        listing: The command that lists them.

    Raises:
        UsageError: There is none of such a name.
    """
    unknown = sorted(set(names) - {each.name for each in known})
    if unknown:
        raise UsageError(f"there is no {what} {unknown[0]!r}", f"see `{listing}`")
    return tuple(each for each in known if not names or each.name in names)


def show(document: str, report: str, *, json_output: bool) -> None:
    """Print one of the two."""
    output.show(document if json_output else report)
