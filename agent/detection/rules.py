"""The ways to say that an indicator is beyond what it should be: by a budget of false events, and four classic ones."""

from dataclasses import dataclass
from typing import Literal, get_args

from agent.detection.indicators import INDICATORS, Indicator
from agent.detection.running_baseline import RunningBaseline

Method = Literal["budget", "baseline", "percent", "sigma", "threshold"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Rule:
    """One indicator, compared in one way.

    `limit` is how many false events a host and week may have (`budget`), in per cent above the stored baseline's 95th
    percentile (`baseline`), in per cent above the recent mean (`percent`), in standard deviations from it (`sigma`), or
    in the indicator's own unit (`threshold`). Below, where lower is worse.
    """

    indicator: str
    method: Method
    limit: float

    @property
    def watched(self) -> Indicator:
        """The indicator that this rule watches."""
        return INDICATORS[self.indicator]


DEFAULT_BUDGET = 1.0


def default_rules(budget_per_week: float = DEFAULT_BUDGET) -> tuple[Rule, ...]:
    """Waiting behind others, its tail, and quotas that bind; the first two share the budget of false events."""
    return (
        Rule("contention", "budget", budget_per_week / 2),
        Rule("wait_p99", "budget", budget_per_week / 2),
        Rule("throttled_share", "threshold", 0.1),
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a value is compared with: what is usual (None with a fixed limit), and the limit."""

    baseline: float | None
    limit: float


def comparison(rule: Rule, running: RunningBaseline, stored: float | None) -> Comparison | None:
    """What a rule compares with; None while it has nothing to compare with.

    `stored` is the stored baseline of this cgroup and indicator, as `baseline.learn` gives it.
    """
    sign = 1 if rule.watched.worse == "higher" else -1
    match rule.method:
        case "threshold":
            return Comparison(None, rule.limit)
        case "baseline":
            return None if stored is None else Comparison(stored, stored * (1 + sign * rule.limit / 100))
        case "percent":
            return (
                Comparison(running.mean, running.mean * (1 + sign * rule.limit / 100))
                if running.known
                else None
            )
        case "sigma":
            beyond = running.mean + sign * rule.limit * running.deviation
            return Comparison(running.mean, beyond) if running.known else None
        case "budget":  # `harm` judges these
            return None


def exceeds(rule: Rule, value: float, against: Comparison) -> bool:
    """Whether a value lies beyond the limit, and where it hurts."""
    if rule.watched.worse == "lower":
        return value < min(against.limit, rule.watched.harmless)
    return value > max(against.limit, rule.watched.harmless)
