"""From an experiment's trials to the verdict document."""

import dataclasses
from collections.abc import Iterator
from importlib.metadata import version

from msgspec.structs import replace

from agent.analysis.observation import Pairs, VictimObservation, pairs_of
from agent.analysis.verdict import Claim, Origin, VerdictBasis, find, reason_of, verdict_of
from agent.documents.metric import STRETCH, Better, signed
from agent.documents.verdict import FailureCount, Verdict, why_no_cost
from agent.documents.verdict_parts import DataFile, Experiment, Witness
from agent.experiment.evidence import (
    blame_rows,
    capacity,
    efficiency,
    pair_rows,
    pmu,
    refused_percentiles,
    secondary_metrics,
    trial_row,
    wait_histograms,
    wait_matrix,
)
from agent.experiment.follow_ups import describe_confirmed
from agent.experiment.runner import valid_blocks
from agent.experiment.session import Session
from agent.experiment.victim_metrics import more_failures
from agent.sandbox.existing import runtime_name
from agent.statistics.decision import Decision

# What a shell leaves to end after it, such as the `tee` of a pipe, takes a few milliseconds.
MOST_WENT_ON_RATIO = 0.05
WENT_ON = (
    "the victim's command returned before its work was done: each trial lasts until nothing of it is left but "
    "servers that are up"
)
CARRIED_OVER = (
    "what a treated slot did outlasts the slot behind it: there the victim's figure still differs by {pct} %, so "
    "the effect is a little larger than it seems"
)
WATCHED = (
    "the stretch of a cgroup that is watched knows of waiting for a CPU and of quotas, not of what caches, memory "
    "or disks cost it"
)


def conclude(
    session: Session, decision: Decision, command: tuple[str, ...], files: tuple[DataFile, ...]
) -> Verdict:
    """The whole document. The session must hold at least one complete block."""
    blocks = valid_blocks(session.outcome.trials)
    pairs = pairs_of(blocks)
    findings = find(
        causal_pairs(pairs),
        decision.verdict,
        decision.effect,
        session.neighbours,
        session.tasks,
        sole=Witness.STOPPED,
        confirmed=session.confirmed or (),
    )
    tier = session.plan.tier
    common = verdict_of(
        findings,
        Claim(decision.effect, pairs[0][0].sample.metric, None, "a single pair shows no spread"),
        _basis(pairs, session, decision),
        Origin(session.victim_cgroup, session.host, session.self_cost, why_no_cost(tier)),
        reason_of(decision.reason, findings, further_clauses(session, decision.effect.better)),
    )
    return replace(
        common,
        partial=_is_partial(session),
        experiment=_experiment(session, command),
        metrics=secondary_metrics(blocks, session.plan),
        unavailable={**common.unavailable, **refused_percentiles(blocks)},
        failures=tuple(FailureCount(f.what, f.without, f.with_, f.p_value) for f in decision.failures)
        or None,
        pairs=pair_rows(blocks),
        trials=tuple(trial_row(trial) for trial in session.outcome.trials),
        efficiency=efficiency(pairs),
        capacity=capacity(pairs, decision.effect.mean, session.plan) if findings.causes else None,
        blame=blame_rows(pairs, session.neighbours),
        matrix=wait_matrix([with_ for _, with_ in blocks], session.neighbours),
        histograms=wait_histograms(blocks),
        sweep=session.sweep.points if session.sweep else None,
        treatment=session.applied,
        remedies=session.remedies or None,
        files=files,
    )


def causal_pairs(pairs: Pairs) -> Pairs:
    """What the causes are found in: of a victim that runs on and tells only how long it takes, its stretch.

    How much it does meanwhile is not known then, so that its time per unit of work is not either.
    """
    first = pairs[0][0].samples
    if first[0].metric.better == "higher" or STRETCH not in [sample.metric for sample in first]:
        return pairs

    def by_stretch(seen: VictimObservation) -> VictimObservation:
        return dataclasses.replace(seen, samples=tuple(s for s in seen.samples if s.metric == STRETCH))

    return [(by_stretch(without), by_stretch(with_)) for without, with_ in pairs]


def further_clauses(session: Session, better: Better) -> list[str]:
    """What was found out after the verdict."""
    went_on = any(
        trial.seen.went_on_s > MOST_WENT_ON_RATIO * trial.seen.duration_s for trial in session.outcome.trials
    )
    behind = [WENT_ON] if went_on else []
    confirmed = [describe_confirmed(session.confirmed, better)] if session.confirmed else []
    return [*behind, *confirmed, *([session.sweep.sentence] if session.sweep else [])]


def _is_partial(session: Session) -> bool:
    return session.outcome.partial or any(rounds.partial for rounds in session.further)


def _basis(pairs: Pairs, session: Session, decision: Decision) -> VerdictBasis:
    discarded = [
        *(trial.void for trial in session.outcome.trials if trial.void),
        *session.outcome.failed,
        *(why for rounds in session.further for why in rounds.discarded),
    ]
    failures = more_failures((without.samples, with_.samples) for without, with_ in pairs)
    return VerdictBasis(
        pairs=pairs,
        windows=[trial.window for trial in session.outcome.trials],
        tier=session.plan.tier,
        pmu=pmu(pairs),
        warnings=(*decision.warnings, *discarded, *_warnings(session), *failures),
        discarded=len(discarded),
    )


def _warnings(session: Session) -> Iterator[str]:
    yield from (f"ended early: {rounds.broken}" for rounds in session.further if rounds.broken)
    if session.plan.victim is None:
        yield WATCHED
    if session.applied and not session.applied.restored:
        yield "not every file of a neighbour says again what was found in it: see `jostle thaw`"
    if session.treated and (carried := session.treated[0].carried_over_pct()) is not None:
        yield CARRIED_OVER.format(pct=signed(carried))
    if _is_partial(session):
        yield "the experiment was interrupted; this is what was measured until then"


def _called(path: str) -> str:
    return runtime_name(path) or path


def _experiment(session: Session, command: tuple[str, ...]) -> Experiment:
    plan = session.plan
    return Experiment(
        command=command,
        seed=plan.seed,
        order=tuple(trial.arm for trial in session.outcome.trials),
        victim=plan.victim if plan.victim is not None else _called(str(plan.victim_cgroup)),
        neighbours=(*plan.neighbours, *map(_called, plan.neighbour_cgroups)),
        metrics=tuple(spec.text for spec in plan.metrics),
        cpus=",".join(map(str, plan.cpus)) if plan.cpus else None,
        started=session.started,
        duration_s=session.duration_s,
        jostle_version=version("jostle"),
    )
