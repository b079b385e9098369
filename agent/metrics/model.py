"""The records that readers return."""

from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class Reader:
    """How a tool's output is read.

    Attributes:
        parse: from one output stream to its samples, the primary first; empty if the stream does not hold the
            tool's figure. Raises MetricRefusedError and nothing else, whatever the text.
        looks_for: the line or pattern without which there is no figure, for the message that says so.
    """

    parse: Callable[[str], list[Sample]]
    looks_for: str
