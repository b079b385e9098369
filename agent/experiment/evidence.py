"""What an experiment's verdict rests on, as the document has it: trials, pairs, waits, what the CPU time gave."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from agent.analysis.aggressors import extra_waits_s
from agent.analysis.observation import Blocks, Pairs, TrialResult, VictimObservation, owner_of
from agent.documents.metric import STRETCH, Sample
from agent.documents.verdict_parts import (
    Blame,
    Capacity,
    Efficiency,
    Pair,
    SecondaryMetric,
    Trial,
    WaitHistograms,
    WaitMatrix,
)
from agent.experiment.plan import Plan
from agent.statistics.design import ALPHA, plan_looks
from agent.statistics.effect import EffectEstimate, Slowdown, TrialPair, secondary_effects
from agent.statistics.tails import fewest_requests, merged, percent_of, quantile, requests_in
from collectors.host.readings import Missing
from collectors.host.workloads import name_by_path
from collectors.sources import counting
from collectors.windows import counters, histogram
from collectors.windows.figures import CounterFigures, add_counts
from collectors.windows.sched import KERNEL, NS_PER_MS, NS_PER_S

Number = TypeVar("Number", int, float)
SampleArms: TypeAlias = list[tuple[Sample, Sample]]
"""Of one metric both samples of each block."""
BY_INSTRUCTIONS, BY_WORK = "cycles per instruction", "CPU time per unit of work"
# Beside the victim and its neighbours; the others are one column together.
MOST_OTHERS = 6
EVERYONE_ELSE = "everyone else"


def trial_row(trial: TrialResult) -> Trial:
    """The row of the verdict document for one trial."""
    victim, figures = trial.seen.victim, trial.seen.counters
    return Trial(
        index=trial.index,
        block=trial.block,
        arm=trial.arm,
        duration_s=trial.seen.duration_s,
        metrics={sample.metric.name: sample.value for sample in trial.seen.samples},
        void=trial.void,
        wait_ns=victim.wait_ns,
        run_ns=victim.run_ns,
        throttled_ns=victim.throttled_ns,
        preempted=victim.preempted_foreign + victim.preempted_own + victim.preempted_throttled,
        instructions=number(figures.instructions),
        cycles=number(figures.cycles),
    )


def pair_rows(blocks: Blocks) -> tuple[Pair, ...]:
    """The primary metric in both trials of each block."""
    return tuple(_pair(without, with_) for without, with_ in blocks)


def _pair(without: TrialResult, with_: TrialResult) -> Pair:
    a, b = without.seen.sample.value, with_.seen.sample.value
    ratio = b / a if without.seen.sample.metric.better == "lower" else a / b
    return Pair(without.block, a, b, 100 * (ratio - 1))


def secondary_metrics(blocks: Blocks, plan: Plan) -> tuple[SecondaryMetric, ...]:
    """Every further metric that all trials have, with intervals and p-values that hold together.

    A percentile is of all requests of an arm together where each trial has a histogram; its interval is by pairs.
    """
    found = _found_in_all(blocks)
    kept = {name: arms for name, arms in found.items() if too_few(name, arms, blocks) is None}
    if not kept:
        return ()
    pairs = {
        name: ([TrialPair(a.value, b.value) for a, b in arms], arms[0][0].metric.better)
        for name, arms in kept.items()
    }
    looks = plan_looks(plan.pairs, plan.max_pairs)
    effects = secondary_effects(pairs, plan.threshold_pct, ALPHA * looks.part(len(blocks)))
    return tuple(_secondary(name, kept[name], effect) for name, effect in effects.items())


def refused_percentiles(blocks: Blocks) -> dict[str, str]:
    """Why a percentile is not told, by where it would stand in the document."""
    told = ((name, too_few(name, arms, blocks)) for name, arms in _found_in_all(blocks).items())
    return {f"metrics.{name}": why for name, why in told if why}


def too_few(name: str, arms: SampleArms, blocks: Blocks) -> str | None:
    """Why a percentile is of too few requests; None: it is not, or that is not known."""
    percent = percent_of(name)
    if percent is None:
        return None
    needed, merged_requests = fewest_requests(percent), _merged_requests(arms)
    least, where = merged_requests, "in each arm"
    if least is None:
        least, where = min(requests_of(trial.seen) for pair in blocks for trial in pair), "in each trial"
    return f"it takes {needed:,} requests {where}, and there were {least:,.0f}" if least < needed else None


def requests_of(seen: VictimObservation) -> float:
    """How many requests a trial was of; infinite where the primary figure does not count them."""
    metric = seen.sample.metric
    return seen.work if metric.better == "higher" and not metric.unit.endswith("B/s") else math.inf


def _found_in_all(blocks: Blocks) -> dict[str, SampleArms]:
    """Both samples of each block, of every further metric that all blocks have, counts of failures left out."""
    by_name: dict[str, SampleArms] = {}
    for without, with_ in blocks:
        beside = {sample.metric.name: sample for sample in with_.seen.samples[1:]}
        for sample in without.seen.samples[1:]:
            if sample.metric.name in beside and not sample.metric.is_failure_count:
                by_name.setdefault(sample.metric.name, []).append((sample, beside[sample.metric.name]))
    return {name: arms for name, arms in by_name.items() if len(arms) == len(blocks)}


def _merged_requests(arms: SampleArms) -> float | None:
    """Of the arm with fewer; None where a trial has no histogram."""
    if not all(sample.counts for pair in arms for sample in pair):
        return None
    return min(sum(requests_in(sample.counts) for sample in arm) for arm in zip(*arms, strict=True))


def _secondary(name: str, arms: SampleArms, effect: EffectEstimate) -> SecondaryMetric:
    metric, percent, requests = arms[0][0].metric, percent_of(name), _merged_requests(arms)
    without, with_ = effect.without, effect.with_
    if percent is not None and requests is not None:
        without, with_ = (
            quantile(merged(sample.counts for sample in arm), percent) for arm in zip(*arms, strict=True)
        )
    return SecondaryMetric(
        name=name,
        unit=metric.unit,
        better=metric.better,
        without=without,
        with_=with_,
        slowdown_pct=effect.slowdown_pct,
        ci95_pct=effect.ci95_pct,
        p_value=effect.p_value,
        requests=requests if percent is not None else None,
        closed_loop=any(sample.closed_loop for pair in arms for sample in pair) or None,
    )


def efficiency(pairs: Pairs) -> Efficiency | None:
    """Both arms, over all pairs; None where there is neither a counter nor a unit of work."""
    without, with_ = zip(*pairs, strict=True)
    before, after = counted(without), counted(with_)
    has_work = pairs[0][0].sample.metric != STRETCH
    ipc = number(before.ipc), number(after.ipc)
    if None in ipc and not has_work:
        return None
    return Efficiency(
        measure=BY_WORK if None in ipc else BY_INSTRUCTIONS,
        cpu_s_without=cpu_s(without) if has_work else None,
        cpu_s_with=cpu_s(with_) if has_work else None,
        ipc_without=ipc[0],
        ipc_with=ipc[1],
        llc_misses_without=number(before.llc_misses),
        llc_misses_with=number(after.llc_misses),
    )


def capacity(pairs: Pairs, mean: Slowdown | None, plan: Plan) -> Capacity | None:
    """What the slowdown costs; None where there is none of the mean, or nothing ran."""
    without = [before for before, _ in pairs]
    cpus = sum(each.victim.run_ns for each in without) / NS_PER_S / sum(each.spent_s for each in without)
    if mean is None or not cpus:
        return None

    def needed(slowdown_pct: float) -> float:
        return cpus * (1 + slowdown_pct / 100)

    def extra(slowdown_pct: float) -> float:
        return (plan.cpu_cost or 0.0) * plan.instances * (needed(slowdown_pct) - cpus)

    bounds = mean.ci_pct
    return Capacity(
        cpus_without=cpus,
        cpus_with=needed(mean.pct),
        ci95_cpus_with=bounds and (needed(bounds[0]), needed(bounds[1])),
        instances=plan.instances,
        cpu_cost=plan.cpu_cost,
        extra_cost=None if plan.cpu_cost is None else extra(mean.pct),
        ci95_extra_cost=None if plan.cpu_cost is None or not bounds else (extra(bounds[0]), extra(bounds[1])),
    )


def cpu_s(seen: Sequence[VictimObservation]) -> float:
    """Time of the victim's tasks on a CPU, per unit of its work."""
    return sum(each.victim.run_ns for each in seen) / NS_PER_S / sum(each.work for each in seen)


