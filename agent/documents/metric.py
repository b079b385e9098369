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
