"""From an experiment's trials to the verdict document."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from agent.analysis import untracked
from agent.analysis.advice import advise
from agent.analysis.attribution import document_effect, sampled_pct
from agent.analysis.decomposition import blame_residual_pct, extra_waits_s
from agent.analysis.efficiency import counted, efficiency, number, pmu
from agent.analysis.findings import find
from agent.analysis.matrix import wait_matrix
from agent.analysis.trials import TrialResult
from agent.documents.verdict import Aggressor, Cause, Conclusion, Quality, Verdict, why_no_cost
from agent.documents.verdict_parts import (
    Better,
    Blame,
    DataFile,
    Experiment,
    Pair,
    SecondaryMetric,
    Trial,
    WaitHistograms,
)
from agent.experiment import confirm
from agent.experiment.plan import Plan
from agent.experiment.runner import valid_blocks
from agent.experiment.session import Session
from agent.statistics import Decision, TrialPair, plan_looks, secondary_effects
from collectors.host.hierarchy import leaf
from collectors.windows import histogram, sched

Blocks = Sequence[tuple[TrialResult, TrialResult]]
LOWER_TIER = (
    "measured without eBPF: nobody can be blamed for the waiting, and own threads, throttling and neighbours are "
    "not told apart"
)
WATCHED = (
    "the stretch of a cgroup that is watched knows of waiting for a CPU and of quotas, not of what caches, memory "
    "or disks cost it"
)
# Above this, who is to blame is not known well enough to name a culprit without a warning.
RESIDUAL_LIMIT_PCT = 20.0


def conclude(
    session: Session, decision: Decision, command: tuple[str, ...], files: tuple[DataFile, ...]
) -> Verdict:
    """The whole document. The session must hold at least one complete block."""
    blocks = valid_blocks(session.outcome.trials)
    found = find(blocks, decision, session.neighbours)
    conclusion, causes, aggressors = found.conclusion, found.causes, found.aggressors
    effect, unavailable = document_effect(
        decision.effect, blocks[0][0].samples[0].metric, "a single pair shows no spread"
    )
    quality = _quality(blocks, session, decision)
    if quality.blame_residual_pct is None:
        unavailable["quality.blame_residual_pct"] = "the victim never waited for a CPU"
    if session.self_cost is None:
        unavailable["self_cost"] = why_no_cost(session.plan.tier)
    return Verdict(
        verdict=conclusion,
        reason=reason_of(conclusion, decision, causes, aggressors, further=further_clauses(session)),
        effect=effect,
        causes=causes,
        aggressors=aggressors,
        quality=quality,
        self_cost=session.self_cost,
        advice=tuple(advise(conclusion, causes, effect, quality)),
        unavailable=unavailable,
        partial=_is_partial(session),
        victim_cgroup=session.victim_cgroup,
        experiment=_experiment(session, command),
        host=session.host,
        metrics=_secondary(blocks, session.plan),
        pairs=_pairs(blocks),
        trials=tuple(_trial(trial) for trial in session.outcome.trials),
        efficiency=efficiency(blocks),
        blame=_blame(blocks, session.neighbours),
        matrix=wait_matrix([with_ for _, with_ in blocks], session.neighbours),
        histograms=_histograms(blocks),
        sweep=session.sweep.points if session.sweep else None,
        confirmed=session.confirmed or None,
        files=files,
    )


def reason_of(
    conclusion: Conclusion,
    decision: Decision,
    causes: Sequence[Cause],
    aggressors: Sequence[Aggressor],
    further: Sequence[str] = (),
) -> str:
    """One sentence that a person can paste into a review."""
    clauses = list(decision.reason)
    if conclusion in (Conclusion.INTERFERENCE, Conclusion.SELF_INFLICTED) and causes:
        main = max(causes, key=lambda cause: cause.share_pct)
        clauses.append(f"the main cause is {main.cause} ({main.share_pct:.0f} % of the extra time)")
    if conclusion is Conclusion.INTERFERENCE and aggressors:
        clauses.append(f"{aggressors[0].share_pct:.0f} % of the blame falls on {aggressors[0].name}")
    sentence = "; ".join([*clauses, *further])
    return sentence[:1].upper() + sentence[1:] + "."


def further_clauses(session: Session) -> list[str]:
    """What was found out after the verdict."""
    confirmed = [confirm.describe(session.confirmed)] if session.confirmed else []
    return [*confirmed, *([session.sweep.sentence] if session.sweep else [])]


def _is_partial(session: Session) -> bool:
    return session.outcome.partial or any(rounds.partial for rounds in session.further)


def _quality(blocks: Blocks, session: Session, decision: Decision) -> Quality:
    residual_pct = blame_residual_pct(blocks)
    victim = sched.add("victim", (with_.victim for _, with_ in blocks))
    outcome, plan = session.outcome, session.plan
    discarded = [
        *(trial.void for trial in outcome.trials if trial.void),
        *outcome.failed,
        *(why for rounds in session.further for why in rounds.discarded),
    ]
    broken = [f"ended early: {rounds.broken}" for rounds in session.further if rounds.broken]
    warnings = [
        *decision.warnings,
        *discarded,
        *broken,
        *untracked.warnings([trial.window for trial in outcome.trials]),
    ]
    if plan.victim is None:
        warnings.append(WATCHED)
    if plan.tier != "ebpf":
        warnings.append(LOWER_TIER)
    if _is_partial(session):
        warnings.append("the experiment was interrupted; this is what was measured until then")
    if residual_pct is not None and residual_pct > RESIDUAL_LIMIT_PCT:
        warnings.append(f"{residual_pct:.0f} % of the victim's waiting is charged to nobody")
    return Quality(
        ok=not warnings,
        tier=plan.tier,
        warnings=tuple(warnings),
        blame_residual_pct=residual_pct,
        discarded=len(discarded),
        pmu=pmu(blocks),
        blame_sampled_pct=sampled_pct(victim.wait_ns, victim.sampled_ns),
    )


def _experiment(session: Session, command: tuple[str, ...]) -> Experiment:
    plan = session.plan
    return Experiment(
        command=command,
        seed=plan.seed,
        order=tuple(trial.arm for trial in session.outcome.trials),
        victim=plan.victim_text,
        neighbours=(*plan.neighbours, *plan.neighbour_cgroups),
        metrics=tuple(spec.text for spec in plan.metrics),
        cpus=",".join(map(str, plan.cpus)) if plan.cpus else None,
        started=session.started,
        duration_s=session.duration_s,
        jostle_version=version("jostle"),
    )


def _trial(trial: TrialResult) -> Trial:
    victim, counters = trial.victim, counted([trial])
    return Trial(
        index=trial.index,
        block=trial.block,
        arm=trial.arm,
        duration_s=trial.duration_s,
        metrics={sample.metric.name: sample.value for sample in trial.samples},
        void=trial.void,
        wait_ns=victim.wait_ns,
        run_ns=victim.run_ns,
        throttled_ns=victim.throttled_ns,
        preempted=victim.preempted_foreign + victim.preempted_own + victim.preempted_throttled,
        instructions=number(counters.instructions),
        cycles=number(counters.cycles),
    )


def _pairs(blocks: Blocks) -> tuple[Pair, ...]:
    return tuple(_pair(without, with_) for without, with_ in blocks)


def _pair(without: TrialResult, with_: TrialResult) -> Pair:
    a, b = without.samples[0].value, with_.samples[0].value
    ratio = b / a if without.samples[0].metric.better == "lower" else a / b
    return Pair(without.block, a, b, 100 * (ratio - 1))


def _secondary(blocks: Blocks, plan: Plan) -> tuple[SecondaryMetric, ...]:
    """Every further metric that all trials have, with intervals and p-values that hold together."""
    by_name: dict[str, list[TrialPair]] = {}
    for without, with_ in blocks:
        values = {sample.metric.name: sample.value for sample in with_.samples[1:]}
        for sample in without.samples[1:]:
            if sample.metric.name in values:
                by_name.setdefault(sample.metric.name, []).append(
                    TrialPair(sample.value, values[sample.metric.name])
                )
    metrics = {sample.metric.name: sample.metric for sample in blocks[0][0].samples[1:]}
    whole = {
        name: (pairs, metrics[name].better) for name, pairs in by_name.items() if len(pairs) == len(blocks)
    }
    if not whole:
        return ()
    effects = secondary_effects(whole, plan.threshold_pct, plan_looks(plan.pairs, plan.max_pairs))
    return tuple(
        SecondaryMetric(
            name=name,
            unit=metrics[name].unit,
            better=Better(metrics[name].better),
            without=effect.without,
            with_=effect.with_,
            slowdown_pct=effect.slowdown_pct,
            ci95_pct=effect.ci95_pct,
            p_value=effect.p_value,
        )
        for name, effect in effects.items()
    )


def _blame(blocks: Blocks, names: Mapping[str, str]) -> tuple[Blame, ...]:
    waits = {path: wait_s for path, wait_s in extra_waits_s(blocks).items() if wait_s > 0}
    whole_s = sum(waits.values())
    rows = [
        Blame(path, names.get(path, leaf(path)), wait_s * 1e3, 100 * wait_s / whole_s)
        for path, wait_s in waits.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.wait_ms_per_trial))


def _histograms(blocks: Blocks) -> WaitHistograms:
    return WaitHistograms(
        edges_ns=(*map(float, histogram.EDGES_NS[1:]), None),
        without=histogram.add(without.victim.histogram for without, _ in blocks),
        with_=histogram.add(with_.victim.histogram for _, with_ in blocks),
    )
