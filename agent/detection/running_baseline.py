"""What is usual: a mean and a deviation that follow an indicator slowly, in three numbers."""

from dataclasses import dataclass
from math import sqrt

# How many windows back a value still counts: 10 minutes of 10 s. One beyond counts 1/e as much.
MEMORY_WINDOWS = 60
# Before so many windows nothing is usual.
WARM_UP_WINDOWS = 6
# An indicator that has hardly varied so far is not taken for one that cannot.
_LEAST_DEVIATION_RATIO = 0.1


@dataclass(slots=True)
class RunningBaseline:
    """The mean and variance of the values learnt: plain at first, then exponentially weighted (West, 1979)."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def learn(self, value: float) -> None:
        """Take one more value in."""
        self.count = min(self.count + 1, MEMORY_WINDOWS)
        weight = 1 / self.count
        difference = value - self.mean
        self.mean += weight * difference
        self.variance = (1 - weight) * (self.variance + weight * difference * difference)

    @property
    def known(self) -> bool:
        """Whether enough was learnt to compare with."""
        return self.count >= WARM_UP_WINDOWS

    @property
    def deviation(self) -> float:
        """The standard deviation, at least a tenth of the mean."""
        return max(sqrt(self.variance), _LEAST_DEVIATION_RATIO * abs(self.mean))
