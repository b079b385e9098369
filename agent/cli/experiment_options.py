"""The options of `jostle experiment`: one type each. Those for few are hidden, which `--help-all` lifts."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli import completion
from agent.cli.help import NOTE_HELP, TITLE_HELP, duration_option
from collectors.sources.tiers import Tier

PAIRS, DEFAULT_MAX_PAIRS = 4, 24
THRESHOLD_PCT = 5.0
TRIAL_S = 5.0
TIMEOUT_S = 600.0

Victim = Annotated[str | None, typer.Option(metavar="CMD", help="Run once per trial, in its own cgroup.")]
VictimCgroup = Annotated[
    str | None,
    typer.Option(metavar="CGROUP", autocompletion=completion.cgroups, help="Or watch this existing one."),
]
Neighbour = Annotated[
    list[str] | None,
    typer.Option(metavar="CMD", help="Runs beside it in half of the trials (*)."),
]
NeighbourCgroup = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CGROUP",
        autocompletion=completion.cgroups,
        help="Or freeze this one in the other half (*).",
    ),
]
AllowFreeze = Annotated[bool, typer.Option("--allow-freeze", help="Existing cgroups may be frozen.")]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(metavar="SPEC", help="A reader, or NAME=REGEX:lower|higher[:UNIT] (*)."),
]
Pairs = Annotated[
    int, typer.Option(metavar="N", help=f"Pairs of trials to begin with ({PAIRS}).", show_default=False)
]
MaxPairs = Annotated[
    int | None,
    typer.Option(metavar="N", help=f"The most to run while undecided ({DEFAULT_MAX_PAIRS}).", hidden=True),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", help="Of the random order (default: drawn).", hidden=True)
]
Threshold = Annotated[
    float,
    typer.Option(
        metavar="PCT", help=f"The smallest slowdown that matters ({THRESHOLD_PCT:g}).", show_default=False
    ),
]
Confirm = Annotated[bool, typer.Option("--confirm", help="After interference, stop each suspect alone.")]
Sweep = Annotated[
    str | None, typer.Option(metavar="LEVELS", help="Quotas for the neighbours, such as 0,25,50,100.")
]
TrialSeconds = Annotated[
    float,
    duration_option(
        help_=f"How long to watch a cgroup in a trial ({TRIAL_S:g} s).", show_default=False, hidden=True
    ),
]
Timeout = Annotated[
    float,
    duration_option(
        help_=f"The longest one run may take ({TIMEOUT_S:g} s).", show_default=False, hidden=True
    ),
]
Cpus = Annotated[str | None, typer.Option(metavar="LIST", help="Pin the commands to these CPUs.")]
TierOption = Annotated[Tier, typer.Option(help="schedstat, psi: no BPF, and no blame.", hidden=True)]
NoCounters = Annotated[
    bool,
    typer.Option("--no-counters", help="Leave the hardware counters (IPC, misses) out.", hidden=True),
]
Directory = Annotated[Path | None, typer.Option("-o", metavar="DIR", help="Where reports and raw data go.")]
Json = Annotated[bool, typer.Option("--json", help="Print the verdict document alone.")]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Print all that was found, not the answer alone.", hidden=True)
]
Gate = Annotated[bool, typer.Option("--gate", help="Exit with 10: interference, 11: inconclusive.")]
Demo = Annotated[
    bool, typer.Option("--demo", help="Use the built-in victim and neighbour, on one CPU.", hidden=True)
]
Title = Annotated[str | None, typer.Option(metavar="TEXT", help=TITLE_HELP, hidden=True)]
Note = Annotated[str | None, typer.Option(metavar="TEXT", help=NOTE_HELP, hidden=True)]
