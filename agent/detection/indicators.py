"""The signals that can be watched: what each says of one cgroup in one window. docs/detection.md explains them.

An indicator is None where a window tells too little: a cgroup that hardly ran and hardly wanted to, a percentile of a
handful of waits, a counter that this host does not have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log
from typing import Literal

from collectors.host.readings import Missing
from collectors.windows import counters, histogram
from collectors.windows.sched import NS_PER_S, CgroupWindow, SchedWindow

# The 99th percentile of fewer waits is one of their ten largest: of 200 in a skewed series it was beyond three times
# what is usual 11 times a day for 100 cgroups in which nothing happened, of 50 it was 5,559 times.
_LEAST_WAITS = 1000
# A starved cgroup has hardly run: its wait is laid on at least this share of the window.
_LEAST_RUN = 0.001

Blamed = Literal["waits", "preemptions", "runs", "nobody"]


@dataclass(frozen=True, slots=True)
class IndicatorSample:
    """One cgroup in one window, with its instructions per cycle where they are counted."""

    cgroup: CgroupWindow
    duration_ns: int
    ipc: float | None = None


@dataclass(frozen=True, slots=True)
class Indicator:
    """One figure of a sample.

    Attributes:
        worse: In which direction it hurts.
        harmless: What is on the good side of this never counts, whatever is usual.
        blames: Suspects are ranked by how long they were waited for, how often they preempted, or how long they ran
            meanwhile; a quota's doing blames nobody.
        harm: What is beyond this harms where nothing is known of what is usual, and beyond what is known of it.
    """

    unit: str
    worse: Literal["higher", "lower"]
    harmless: float
    blames: Blamed
    value: Callable[[IndicatorSample], float | None]
    harm: float = inf

    @property
    def floor(self) -> float:
        """What harms nobody at all, on the even scale."""
        return _RATIO_FLOOR if self.unit == "" else _LOG_FLOOR


_LEAST_RATIO, _LEAST_AMOUNT = 0.02, 1e-3
_RATIO_FLOOR, _LOG_FLOOR = log(_LEAST_RATIO / (1 - _LEAST_RATIO)), log(_LEAST_AMOUNT)


def even(indicator: Indicator, value: float) -> float:
    """A value on the scale on which its noise is even: the logit of a ratio, the logarithm of anything else.

    Ratios are taken as within 2 and 98 %: what is beyond tells little more, and its logit is without bounds.
    """
    if indicator.unit:
        amount = log(max(value, _LEAST_AMOUNT)) if value < inf else inf
        return -amount if indicator.worse == "lower" else amount
    if value >= 1 - _LEAST_RATIO:
        return inf if value == inf else -_RATIO_FLOOR
    return log(value / (1 - value)) if value > _LEAST_RATIO else _RATIO_FLOOR


def uneven(indicator: Indicator, x: float) -> float:
    """The value that `even` puts there."""
    if indicator.unit:
        return exp(-x if indicator.worse == "lower" else x)
    return 1 / (1 + exp(-x))


def _wait_per_run(sample: IndicatorSample) -> float:
    """Waiting for a CPU while no quota forbade it, per time on one."""
    waited_ns = max(0, sample.cgroup.wait_ns - sample.cgroup.throttled_ns)
    return waited_ns / max(sample.cgroup.run_ns, _LEAST_RUN * sample.duration_ns)


def _wait_p99_ms(sample: IndicatorSample) -> float | None:
    if sum(sample.cgroup.histogram) < _LEAST_WAITS:
        return None
    p99_ns = histogram.percentile_ns(sample.cgroup.histogram, 99)
    return None if p99_ns is None else p99_ns / 1e6


def _preempted_per_s(sample: IndicatorSample) -> float:
    return sample.cgroup.preempted_foreign / (sample.duration_ns / NS_PER_S)


def _throttled_share(sample: IndicatorSample) -> float:
    """The share of the time in which it wanted to run that a quota kept it from running."""
    wanted_ns = sample.cgroup.run_ns + sample.cgroup.wait_ns
    return min(1.0, sample.cgroup.throttled_ns / wanted_ns)


INDICATORS = {
    # At 0.95 it has a twentieth of what it wants. In the recorded quiet hour a service is at 0.9 for minutes.
    "contention": Indicator(
        "", "higher", 0.07, "waits", lambda sample: sample.cgroup.contention_ratio, harm=0.95
    ),
    "wait_per_run": Indicator("s/s", "higher", 0.1, "waits", _wait_per_run),
    "wait_p99": Indicator("ms", "higher", 5.0, "waits", _wait_p99_ms),
    "preempted_per_s": Indicator("1/s", "higher", 50.0, "preemptions", _preempted_per_s),
    "throttled_share": Indicator("", "higher", 0.02, "nobody", _throttled_share),
    "ipc": Indicator("instructions/cycle", "lower", inf, "runs", lambda sample: sample.ipc),
}


def ipc_of(window: SchedWindow, path: str) -> float | None:
    """A cgroup's instructions per cycle in a window; None where they were not counted for most of it."""
    counts = window.signals.counters.get(path) if window.signals else None
    ipc = counters.figures(counts).ipc if counts else None
    return None if isinstance(ipc, Missing) else ipc


def value_of(indicator: Indicator, sample: IndicatorSample) -> float | None:
    """What an indicator says of a sample; None: too little to tell."""
    return None if sample.cgroup.is_idle(sample.duration_ns) else indicator.value(sample)