def counted(seen: Sequence[VictimObservation]) -> CounterFigures:
    """What the victim's counters amount to over these observations."""
    return counters.figures(add_counts(each.counted for each in seen))


def pmu(pairs: Pairs) -> str:
    """Whether hardware events were counted in the trials, and if not, why."""
    figures = [counted(arm) for arm in zip(*pairs, strict=True)]
    missing = next((each.ipc for each in figures if isinstance(each.ipc, Missing)), None)
    if missing is None:
        return "available"
    refusal = counting.refusal_of_ipc()
    return f"unavailable: {refusal.reason if refusal else missing.reason}"


def number(figure: Number | Missing) -> Number | None:
    """The figure, None where it is missing."""
    return None if isinstance(figure, Missing) else figure


def blame_rows(pairs: Pairs, names: Mapping[str, str]) -> tuple[Blame, ...]:
    """How much longer than to be expected the victim waited for each cgroup in a mean trial, the longest first."""
    waits = {path: wait_s for path, wait_s in extra_waits_s(pairs).items() if wait_s > 0}
    whole_s = sum(waits.values())
    rows = [
        Blame(path, names.get(path, name_by_path(path)), wait_s * 1e3, 100 * wait_s / whole_s)
        for path, wait_s in waits.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.wait_ms_per_trial))


