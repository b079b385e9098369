"""`jostle advise`: what would help one cgroup that runs, tried on whom it waits for, in two minutes."""

import contextlib
import secrets
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from agent.cli import completion, output
from agent.cli import experiment_options as options
from agent.cli.blame import watch
from agent.cli.experiment import Words, carry_out, new_directory
from agent.cli.help import CGROUP_HELP, Verbose
from agent.documents.blame import BlameSummary, Charge, WaitPart
from agent.documents.metric import STRETCH
from agent.sandbox.cgroups import PREFIX
from agent.sandbox.existing import CONTROLLERS, Freezable, find_cgroup, find_neighbours, find_victim
from agent.sandbox.interrupts import Interrupts
from agent.sandbox.treatments import STOP, Remedy, changes_of
from collectors.host.hierarchy import detect_layout
from collectors.host.resolver import resolve
from probes.errors import HostError, UsageError
from reports.figures import percent, seconds

EPILOG = "Example: jostle advise api.service"
WATCH_S = 5.0
LEAST_SUSPECT_PCT = 5.0
MOST_SUSPECTS = 3
# Four remedies take 15 to 20 s a pair: with those five, within two minutes.
PAIRS = 4


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("advise", epilog=EPILOG)(advise)


def advise(
    cgroup: Annotated[
        str,
        typer.Argument(
            metavar="CGROUP", autocompletion=completion.cgroups, help=CGROUP_HELP, show_default=False
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything is touched.")] = False,
    max_stop_ms: options.MaxStopMs = 200.0,
    max_stopped_pct: options.MaxStoppedPct = 20.0,
    seed: options.Seed = None,
    directory: options.Directory = None,
    json_output: options.Json = False,
    verbose: Verbose = False,
) -> None:
    """What would help a running cgroup, tried on its neighbours.

    A weight of a quarter, half of the CPU time that they use, the idle class, and their absence; each for less than
    half a second at a time, and put back. It asks first, and takes two minutes at most.
    """
    from agent.experiment.plan import Plan
    from agent.experiment.victim_metrics import parse_spec
    from collectors.host.live import live

    layout = detect_layout()
    path = resolve(cgroup, live(layout, CONTROLLERS))
    find_victim(path, layout)
    with Interrupts() as interrupts:
        found = watch(path, WATCH_S, interrupts)
        interrupts.check()
    suspects, refused = _suspects(found, path)
    nothing = nothing_to_gain(found) or ("" if suspects else nobody_to_treat(found, refused))
    if nothing:
        output.say(f"{nothing}; nothing was touched. What it waits for: `jostle blame {shlex.quote(cgroup)}`")
        raise typer.Exit
    neighbours = tuple(each.path for each in suspects)
    remedies = _remedies(suspects, found)
    _ask(suspects, remedies, max_stop_ms, yes=yes)
    plan = Plan(
        victim=None,
        neighbours=(),
        metrics=(parse_spec(STRETCH.name),),
        pairs=PAIRS,
        max_pairs=PAIRS,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        threshold_pct=options.THRESHOLD_PCT,
        timeout_s=options.TIMEOUT_S,
        cpus=None,
        victim_cgroup=path,
        neighbour_cgroups=neighbours,
        allow_freeze=True,
        slots=True,
        remedies=remedies,
        max_stop_ms=max_stop_ms,
        max_stopped_pct=max_stopped_pct,
    )
    words = Words(None, None)
    carry_out(plan, directory or new_directory(), words, json_output=json_output, gate=False, verbose=verbose)


def nothing_to_gain(found: BlameSummary) -> str:
    """Why no remedy could matter: without all of its waits for others it were hardly faster. Empty: one could."""
    others_ms, wanted_ms = _waited_for_others_ms(found), found.run_ms + found.wait_ms
    if 100 * others_ms >= options.THRESHOLD_PCT * (wanted_ms - others_ms) and others_ms:
        return ""
    watched = f"in {seconds(found.duration_s)}"
    if not wanted_ms:
        return f"{found.name} wanted no CPU time {watched}"
    waited = percent(100 * others_ms / wanted_ms)
    return (
        f"{found.name} waited for other cgroups for {waited} of the CPU time that it wanted {watched}: "
        f"too little to matter ({options.THRESHOLD_PCT:g} %)"
    )


def nobody_to_treat(found: BlameSummary, refused: Sequence[str]) -> str:
    """Why nobody may be treated of those whom it waited for."""
    if not refused:
        return f"{found.name} waits for many others, none of whom has {LEAST_SUSPECT_PCT:g} % of it, or for the kernel"
    return f"whom {found.name} waits for must not be touched: {'; '.join(refused)}"


def is_suspect(part: WaitPart) -> bool:
    """Whether it has enough of the wait, and is a cgroup that no other jostle's trial made: that would be disturbed."""
    is_trial = (part.cgroup or "").startswith(f"/{PREFIX}")
    return part.charge is Charge.CGROUP and not is_trial and part.share_pct >= LEAST_SUSPECT_PCT


def _waited_for_others_ms(found: BlameSummary) -> float:
    return sum(part.wait_ms for part in found.parts if part.charge is Charge.CGROUP)


def _suspects(found: BlameSummary, victim: str) -> tuple[tuple[Freezable, ...], tuple[str, ...]]:
    """Whom it waits for longest, of those that may be stopped and are apart from one another; why others may not be."""
    layout = detect_layout()
    suspects: tuple[Freezable, ...] = ()
    refused: list[str] = []
    for part in found.parts:
        if part.cgroup and is_suspect(part):
            try:
                paths = [*(each.path for each in suspects), part.cgroup]
                suspects = find_neighbours(paths, find_cgroup(victim, layout), layout)
            except (UsageError, HostError) as error:
                refused.append(error.message)
    return suspects[:MOST_SUSPECTS], tuple(refused)


def _remedies(suspects: tuple[Freezable, ...], found: BlameSummary) -> tuple[Remedy, ...]:
    """Those that this host has a file for, on all of them."""
    waited_s = _waited_for_others_ms(found) / 1000
    # While one waits, the other runs: so much of a CPU the suspects had in its way.
    used = min(1.0, waited_s / found.duration_s) / len(suspects)
    wanted = (
        Remedy(STOP),
        Remedy("weight", "25"),
        Remedy("quota", f"{max(0.05, used / 2):.2f}"),
        Remedy("idle"),
    )
    layout, possible = detect_layout(), []
    for remedy in wanted:
        with contextlib.suppress(HostError):
            for suspect in suspects:
                changes_of(remedy, suspect, layout)
            possible.append(remedy)
    return tuple(possible)


def _ask(
    suspects: tuple[Freezable, ...], remedies: tuple[Remedy, ...], max_stop_ms: float, *, yes: bool
) -> None:
    """Say what would be done to whom, and have it allowed.

    Raises:
        UsageError: It is not, or nobody can be asked.
    """
    names = ", ".join(each.cgroup.called for each in suspects)
    what = ", ".join(remedy.text for remedy in remedies)
    output.say(
        f"This would try {what} on {names}, each for less than half a second at a time (stopping: {max_stop_ms:g} ms), "
        "for two minutes at most, and put all back."
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked whether that may be done", "say --yes")
    if not typer.confirm("Go on?", err=True):
        raise UsageError("nothing was touched")
