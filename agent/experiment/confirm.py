"""`--confirm`: each suspect stopped alone, several times, in rounds with trials in which all of them run."""

import contextlib
from collections.abc import Mapping, Sequence

from agent.documents.verdict import Aggressor
from agent.documents.verdict_parts import Arm, Confirmation
from agent.experiment.rounds import FEWEST_ROUNDS, Design, Rounds
from agent.experiment.treatment import BESIDE_ALL, Treatment
from agent.sandbox.cgroups import PREFIX
from agent.sandbox.existing import ExistingCgroup, Freezable, find_cgroup, freezable
from agent.statistics import LookPlan as Looks
from agent.statistics import secondary_effects
from collectors.host.hierarchy import CgroupLayout
from collectors.windows.sched import is_within
from probes.errors import HostError, UsageError

# Somebody who is charged with less is not worth being stopped.
LEAST_SUSPECT_PCT = 5.0


def bystanders(
    aggressors: Sequence[Aggressor],
    neighbours: Sequence[str],
    victim: ExistingCgroup | None,
    layout: CgroupLayout,
) -> list[Freezable]:
    """Those aggressors that are none of the neighbours, and may be frozen."""
    found: list[Freezable] = []
    for aggressor in aggressors:
        if not _is_worth_stopping(aggressor, neighbours):
            continue
        # What must not or cannot be frozen is left alone: nobody asked for this one.
        with contextlib.suppress(UsageError, HostError):
            found.append(freezable(find_cgroup(aggressor.cgroup, layout), victim, layout))
    return found


def _is_worth_stopping(aggressor: Aggressor, neighbours: Sequence[str]) -> bool:
    path = aggressor.cgroup
    if any(is_within(path, other) or is_within(other, path) for other in neighbours):
        return False
    # What is no cgroup (`kernel`, `other`) has no path; and another jostle's trial is not to be disturbed.
    return (
        path.startswith("/")
        and not path.startswith(f"/{PREFIX}")
        and aggressor.share_pct >= LEAST_SUSPECT_PCT
    )


def confirmation(suspects: Sequence[str], pairs: int, seed: int) -> Design:
    """The rounds to run; `suspects` are cgroup paths."""
    treatments = (BESIDE_ALL, *map(stopped, suspects))
    return Design("each suspect stopped alone", treatments, max(pairs, FEWEST_ROUNDS), f"{seed} confirm")


def stopped(suspect: str) -> Treatment:
    """The treatment in which one suspect alone does not run."""
    return Treatment(Arm.WITH, stopped=suspect)


def confirmations(rounds: Rounds, names: Mapping[str, str], threshold_pct: float) -> tuple[Confirmation, ...]:
    """Each suspect's own effect, the largest first: how much slower the victim is when it runs beside the others too.

    The intervals hold together with 95 % (Bonferroni), however many suspects there are. Empty without a round.
    """
    if not rounds.whole:
        return ()
    pairs = {path: (rounds.pairs(stopped(path), BESIDE_ALL), rounds.better) for path in names}
    effects = secondary_effects(pairs, threshold_pct, Looks((len(rounds.whole),)))
    found = [
        Confirmation(path, names[path], effect.slowdown_pct, effect.ci95_pct, effect.pairs)
        for path, effect in effects.items()
    ]
    return tuple(sorted(found, key=lambda entry: -entry.slowdown_pct))


def describe(confirmed: Sequence[Confirmation]) -> str:
    """The clause for the reason."""
    sure = [entry for entry in confirmed if entry.ci95_pct is not None and entry.ci95_pct[0] > 0]
    if not sure:
        return "stopping each suspect alone confirms none of them"
    first = sure[0]
    low, high = first.ci95_pct or (first.slowdown_pct, first.slowdown_pct)
    others = f", and {len(sure) - 1} more" if len(sure) > 1 else ""
    return (
        f"stopping {first.name} alone confirms it (its own effect {first.slowdown_pct:.1f} %, "
        f"interval {low:.1f} to {high:.1f} %){others}"
    )
