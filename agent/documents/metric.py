"""What a metric is, as readers of the victim's figures return it and verdicts have it."""

from dataclasses import dataclass
from typing import Literal

from probes.errors import UsageError

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured.

    Attributes:
        name: one or more of `[A-Za-z0-9_.-]`; unique among the samples of a trial.
        unit: as shown to people; "" if unknown.
        better: the direction that the victim's owner wishes for.
        is_failure_count: it counts what went wrong, so that 0 is its usual value and ratios of it mean nothing.
    """

    name: str
    unit: str
    better: Better
    is_failure_count: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One trial's value of a metric, in the metric's unit: finite, and positive; a count of failures may be 0."""

    metric: Metric
    value: float


DURATION = Metric("duration", "s", "lower")


STRETCH = Metric("stretch", "s/s", "lower")
"""Seconds that a cgroup ran or waited for a CPU per second that it ran: 1 when it never waits."""

_MOST_THRESHOLD_PCT = 1000


def require_threshold(threshold_pct: float) -> None:
    """Refuse a smallest slowdown that is none.

    Raises:
        UsageError: Not above 0, or absurdly large.
    """
    if not 0 < threshold_pct < _MOST_THRESHOLD_PCT:
        raise UsageError(
            f"--threshold {threshold_pct:g} is not a slowdown in per cent",
            f"give one above 0 and below {_MOST_THRESHOLD_PCT}",
        )


def factor(slowdown_pct: float) -> float:
    """How many times as long it takes, of a slowdown in per cent: 2.4 of 140 %."""
    return 1 + slowdown_pct / 100


def change_pct(slowdown_pct: float, better: Better) -> float | None:
    """By how much the figure itself changed, in per cent: −50 of a slowdown of 100 % where higher is better.

    None: the figure has no end, as where a rate was 0 without the neighbours.
    """
    if better == "lower":
        return slowdown_pct
    times = factor(slowdown_pct)
    return 100 / times - 100 if times > 0 else None
