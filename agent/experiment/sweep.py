"""`--sweep`: the victim's slowdown with the neighbours under a CPU quota, at several levels."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.analysis.trials import TrialResult
from agent.documents.verdict_parts import Arm, SweepPoint
from agent.experiment.rounds import FEWEST_ROUNDS, Design, Rounds
from agent.experiment.treatment import ALONE, Treatment
from agent.statistics import Slowdown, SweepFit, fit_sweep, largest_harmless_level, slowdown

_NS_PER_S = 1e9
# Two rounds at least, or there is no interval.
_FEWEST_FITTED = 2


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """The levels with what each costs, and the sentence that a capacity review wants."""

    points: tuple[SweepPoint, ...]
    sentence: str


def sweep_design(levels_pct: Sequence[float], pairs: int, seed: int) -> Design:
    """The rounds to run: every level, and always a trial without the neighbours to compare it with."""
    treatments = (ALONE, *(at_level(level_pct) for level_pct in levels_pct if level_pct))
    return Design("neighbours at several levels", treatments, max(pairs, FEWEST_ROUNDS), f"{seed} sweep")


def at_level(level_pct: float) -> Treatment:
    """The neighbours under a quota; at level 0 there are none."""
    return Treatment(Arm.WITH, level_pct=level_pct) if level_pct else ALONE


def sweep_result(
    rounds: Rounds,
    levels_pct: Sequence[float],
    neighbours: Sequence[str],
    cpus: float,
    threshold_pct: float,
) -> DoseResponse | None:
    """What the rounds say of each level; None when fewer than two are complete.

    Args:
        rounds: Of `sweep_design`.
        levels_pct: As asked for, ascending.
        neighbours: The paths of their cgroups.
        cpus: What they get together at 100 %.
        threshold_pct: The smallest slowdown that matters.
    """
    if len(rounds.whole) < _FEWEST_FITTED:
        return None
    levels = sorted({0.0, *levels_pct})
    costs = [_cost(rounds, level_pct) for level_pct in levels]
    fit = fit_sweep(levels, costs)
    used = {level_pct: _used_cpus(rounds, at_level(level_pct), neighbours) for level_pct in levels}
    points = [
        SweepPoint(level_pct, cost.pct, cost.ci_pct, fitted_pct, used[level_pct])
        for level_pct, cost, fitted_pct in zip(levels, costs, fit.fitted_pct, strict=True)
        if level_pct in levels_pct
    ]
    return DoseResponse(tuple(points), describe(fit, used, cpus, threshold_pct))


def describe(fit: SweepFit, used: dict[float, float], cpus: float, threshold_pct: float) -> str:
    """Such as `up to 0.5 CPUs of these neighbours cost less than 5 %`; `used` maps a level to CPUs."""
    harmless_pct = largest_harmless_level(fit, threshold_pct)
    if not harmless_pct:
        least_pct = min(level for level in fit.levels if level)
        return (
            f"even {used[least_pct]:.2f} CPUs of the neighbours, the lowest level of {least_pct:g} % of {cpus:g} CPUs, "
            f"were not shown to cost less than {threshold_pct:g} %"
        )
    return (
        f"up to {used[harmless_pct]:.2f} CPUs of the neighbours cost less than {threshold_pct:g} % "
        f"(level {harmless_pct:g} % of {cpus:g} CPUs)"
    )


def _cost(rounds: Rounds, level_pct: float) -> Slowdown:
    # Without neighbours there is nothing to compare: the curve begins at 0 by definition.
    if level_pct == 0:
        return Slowdown(0.0, (0.0, 0.0), len(rounds.whole))
    return slowdown(rounds.pairs(ALONE, at_level(level_pct)), rounds.better)


def _used_cpus(rounds: Rounds, treatment: Treatment, neighbours: Sequence[str]) -> float:
    """How many CPUs the neighbours really kept busy, on average: never more than their quota."""
    trials = [trials[treatment] for trials in rounds.whole]
    return sum(_ran_s(trial, neighbours) for trial in trials) / sum(trial.duration_s for trial in trials)


def _ran_s(trial: TrialResult, neighbours: Sequence[str]) -> float:
    return sum(trial.others_run_ns.get(path, 0) for path in neighbours) / _NS_PER_S
