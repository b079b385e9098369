"""From pairs of observations and what the statistics say of them to the verdict document.

The one way for experiments and for comparisons of recordings: what an effect, a cause, an aggressor and a doubt is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from msgspec.structs import replace

from agent.analysis import blocked as asleep
from agent.analysis import untracked
from agent.analysis.advice import advise
from agent.analysis.aggressors import aggressors, blame_residual_pct, by_share, own_ratios
from agent.analysis.causes import decompose, own_share_pct
from agent.analysis.observation import Pairs
from agent.analysis.untracked import sampled_pct
from agent.documents.metric import Metric
from agent.documents.tasks import NOBODY_KNOWN, TasksWithin
from agent.documents.verdict import (
    Aggressor,
    Cause,
    Compared,
    Conclusion,
    Effect,
    MeanEffect,
    Quality,
    SelfCost,
    Verdict,
    enumerated,
    first_together,
)
from agent.documents.verdict_parts import Blocked, Confirmation, Host, Witness
from agent.statistics.decision import Judgement
from agent.statistics.effect import EffectEstimate
from agent.statistics.shares import RESIDUAL_LIMIT_PCT
from collectors.windows import sched
from collectors.windows.sched import SchedWindow

# The victim's own doing decides the verdict when it is the greater half of the loss.
SELF_INFLICTED_PCT = 50.0
# Above this, who is to blame is not known well enough to name a culprit without a warning.
UNCHARGED_LIMIT_PCT = 20.0
LOWER_TIER = (
    "measured without eBPF: nobody can be blamed for the waiting, and own threads, throttling and neighbours are "
    "not told apart"
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the pairs say beyond the effect: whose doing it is, where the time went, who took it.

    Without an effect there are no causes and no aggressors. `residual_pct` is what causes below 0 sum to.
    """

    conclusion: Conclusion
    causes: tuple[Cause, ...] = ()
    aggressors: tuple[Aggressor, ...] = ()
    residual_pct: float | None = None
    blocked: tuple[Blocked, ...] = ()
    confirmed: tuple[Confirmation, ...] = ()


def find(
    pairs: Pairs,
    judged: Judgement,
    effect: EffectEstimate,
    neighbours: Mapping[str, str],
    tasks: TasksWithin = NOBODY_KNOWN,
    *,
    sole: Witness | None = None,
    confirmed: Sequence[Confirmation] = (),
) -> Findings:
    """Findings of at least one pair.

    Args:
        pairs: What was compared.
        judged: The statistics' verdict.
        effect: How large the effect is.
        neighbours: The display name of each one's cgroup.
        tasks: Who ran within the root cgroup and the kernel, which then are named by them; by CPU time.
        sole: How an only neighbour is tied to what nobody was seen at.
        confirmed: Each suspect's own effect, where they were stopped alone.
    """
    if not has_effect(judged, effect):
        return Findings(Conclusion(judged))
    found = decompose(pairs)
    return Findings(
        conclusion=attribute(judged, own_share_pct(pairs, own_ratios(pairs))),
        causes=found.causes,
        aggressors=tuple(
            replace(each, name=tasks.describe(each.cgroup) or each.name)
            for each in aggressors(pairs, by_share(found.causes), neighbours, sole=sole, confirmed=confirmed)
        ),
        residual_pct=found.residual_pct,
        blocked=asleep.blocked(pairs, neighbours),
        confirmed=tuple(confirmed),
    )


def has_effect(judged: Judgement, effect: EffectEstimate) -> bool:
    """Whether the victim was slowed by what matters: otherwise every time that noise cost would have a culprit."""
    return judged == "interference" and effect.ci95_pct is not None and effect.ci95_pct[0] > 0


def attribute(judged: Judgement, own_ci_pct: tuple[float, float] | None) -> Conclusion:
    """The statistics' verdict, unless more than half of the slowdown is the victim's own doing beyond doubt.

    `own_ci_pct` is the interval of that share. An ancestor's quota is one that it shares with neighbours.
    """
    if judged == "interference" and own_ci_pct is not None and own_ci_pct[0] > SELF_INFLICTED_PCT:
        return Conclusion.SELF_INFLICTED
    return Conclusion(judged)


def reason_of(clauses: Sequence[str], findings: Findings, further: Sequence[str] = ()) -> str:
    """One sentence that a person can paste into a review, of clauses without capital or full stop."""
    found = list(clauses)
    if findings.conclusion in (Conclusion.INTERFERENCE, Conclusion.SELF_INFLICTED) and findings.causes:
        main = max(findings.causes, key=lambda cause: cause.share_pct)
        found.append(f"the main cause is {main.cause} ({main.share_pct:.0f} % of the extra time)")
        if asleep.is_unexplained(findings.causes):
            found += asleep.clauses(findings.blocked)
    if findings.conclusion is Conclusion.INTERFERENCE and findings.aggressors:
        found.append(blamed(findings))
    sentence = "; ".join([*found, *further])
    return sentence[:1].upper() + sentence[1:] + "."


