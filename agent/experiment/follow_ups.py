"""What may follow a verdict, in the same place: each suspect stopped alone, the neighbours at several levels."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.analysis.observation import TrialResult, pairs_of
from agent.analysis.verdict import Findings, find
from agent.documents.metric import Better, changed, changed_between
from agent.documents.verdict import Aggressor, Conclusion
from agent.documents.verdict_parts import Confirmation, SweepPoint, Witness
from agent.experiment.design import ALONE, BESIDE_ALL, Design, Treatment, at_level, stopped
from agent.experiment.neighbours import Neighbours
from agent.experiment.plan import Plan
from agent.experiment.runner import Observer, Outcome, Rounds, RunTrial, run_rounds, valid_blocks
from agent.sandbox.cgroups import PREFIX
from agent.sandbox.existing import ExistingCgroup, Freezable, find_cgroup, freezable
from agent.statistics.design import ALPHA
from agent.statistics.dose_response import DoseCurve, fit_dose_curve, largest_harmless_level
from agent.statistics.effect import Slowdown, secondary_effects, slowdown
from collectors.host.hierarchy import CgroupLayout, is_within
from collectors.windows.sched import NS_PER_S
from probes.errors import HostError, UsageError

FEWEST_ROUNDS = 4
# Each suspect may be cleared or convicted by these: four that agree by accident would do it 15 times in 100.
FEWEST_TO_CONFIRM = 8
# Somebody who is charged with less is not worth being stopped.
LEAST_SUSPECT_PCT = 5.0
# Two rounds at least, or there is no interval.
_FEWEST_FITTED = 2


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """The levels with what each costs, and the sentence that a capacity review wants."""

    points: tuple[SweepPoint, ...]
    sentence: str


@dataclass(slots=True)
class FollowUps:
    """What is asked for beyond the verdict; `next_index` is the number of the next trial."""

    plan: Plan
    run_trial: RunTrial
    next_index: int
    observer: Observer
    neighbours: Neighbours
    rest: Callable[[float], None]
    rounds: list[Rounds] = field(default_factory=list)
    confirmed: tuple[Confirmation, ...] | None = None
    swept: DoseResponse | None = None

    def confirm(self, outcome: Outcome, watched: ExistingCgroup | None, layout: CgroupLayout) -> None:
        """Stop each suspect alone, if there was interference; of itself, where one of several was not seen at it."""
        if outcome.partial or outcome.decision is None:
            return
        names = self.neighbours.names()
        pairs = pairs_of(valid_blocks(outcome.trials))
        findings = find(pairs, outcome.decision.verdict, outcome.decision.effect, names, sole=Witness.STOPPED)
        if findings.conclusion is not Conclusion.INTERFERENCE:
            return
        if self.plan.confirm == "auto" and (
            self.plan.neighbour_cgroups or not is_worth_confirming(findings, list(names))
        ):
            return
        if self.plan.allow_freeze:
            for bystander in bystanders(findings.aggressors, list(names), watched, layout):
                self.neighbours.suspect(bystander)
                names[bystander.path] = bystander.name
        rounds = self._run(confirmation(list(names), self.plan.pairs, self.plan.seed))
        self.confirmed = confirmations(rounds, names, self.plan.threshold_pct)

    def sweep(self, outcome: Outcome) -> None:
        """Run the neighbours at several levels, whatever the verdict."""
        if outcome.partial or outcome.decision is None or any(rounds.partial for rounds in self.rounds):
            return
        plan = self.plan
        rounds = self._run(sweep_design(plan.sweep_pct, plan.pairs, plan.seed))
        paths, cpus = list(self.neighbours.names()), self.neighbours.cpus()
        self.swept = sweep_result(rounds, plan.sweep_pct, paths, cpus, plan.threshold_pct)

    def _run(self, design: Design) -> Rounds:
        rounds = run_rounds(design, self.next_index, self.run_trial, self.observer, self.rest)
        self.next_index = rounds.log.next_index
        self.rounds.append(rounds)
        return rounds


def is_worth_confirming(findings: Findings, neighbours: Sequence[str]) -> bool:
    """Whether nobody was seen behind the main cause, and several may have been.

    Failures alone are interference without a cause: who is stopped alone shows what time it takes, and not them.
    """
    if not findings.causes:
        return False
    main = max(findings.causes, key=lambda cause: cause.share_pct)
    seen = {each.cause for each in findings.aggressors if each.witness is Witness.SEEN}
    return len(neighbours) > 1 and main.cause not in seen


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
    # What is not a cgroup (`kernel`, `other`) has no path; and another jostle's trial is not to be disturbed.
    return (
        path.startswith("/")
        and not path.startswith(f"/{PREFIX}")
        and aggressor.share_pct >= LEAST_SUSPECT_PCT
    )


def confirmation(suspects: Sequence[str], pairs: int, seed: int) -> Design:
    """The rounds to run; `suspects` are cgroup paths."""
    treatments = (BESIDE_ALL, *map(stopped, suspects))
    return Design("each suspect stopped alone", treatments, max(pairs, FEWEST_TO_CONFIRM), f"{seed} confirm")


def confirmations(rounds: Rounds, names: Mapping[str, str], threshold_pct: float) -> tuple[Confirmation, ...]:
    """Each suspect's own effect, the largest first: how much slower the victim is when it runs beside the others too.

    The intervals hold together with 95 % (Bonferroni), however many suspects there are. Empty without a round.
    """
    if not rounds.whole:
        return ()
    pairs = {path: (rounds.pairs(stopped(path), BESIDE_ALL), rounds.better) for path in names}
    effects = secondary_effects(pairs, threshold_pct, ALPHA)
    found = [
        Confirmation(path, names[path], effect.slowdown_pct, effect.ci95_pct, effect.pairs)
        for path, effect in effects.items()
    ]
    return tuple(sorted(found, key=lambda entry: -entry.slowdown_pct))


def describe_confirmed(confirmed: Sequence[Confirmation], better: Better = "lower") -> str:
    """The clause for the reason."""
    sure = [entry for entry in confirmed if entry.ci95_pct is not None and entry.ci95_pct[0] > 0]
    if not sure:
        return "stopping each suspect alone confirms none of them"
    first = sure[0]
    bounds = changed_between(first.ci95_pct or (first.slowdown_pct, first.slowdown_pct), better)
    others = f", and {len(sure) - 1} more" if len(sure) > 1 else ""
    return (
        f"stopping {first.name} alone confirms it (its own effect "
        f"{changed(first.slowdown_pct, better)}, interval {bounds}){others}"
    )


def sweep_design(levels_pct: Sequence[float], pairs: int, seed: int) -> Design:
    """The rounds to run: every level, and always a trial without the neighbours to compare it with."""
    treatments = (ALONE, *(at_level(level_pct) for level_pct in levels_pct if level_pct))
    return Design("neighbours at several levels", treatments, max(pairs, FEWEST_ROUNDS), f"{seed} sweep")


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
    fit = fit_dose_curve(levels, costs)
    used = {level_pct: _used_cpus(rounds, at_level(level_pct), neighbours) for level_pct in levels}
    points = [
        SweepPoint(level_pct, cost.pct, cost.ci_pct, fitted_pct, used[level_pct])
        for level_pct, cost, fitted_pct in zip(levels, costs, fit.fitted_pct, strict=True)
        if level_pct in levels_pct
    ]
    return DoseResponse(tuple(points), describe_levels(fit, used, cpus, threshold_pct))


def describe_levels(fit: DoseCurve, used: dict[float, float], cpus: float, threshold_pct: float) -> str:
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
    return sum(_ran_s(trial, neighbours) for trial in trials) / sum(trial.seen.duration_s for trial in trials)


def _ran_s(trial: TrialResult, neighbours: Sequence[str]) -> float:
    return sum(trial.seen.others_run_ns.get(path, 0) for path in neighbours) / NS_PER_S
