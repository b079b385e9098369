"""What is usual for one indicator of one cgroup at this time of day, and what is so far beyond it that it is told.

An indicator is judged on a scale on which its noise is even, as a mean over time (`WindowTime.weight`), so that how
long a window is does not matter. Of each hour its highest is learnt. What the next hour may reach is expected from the
same time of the last days (their median), or from the last six hours, where all of these were higher: a recurring job
and a daily wave are usual, and so is after six hours what has come to stay. Beyond that a margin is allowed by which
the highest of an hour of this cgroup goes beyond another one so rarely as the budget says, by the law of extremes
(Gumbel, 1958; the spread is Shewhart's moving range). What is told is learnt as well: one bad hour is outvoted by two
others.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp, inf, isnan, log, pi, sqrt

from agent.detection.indicators import Indicator, even, uneven
from agent.documents.event import Event
from collectors.windows.sched import CgroupWindow

HOUR_NS = 3600 * 10**9
HOURS_PER_WEEK = 168
# What is unusual is told when it lasted this long, of the time that the mean reaches back.
LASTING_S, FAST_LASTING_S = 60.0, 8.0
DAYS, HOURS, RECENT = 3, 24, 6
# An hour in which it was busy for less says nothing of what is usual.
LEAST_BUSY_S = 360.0
# Before so many hours nothing is usual, and only what is harm by any measure is told.
LEAST_HOURS = 3
# On these scales: 3 % at least is never noise, and a jump of more than four times the spread counts as that much.
LEAST_SPREAD, MOST_JUMP = 0.03, 4.0
FIRST_SPREAD = 0.25
PER_MOVING_RANGE = 1.128
# The spread of few hours is known to within a part of itself.
FEW_HOURS = 3
_AT_REST = 0.1
_EULER = 0.5772
_UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class WindowTime:
    """What holds for all cgroups in one window.

    Attributes:
        hour: Whole hours since 1970.
        duration_s: The window's length.
        weight: What this window has of the mean: 1 - exp(-duration / lasting).
        reach: How many spreads beyond what is expected the budget allows.
        lasting_s: For how long it must be so.
    """

    hour: int
    utc_ns: int
    duration_s: float
    weight: float
    reach: float
    lasting_s: float


def moment_of(utc_ns: int, duration_ns: int, reach: float, lasting_s: float) -> WindowTime:
    """The moment of a window that ended at `utc_ns`."""
    duration_s = duration_ns / 1e9
    weight = 1 - exp(-duration_s / lasting_s)
    return WindowTime(utc_ns // HOUR_NS, utc_ns, duration_s, weight, reach, lasting_s)


def reach_of(budget_per_week: float, cgroups: int) -> float:
    """How many spreads an hour's highest is beyond the mean of such, in one hour of so many cgroups' weeks."""
    probability = min(0.5, budget_per_week / (HOURS_PER_WEEK * max(1, cgroups)))
    return (-log(probability) - _EULER) * sqrt(6) / pi


@dataclass(slots=True)
class Harm:
    """One budgeted rule on one cgroup.

    Attributes:
        level: The indicator's mean, on its even scale.
        rest: Where it is when nothing harms the cgroup; hours of it need not be looked at.
        expected: What an hour usually reaches; None: not known yet.
        limit: What raises an event.
        beyond: Whether the latest window was beyond the limit; of an event that is raised, whether it goes on.
        evidence: The windows beyond the limit, and their length in ns, until an event is raised.
        since_utc_ns: When the first of them began.
    """

    level: float = -inf
    rest: float = -inf
    peak: float = -inf
    busy_s: float = 0.0
    hour: int = 0
    hours: int = 0
    spread: float = FIRST_SPREAD
    expected: float | None = None
    limit: float = inf
    recent: tuple[float, ...] = ()
    days: "array[float]" = field(default_factory=lambda: array("f", [_UNKNOWN]) * (DAYS * HOURS))
    beyond: bool = False
    evidence: list[tuple[CgroupWindow, int]] = field(default_factory=list)
    since_utc_ns: int = 0
    raised: Event | None = None

    def step(
        self, indicator: Indicator, value: float | None, at: WindowTime, cgroup: CgroupWindow | None
    ) -> bool:
        """One more window; whether an event is to be raised. A value of None harms nobody."""
        if at.hour != self.hour:
            self._begin(indicator, at)
        x = indicator.floor
        if value is not None:
            self.busy_s += at.duration_s
            x = even(indicator, value)
        self.level += at.weight * (x - self.level)
        self.peak = max(self.peak, self.level)
        self.beyond = x > self.limit
        if self.beyond and cgroup is not None and self.raised is None:
            if not self.evidence:
                self.since_utc_ns = at.utc_ns - round(at.duration_s * 1e9)
            self.evidence.append((cgroup, round(at.duration_s * 1e9)))
        elif (
            self.evidence and at.utc_ns - self.since_utc_ns > 4e9 * at.lasting_s and self.level <= self.limit
        ):
            self.evidence.clear()
        return (
            self.raised is None
            and self.level > self.limit
            and sum(duration_ns for _, duration_ns in self.evidence) >= at.lasting_s * 1e9
        )

    @property
    def is_at_rest(self) -> bool:
        """Whether a window without the cgroup would change nothing."""
        return self.raised is None and not self.evidence and self.level <= self.rest

    @property
    def is_over(self) -> bool:
        """Whether what was raised is to be cleared: the mean is back within the limit, or the limit beyond the mean."""
        return self.raised is not None and self.level <= self.limit and not self.beyond

    def clear(self) -> None:
        """Look for the next."""
        self.raised = None
        self.evidence.clear()

    def baseline(self, indicator: Indicator) -> float | None:
        """What is expected, in the indicator's unit."""
        return None if self.expected is None else uneven(indicator, self.expected)

    def _begin(self, indicator: Indicator, at: WindowTime) -> None:
        if self.hour == 0:
            self.level = indicator.floor
            self.rest = indicator.floor + _AT_REST
        else:
            self._learn()
        self.hour, self.peak, self.busy_s = at.hour, self.level, 0.0
        self.expected = max(self._expected(), default=None) if self.hours >= LEAST_HOURS else None
        if self.expected is None:
            self.limit = even(indicator, indicator.harm)
            return
        margin = at.reach * max(LEAST_SPREAD, self.spread) * (1 + FEW_HOURS / self.hours)
        beyond = min(self.expected + margin, max(even(indicator, indicator.harm), self.expected + 0.5))
        self.limit = max(beyond, even(indicator, indicator.harmless))

    def _learn(self) -> None:
        """The hour that is over. One in which it was not busy is unknown."""
        slot = self.hour // HOURS % DAYS * HOURS + self.hour % HOURS
        if self.busy_s < LEAST_BUSY_S:
            self.days[slot] = _UNKNOWN
            return
        if self.recent:
            jump = abs(self.peak - self.recent[-1]) / PER_MOVING_RANGE
            jump = min(jump, MOST_JUMP * max(LEAST_SPREAD, self.spread))
            self.spread += (jump - self.spread) / (self.hours + 1)
        self.hours = min(self.hours + 1, HOURS_PER_WEEK)
        self.days[slot] = self.peak
        self.recent = (*self.recent, self.peak)[-RECENT:]

    def _expected(self) -> Iterator[float]:
        """What the hours around this one reached on the last days, and what the latest six did not fall below.

        Of fewer than three days the highest; on the first, of the latest hours.
        """
        known = 0
        for hour in (self.hour - 1, self.hour, self.hour + 1):
            day = [value for value in self.days[hour % HOURS :: HOURS] if not isnan(value)]
            known = max(known, len(day)) if hour == self.hour else known
            if day:
                yield sorted(day)[DAYS // 2] if len(day) == DAYS else max(day)
        yield min(self.recent) if known and len(self.recent) == RECENT else max(self.recent)