def blamed(findings: Findings) -> str:
    """Such as `94 % of the extra time falls on batch (cpu-wait: seen)`, or on several that cannot be told apart.

    Also, where nobody is known behind the main cause, that.
    """
    alike = first_together(findings.aggressors)
    names = {each.cgroup: each.name for each in alike}
    theirs = [each for each in findings.aggressors if each.cgroup in names]
    how = ", ".join(dict.fromkeys(f"{each.cause}: {each.witness}" for each in theirs))
    clause = (
        f"{sum(each.share_pct for each in theirs):.0f} % of the extra time falls on "
        f"{enumerated(list(names.values()))} ({how})"
        + (", whose shares cannot be told apart" if len(alike) > 1 else "")
    )
    main = max(findings.causes, key=lambda cause: cause.share_pct)
    if any(each.cause is main.cause for each in findings.aggressors):
        return clause
    return f"nobody was seen behind {main.cause}; {clause}"


@dataclass(frozen=True, slots=True)
class VerdictBasis:
    """What a verdict rests on.

    Attributes:
        pairs: What was compared; empty where there is too little of it.
        windows: All that was recorded.
        tier: How waits were measured.
        pmu: Whether there are hardware counters, and if not, why.
        warnings: What else a reader should know before trusting the verdict.
        discarded: How many trials did not count.
    """

    pairs: Pairs
    windows: Sequence[SchedWindow]
    tier: str
    pmu: str
    warnings: Sequence[str]
    discarded: int = 0


def quality_of(basis: VerdictBasis, findings: Findings) -> Quality:
    """How far the verdict can be trusted; it is `ok` where there is nothing to warn of."""
    residual_pct = blame_residual_pct(basis.pairs)
    victim = sched.add("victim", (with_.victim for _, with_ in basis.pairs))
    warnings = [
        *basis.warnings,
        *untracked.warnings(basis.windows),
        *_doubts(basis.tier, residual_pct, findings),
    ]
    return Quality(
        ok=not warnings,
        tier=basis.tier,
        warnings=tuple(warnings),
        blame_residual_pct=residual_pct,
        discarded=basis.discarded,
        pmu=basis.pmu,
        blame_sampled_pct=sampled_pct(victim.wait_ns, victim.sampled_ns),
    )


def _doubts(tier: str, residual_pct: float | None, findings: Findings) -> Iterable[str]:
    if tier in {"schedstat", "psi"}:
        yield LOWER_TIER
    if residual_pct is not None and residual_pct > UNCHARGED_LIMIT_PCT:
        yield f"{residual_pct:.0f} % of the victim's waiting is charged to nobody"
    if asleep.is_unexplained(findings.causes):
        yield "most of the extra time is unexplained: the victim neither ran nor waited for a CPU, it slept"
    below_pct = findings.residual_pct
    if below_pct is not None and below_pct > RESIDUAL_LIMIT_PCT:
        yield f"causes below 0 sum to {below_pct:.0f} % of the extra time: the accounts of it contradict each other"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed of the effect, and of which figure.

    Attributes:
        estimate: The effect; None where too little was observed.
        metric: The figure.
        compared: What was compared; None: trials.
        why_none: Why there is no effect, or no spread of it, where there is none.
    """

    estimate: EffectEstimate | None
    metric: Metric
    compared: Compared | None
    why_none: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a verdict is about, where it was measured, and at what cost; `why_no_cost`: where that is not known."""

    victim: str
    host: Host
    self_cost: SelfCost | None
    why_no_cost: str


def verdict_of(findings: Findings, claim: Claim, basis: VerdictBasis, origin: Origin, reason: str) -> Verdict:
    """The parts of the document that every verdict has."""
    effect, quality = _effect(claim), quality_of(basis, findings)
    never_waited = "the victim never waited for a CPU" if basis.pairs else "nothing could be compared"
    spread = None if effect is None else (effect.ci95_pct, effect.noise_floor_pct)
    nulls = {
        "effect": (claim.why_none, effect),
        "effect.ci95_pct": (claim.why_none, spread[0] if spread else ""),
        "effect.noise_floor_pct": (claim.why_none, spread[1] if spread else ""),
        "quality.blame_residual_pct": (never_waited, quality.blame_residual_pct),
        "self_cost": (origin.why_no_cost, origin.self_cost),
    }
    return Verdict(
        verdict=findings.conclusion,
        reason=reason,
        effect=effect,
        causes=findings.causes,
        aggressors=findings.aggressors,
        blocked=findings.blocked or None,
        confirmed=findings.confirmed or None,
        quality=quality,
        self_cost=origin.self_cost,
        advice=tuple(
            advise(
                findings.conclusion,
                findings.causes,
                effect,
                quality,
                claim.compared,
                blocked=findings.blocked,
            )
        ),
        unavailable={key: why for key, (why, value) in nulls.items() if value is None},
        victim_cgroup=origin.victim,
        host=origin.host,
    )


def _effect(claim: Claim) -> Effect | None:
    estimate = claim.estimate
    if estimate is None:
        return None
    mean, apart = estimate.mean, {"mean", "seen_mean_most_pct"}
    return Effect(
        metric=claim.metric.name,
        unit=claim.metric.unit,
        compared=claim.compared,
        **{key: value for key, value in asdict(estimate).items() if key not in apart},
        mean=None if mean is None else MeanEffect(mean.pct, mean.ci_pct, estimate.seen_mean_most_pct),
    )
