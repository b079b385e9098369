"""What the blocks of an experiment say beyond the effect: whose doing it is, where the time went, who took it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.analysis.attribution import attribute
from agent.analysis.decomposition import aggressor_shares, cause_shares, throttled_own_ratio
from agent.analysis.trials import TrialResult
from agent.documents.verdict import Aggressor, Cause, CauseKind, Conclusion
from agent.statistics import Decision
from collectors.host.hierarchy import leaf

Blocks = Sequence[tuple[TrialResult, TrialResult]]


@dataclass(frozen=True, slots=True)
class Findings:
    """The conclusion with its causes and aggressors; both empty when the victim was not slowed."""

    conclusion: Conclusion
    causes: tuple[Cause, ...]
    aggressors: tuple[Aggressor, ...]


def find(blocks: Blocks, decision: Decision, neighbours: Mapping[str, str]) -> Findings:
    """Findings of at least one block; `neighbours` has the display name of each one's cgroup."""
    slowed = decision.effect.slowdown_pct > 0
    shares = cause_shares(blocks) if slowed else []
    causes = tuple(Cause(CauseKind(share.cause), share.share_pct, share.ci95_pct) for share in shares)
    return Findings(
        conclusion=attribute(decision.verdict, causes, throttled_own_ratio(blocks)),
        causes=causes,
        aggressors=_aggressors(blocks, causes, neighbours) if slowed else (),
    )


def _aggressors(
    blocks: Blocks, causes: Sequence[Cause], neighbours: Mapping[str, str]
) -> tuple[Aggressor, ...]:
    by_cause = {cause.cause: cause.share_pct for cause in causes}
    found = aggressor_shares(blocks, by_cause, list(neighbours))
    return tuple(
        Aggressor(
            share.cgroup, neighbours.get(share.cgroup, leaf(share.cgroup)), share.share_pct, share.cause
        )
        for share in found
    )
