"""What experiments and comparisons share on their way from figures to a verdict."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from agent.documents.metric import Metric
from agent.documents.verdict import Cause, CauseKind, Conclusion, Effect
from agent.documents.verdict_parts import Better
from probes.errors import UsageError

if TYPE_CHECKING:  # the statistics are not for a recording, which uses this module too
    from agent.statistics import EffectEstimate as MeasuredEffect

# The victim's own doing decides the verdict when it is the greater half of the loss.
SELF_INFLICTED_PCT = 50.0


def attribute(
    judged: Literal["interference", "no-interference", "inconclusive"],
    causes: Sequence[Cause],
    throttled_own_ratio: float = 1.0,
) -> Conclusion:
    """The statistics' verdict, unless the slowdown is the victim's own doing.

    `throttled_own_ratio` is how much of the throttling was by the victim's own quota. An ancestor's is one that it
    shares with neighbours.
    """
    own = {CauseKind.SELF: 1.0, CauseKind.THROTTLED: throttled_own_ratio}
    own_pct = sum(cause.share_pct * own.get(cause.cause, 0.0) for cause in causes)
    if judged == "interference" and own_pct > SELF_INFLICTED_PCT:
        return Conclusion.SELF_INFLICTED
    return Conclusion(judged)


def document_effect(
    measured: "MeasuredEffect", metric: Metric, why_no_spread: str
) -> tuple[Effect, dict[str, str]]:
    """The effect as the document has it, and the reason for each of its figures that is null."""
    effect = Effect(
        metric=metric.name,
        unit=metric.unit,
        better=Better(metric.better),
        without=measured.without,
        with_=measured.with_,
        slowdown_pct=measured.slowdown_pct,
        ci95_pct=measured.ci95_pct,
        p_value=measured.p_value,
        noise_floor_pct=measured.noise_floor_pct,
        threshold_pct=measured.threshold_pct,
        pairs=measured.pairs,
    )
    nulls = {"effect.ci95_pct": measured.ci95_pct, "effect.noise_floor_pct": measured.noise_floor_pct}
    return effect, {key: why_no_spread for key, value in nulls.items() if value is None}


def sampled_pct(wait_ns: int | None, sampled_ns: int) -> float | None:
    """How much of a wait was shared out by sample, in per cent; None where there was no wait."""
    return 100 * sampled_ns / wait_ns if wait_ns else None


_MOST_THRESHOLD_PCT = 1000


def require_threshold(threshold_pct: float) -> None:
    """Refuse a smallest slowdown that is none.

    Raises:
        UsageError: Not above 0, or absurdly large.
    """
    if not 0 < threshold_pct < _MOST_THRESHOLD_PCT:
        raise UsageError(
            f"--threshold {threshold_pct:g} is no slowdown in per cent",
            f"give one above 0 and below {_MOST_THRESHOLD_PCT}",
        )
