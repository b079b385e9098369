"""The records that readers return."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured.

    Attributes:
        name: one or more of `[A-Za-z0-9_.-]`; unique among the samples of a trial.
        unit: as shown to people; "" if unknown.
        better: the direction that the victim's owner wishes for.
    """

    name: str
    unit: str
    better: Better


@dataclass(frozen=True, slots=True)
class Sample:
    """One trial's value of a metric, in the metric's unit: positive and finite."""

    metric: Metric
    value: float


DURATION = Metric("duration", "s", "lower")


STRETCH = Metric("stretch", "s/s", "lower")
"""Seconds that a cgroup ran or waited for a CPU per second that it ran: 1 when it never waits."""
