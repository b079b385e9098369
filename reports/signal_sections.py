"""What a host can measure, as sections: the answer of `jostle doctor`."""

from collections.abc import Sequence
from typing import Protocol

from reports.sections import Column, Report, Table

STATES = ("available", "degraded", "missing")


class Signal(Protocol):
    """One thing to measure, as the collectors report it; `state` is one of `STATES`."""

    @property
    def name(self) -> str:
        """What is measured."""

    @property
    def state(self) -> str:
        """Whether it can be measured here."""

    @property
    def reason(self) -> str | None:
        """Why it is not available in full."""

    @property
    def remedy(self) -> str | None:
        """What would mend it."""


def doctor_report(signals: Sequence[Signal]) -> Report:
    """What the host can and cannot measure, then each signal with its reason and remedy."""
    return Report(_headline(signals), _sentence(signals), (signal_table(signals),))


def signal_table(signals: Sequence[Signal]) -> Table:
    """One row per signal, in the order given."""
    return Table(
        "Signals",
        (Column("Signal"), Column("State"), Column("Why"), Column("Remedy")),
        tuple((signal.name, signal.state, signal.reason or "", signal.remedy or "") for signal in signals),
    )


def _headline(signals: Sequence[Signal]) -> str:
    states = {signal.state for signal in signals}
    if "available" not in states and "degraded" not in states:
        return "Nothing to measure with"
    if "missing" in states:
        return "Some signals are missing"
    return "Some signals are degraded" if "degraded" in states else "Every signal is available"


def _sentence(signals: Sequence[Signal]) -> str:
    """What the host can and cannot measure, in words."""
    named = {state: [signal.name for signal in signals if signal.state == state] for state in STATES}
    words = {"available": "measures", "degraded": "only in part", "missing": "not"}
    parts = [f"{words[state]} {_listed(names)}" for state, names in named.items() if names]
    return f"this host {'; '.join(parts)}." if parts else "no signal was looked for."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
