"""What a metric is, as readers of the victim's figures return it and verdicts have it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
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
        step: what it is counted in, in its unit, where that is always the same; None: it is not known.
    """

    name: str
    unit: str
    better: Better
    is_failure_count: bool = False
    step: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One trial's value of a metric, in the metric's unit: finite, and positive; a count of failures may be 0.

    `printed_step` is the place of the last digit that was printed, in the metric's unit; None: it was not printed.
    `counts` is the histogram that a percentile is of: values in the metric's unit, and how many; empty: not given.
    `closed_loop`: it is a latency as a tool sees it that sends nothing while it waits.
    """

    metric: Metric
    value: float
    printed_step: float | None = field(default=None, compare=False)
    counts: tuple[tuple[float, float], ...] = field(default=(), compare=False, repr=False)
    closed_loop: bool = field(default=False, compare=False)

    @property
    def step(self) -> float | None:
        """In which steps the value is known; None: that is to be taken from the data."""
        return self.metric.step if self.printed_step is None else self.printed_step


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure that is a ratio, such as seconds waited per second run: what is above the line, and below."""

    over: float = 0.0
    under: float = 0.0

    def __add__(self, other: "Ratio") -> "Ratio":
        """Both together: longer slots weigh more."""
        return Ratio(self.over + other.over, self.under + other.under)

    @property
    def value(self) -> float:
        """The figure; not a number where there is nothing below the line."""
        return self.over / self.under if self.under > 0 else math.nan


DURATION = Metric("duration", "s", "lower", step=1e-6)


STRETCH = Metric("stretch", "s/s", "lower", step=1e-9)
"""Seconds that a cgroup ran or waited for a CPU per second that it ran: 1 when it never waits."""

_MOST_THRESHOLD_PCT = 1000
TIMES_FROM_PCT = 100.0
"""From here on a slowdown is said as a factor: 2.4× is understood where 140 % is not."""
_KNOWN_TIMES = 100.0
NOT_KNOWN = "not known yet"
"""Said of an interval that tells nothing."""


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


def tells_nothing(bounds_pct: Sequence[float]) -> bool:
    """Whether the ends of an interval are a hundred times apart: two pairs leave room for −100 to 93,775,542 %."""
    low, high = factor(bounds_pct[0]), factor(bounds_pct[1])
    return low <= 0 or high > _KNOWN_TIMES * low


def described_change(
    slowdown_pct: float, ci95_pct: Sequence[float] | None, better: Better, what: str = "figure"
) -> tuple[str, str]:
    """A slowdown as people say it, and its interval; an empty one where there is none.

    Of a time `57.8 % slower` and `+51.2 to +64.0 %`, or `2.4× slower` and `2.3 to 2.5×`. Of what is better higher, its
    own change: half a rate is `rate −50.0 %`, which nobody calls 100 % slower.
    """
    if better == "lower" and slowdown_pct >= TIMES_FROM_PCT:
        if ci95_pct and tells_nothing(ci95_pct):
            return f"{_times(factor(slowdown_pct))}× slower", NOT_KNOWN
        bounds = " to ".join(f"{_times(factor(bound))}" for bound in ci95_pct or ())
        return f"{_times(factor(slowdown_pct))}× slower", f"{bounds}×" if bounds else ""
    words = slower(slowdown_pct) if better == "lower" else f"{what} {changed(slowdown_pct, better)}"
    return words, changed_between(ci95_pct, better) if ci95_pct else ""


def slower(slowdown_pct: float) -> str:
    """A slowdown of a time in words: `57.8 % slower`, `3.0 % faster`, `no slower` where it rounds to nothing."""
    if round(slowdown_pct, 1) == 0:
        return "no slower"
    return f"{abs(slowdown_pct):,.1f} % {'slower' if slowdown_pct > 0 else 'faster'}"


def changed(slowdown_pct: float, better: Better) -> str:
    """The change of the figure itself: `+57.8 %` of a time, `−36.6 %` of a rate that is as much slower."""
    change = change_pct(slowdown_pct, better)
    return "n/a" if change is None else f"{signed(change)} %"


def changed_between(bounds_pct: Sequence[float], better: Better) -> str:
    """An interval of the slowdown as one of the change, the lower end first: `+51.2 to +64.0 %`; or NOT_KNOWN."""
    if tells_nothing(bounds_pct):
        return NOT_KNOWN
    ends = [changed(bound, better) for bound in (bounds_pct if better == "lower" else reversed(bounds_pct))]
    return " to ".join((*(end.removesuffix(" %") for end in ends[:-1]), ends[-1]))


def signed(pct: float) -> str:
    """With its sign, without the unit: `+12.0`, `−48.3`, `0.0`."""
    shown = f"{pct:+,.1f}"
    return "0.0" if float(shown.replace(",", "")) == 0 else with_minus(shown)


def with_minus(figures: str) -> str:
    """Figures as people read them: with a minus in place of Python's hyphen, which could be a dash."""
    return figures.replace("-", "−")


def _times(number: float) -> str:
    """A factor: `2.4`, and whole from 10 up."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"
