"""Labels and findings to reason about."""

from agent.selftest.records import Finding, Label
from agent.verdict import CauseKind, Conclusion

EFFECT = Label(
    scenario="spin",
    truth="a busy loop",
    verdict=Conclusion.INTERFERENCE,
    cause=CauseKind.CPU_WAIT,
    culprit="neighbour-1 spin",
    victim="v",
    neighbours=("spin",),
)
OWN = Label(
    scenario="own-quota",
    truth="its own quota",
    verdict=Conclusion.SELF_INFLICTED,
    cause=CauseKind.THROTTLED,
    culprit=None,
    victim="v",
    neighbours=("ask",),
)
NOTHING = Label(
    scenario="sleeper",
    truth="it sleeps",
    verdict=Conclusion.NO_INTERFERENCE,
    cause=None,
    culprit=None,
    victim="v",
    neighbours=("idle",),
)


def finding(
    label: Label,
    verdict: Conclusion | None = None,
    *,
    cause: CauseKind | None = None,
    culprit: str | None = None,
    error: str | None = None,
) -> Finding:
    """What is right by the label, but for what is given; with an error nothing is known."""
    fine = error is None
    return Finding(
        scenario=label.scenario,
        seed=7,
        duration_s=9.0,
        verdict=(verdict or label.verdict) if fine else None,
        reason="It is so." if fine else None,
        slowdown_pct=50.0 if fine else None,
        ci95_pct=(40.0, 60.0) if fine else None,
        pairs=4 if fine else None,
        cause=(cause or label.cause) if fine else None,
        cause_share_pct=90.0 if fine else None,
        culprit=(culprit or label.culprit) if fine else None,
        culprit_share_pct=95.0 if fine else None,
        error=error,
    )
