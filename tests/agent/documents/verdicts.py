"""Verdicts to test with: the contract's own example, and builders for others."""

from typing import Any

from msgspec.structs import replace

from agent.documents.verdict import Cause, CauseKind, Conclusion, Effect, Quality, SelfCost, Verdict

CONTRACT_EXAMPLE: dict[str, Any] = {
    "schema": "jostle.verdict/1",
    "verdict": "interference",
    "reason": "one sentence a person can paste into a review",
    "effect": {
        "metric": "duration",
        "unit": "s",
        "better": "lower",
        "without": 1.02,
        "with": 1.61,
        "slowdown_pct": 57.8,
        "ci95_pct": [51.2, 64.0],
        "p_value": 0.002,
        "noise_floor_pct": 2.1,
        "threshold_pct": 5.0,
        "pairs": 8,
    },
    "causes": [
        {"cause": "cpu-wait", "share_pct": 93.0, "ci95_pct": [88.0, 97.0]},
        {"cause": "unexplained", "share_pct": 7.0},
    ],
    "aggressors": [
        {
            "cgroup": "/system.slice/batch.service",
            "name": "batch.service",
            "share_pct": 91.0,
            "cause": "cpu-wait",
        }
    ],
    "quality": {
        "ok": True,
        "tier": "ebpf",
        "warnings": [],
        "blame_residual_pct": 0.4,
        "discarded": 0,
        "pmu": "unavailable: no hardware PMU",
    },
    "self_cost": {"ns_per_switch": 240, "switches_per_s": 12000, "cpu_pct": 0.3},
    "advice": ["…"],
}

QUALITY = Quality(
    ok=True, tier="ebpf", warnings=(), blame_residual_pct=0.4, discarded=0, pmu="no hardware PMU"
)
EFFECT = Effect(
    metric="duration",
    unit="s",
    better="lower",
    without=1.02,
    with_=1.61,
    slowdown_pct=57.8,
    ci95_pct=(51.2, 64.0),
    p_value=0.002,
    noise_floor_pct=2.1,
    threshold_pct=5.0,
    pairs=8,
)
PLAIN = Verdict(
    verdict=Conclusion.INTERFERENCE,
    reason="The neighbours slow the victim.",
    effect=EFFECT,
    causes=(Cause(CauseKind.CPU_WAIT, 100.0),),
    aggressors=(),
    quality=QUALITY,
    self_cost=SelfCost(ns_per_switch=240.0, switches_per_s=12000.0, cpu_pct=0.3),
    advice=(),
)


def effect(**changes: Any) -> Effect:  # noqa: ANN401  any field of the record
    return replace(EFFECT, **changes)


def quality(**changes: Any) -> Quality:  # noqa: ANN401  any field of the record
    return replace(QUALITY, **changes)


def verdict(**changes: Any) -> Verdict:  # noqa: ANN401  any field of the record
    return replace(PLAIN, **changes)