def wait_histograms(blocks: Blocks) -> WaitHistograms:
    """The victim's waits in both arms."""
    return WaitHistograms(
        edges_ns=(*map(float, histogram.EDGES_NS[1:]), None),
        without=histogram.add(without.seen.victim.histogram for without, _ in blocks),
        with_=histogram.add(with_.seen.victim.histogram for _, with_ in blocks),
    )


def wait_matrix(trials: Sequence[TrialResult], names: Mapping[str, str]) -> WaitMatrix:
    """Waits in a mean trial.

    Args:
        trials: At least one.
        names: Display name of each neighbour's cgroup; it and the victim's count with everything below them.
    """
    roots = [trials[0].seen.victim.path, *names]
    waits: Counter[tuple[str, str]] = Counter()
    for trial in trials:
        for waiting, waited_for, wait_ns in _waits(trial):
            waits[owner_of(waiting, roots), owner_of(waited_for, roots)] += wait_ns
    rows = [*roots, *_heaviest(waits, roots)]
    columns = [*rows, *([] if KERNEL in rows else [KERNEL]), EVERYONE_ELSE]
    ns_by_cell: Counter[tuple[str, str]] = Counter()
    for (waiting, waited_for), wait_ns in waits.items():
        ns_by_cell[waiting, waited_for if waited_for in columns else EVERYONE_ELSE] += wait_ns
    used = [column for column in columns if any(ns_by_cell[row, column] for row in rows)]
    return WaitMatrix(
        waiting=tuple(names.get(row, name_by_path(row)) for row in rows),
        waited_for=tuple(names.get(column, name_by_path(column)) for column in used),
        wait_ms_per_trial=tuple(
            tuple(ns_by_cell[row, column] / NS_PER_MS / len(trials) for column in used) for row in rows
        ),
    )


def _waits(trial: TrialResult) -> Iterator[tuple[str, str, int]]:
    """Who waited for whom and how long, own threads included."""
    for path, cgroup in trial.window.cgroups.items():
        yield path, path, cgroup.self_ns
        for name, wait in cgroup.waited_for.items():
            yield path, name, wait.wait_ns


def _heaviest(waits: Mapping[tuple[str, str], int], roots: Sequence[str]) -> list[str]:
    """The other cgroups that waited longest."""
    by_row: Counter[str] = Counter()
    for (waiting, _), wait_ns in waits.items():
        if waiting not in roots and wait_ns:
            by_row[waiting] += wait_ns
    return [path for path, _ in by_row.most_common(MOST_OTHERS)]
