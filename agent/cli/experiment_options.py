"""The options of `jostle experiment`: one type each. Those for few are hidden, which `--help-all` lifts."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from agent.cli import completion
from agent.cli.help import NOTE_HELP, TITLE_HELP, PlainCommand, duration_option
from collectors.sources.tiers import Tier

PAIRS, DEFAULT_MAX_PAIRS = 6, 24
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
FirstPairs = Annotated[
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
When = Literal["auto", "always", "never"]
ConfirmOption = Annotated[
    When,
    typer.Option(
        "--confirm", metavar="WHEN", help="Stop each suspect alone: auto, always, never.", show_default=False
    ),
]


def spelt_out(words: Sequence[str]) -> list[str]:
    """`--confirm` alone, as all pages have it, means always; an option with a value cannot be told so to typer."""
    return [
        f"{word}=always" if word == "--confirm" and following not in get_args(When) else word
        for word, following in zip_longest(words, words[1:])
    ]


class BareConfirm(PlainCommand):
    """The command, whose `--confirm` may do without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  click's own, which typer hides
        """Give it its value."""
        return super().parse_args(ctx, spelt_out(args))


Sweep = Annotated[
    str | None, typer.Option(metavar="LEVELS", help="Quotas for the neighbours, such as 0,25,50,100.")
]
TrialSeconds = Annotated[
    float | None,
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
Remedies = Annotated[
    list[str] | None,
    typer.Option(
        "--remedy",
        metavar="REMEDY",
        help="Try this on running neighbours, such as weight=50 (*).",
        hidden=True,
    ),
]
MaxStopMs = Annotated[
    float,
    typer.Option(
        metavar="MS", help="The longest stop of a running neighbour (200).", hidden=True, show_default=False
    ),
]
MaxStoppedPct = Annotated[
    float,
    typer.Option(
        metavar="PCT", help="The most of the time it is stopped (20).", hidden=True, show_default=False
    ),
]
AbortIf = Annotated[
    str | None,
    typer.Option(metavar="LIMIT", help="End at once where a figure is, such as 'probe > 50'.", hidden=True),
]
Prepare = Annotated[
    str | None,
    typer.Option(metavar="CMD", help="Before each trial; exit code 75 repeats the trial.", hidden=True),
]
Cleanup = Annotated[
    str | None, typer.Option(metavar="CMD", help="After each trial; exit code 75 likewise.", hidden=True)
]
WarmUp = Annotated[
    int,
    typer.Option(
        "--warmup", metavar="N", help="Runs first that do not count (1).", hidden=True, show_default=False
    ),
]
CpuCost = Annotated[
    float | None,
    typer.Option("--cpu-cost", metavar="PRICE", help="Of a CPU for a year: what it costs.", hidden=True),
]
Instances = Annotated[
    int,
    typer.Option(metavar="N", help="How many victims there are (1).", hidden=True, show_default=False),
]
Append = Annotated[
    Path | None, typer.Option("--append", metavar="FILE", help="Add the verdict's line (CSV).", hidden=True)
]
Cpus = Annotated[str | None, typer.Option(metavar="LIST", help="Pin the commands to these CPUs.")]
TierOption = Annotated[Tier, typer.Option(help="schedstat, psi: no BPF, and no blame.", hidden=True)]
NoCounters = Annotated[
    bool,
    typer.Option("--no-counters", help="Leave the hardware counters (IPC, misses) out.", hidden=True),
]
ShowPlan = Annotated[
    bool,
    typer.Option("--plan", help="Two pairs only: what this host can show, and in what time.", hidden=True),
]
Directory = Annotated[Path | None, typer.Option("-o", metavar="DIR", help="Where reports and raw data go.")]
Json = Annotated[bool, typer.Option("--json", help="Print the verdict document alone.")]
HiddenVerbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Print all that was found, not the answer alone.", hidden=True)
]
Gate = Annotated[bool, typer.Option("--gate", help="Exit with 10: interference, 11: inconclusive.")]
Demo = Annotated[
    bool, typer.Option("--demo", help="Use the built-in victim and neighbour, on one CPU.", hidden=True)
]
HiddenTitle = Annotated[str | None, typer.Option(metavar="TEXT", help=TITLE_HELP, hidden=True)]
HiddenNote = Annotated[str | None, typer.Option(metavar="TEXT", help=NOTE_HELP, hidden=True)]
