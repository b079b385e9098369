"""Labels and findings to reason about."""

from agent.documents.selftest import Label, Selftest, SelftestFinding
from agent.documents.verdict import CauseKind, Conclusion
from agent.selftest.score import rates, tallies
from tests.agent.analysis.summaries import HOST

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
) -> SelftestFinding:
    """What is right by the label, but for what is given; with an error nothing is known."""
    fine = error is None
    return SelftestFinding(
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


def selftest(*findings: SelftestFinding, partial: bool = False) -> Selftest:
    """A self-test of the three labels, with one finding each unless others are given."""
    labels = (EFFECT, OWN, NOTHING)
    found = findings or tuple(finding(label) for label in labels)
    return Selftest(
        partial=partial,
        planned=len(found) + partial,
        seed=1,
        repeat=1,
        threshold_pct=5.0,
        started="2026-03-01T03:12:00+00:00",
        duration_s=1234.5,
        jostle_version="0.1.0",
        host=HOST,
        rates=rates(labels, found),
        tallies=tallies(labels, found),
        labels=labels,
        findings=found,
    )
