"""One rule on one cgroup over time: what is usual, and whether the indicator has been off for long enough."""

from dataclasses import dataclass, field

from agent.detection.rules import Comparison, Rule, comparison, exceeds
from agent.detection.running_baseline import RunningBaseline
from agent.documents.event import Event
from collectors.windows.sched import CgroupWindow

# An indicator that has been beyond what was usual for so long is usual: an hour of windows of 10 s.
ADOPTED_AFTER = 360


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long an indicator must be off: `exceeded` of `windows` windows beyond the limit."""

    windows: int = 3
    exceeded: int = 2


@dataclass(frozen=True, slots=True)
class Excess:
    """A value beyond the limit, and what it was compared with."""

    value: float
    against: Comparison


@dataclass(slots=True)
class Series:
    """What is remembered.

    Attributes:
        beyond: The latest windows as bits, the latest lowest: whether each was beyond the limit.
        in_a_row: How many of the latest were, without one that was not.
        evidence: The cgroup in those windows, and their length in ns, until an event is raised.
        since_utc_ns: When the first of them began.
        raised: The event that has been raised and not yet cleared.
    """

    running: RunningBaseline = field(default_factory=RunningBaseline)
    beyond: int = 0
    in_a_row: int = 0
    evidence: list[tuple[CgroupWindow, int]] = field(default_factory=list)
    since_utc_ns: int = 0
    raised: Event | None = None

    @property
    def is_at_rest(self) -> bool:
        """Whether a window without the cgroup would change nothing."""
        return not (self.beyond or self.in_a_row or self.raised)

    def judge(self, rule: Rule, value: float | None, stored: float | None) -> Excess | None:
        """How a value is beyond the limit; None when it is not, and then it is learnt."""
        against = comparison(rule, self.running, stored)
        if value is None:
            return None
        if against is not None and exceeds(rule, value, against):
            return Excess(value, against)
        self.running.learn(value)
        return None

    def note(self, persistence: Persistence, *, beyond: bool) -> None:
        """Move on by one window."""
        self.beyond = (self.beyond << 1 | beyond) & (1 << persistence.windows) - 1
        self.in_a_row = self.in_a_row + 1 if beyond else 0
        if not self.beyond:
            self.evidence.clear()

    def keep(self, cgroup: CgroupWindow, duration_ns: int, utc_ns: int, persistence: Persistence) -> None:
        """Keep a window beyond the limit as evidence, for as long as nothing is raised."""
        if self.raised is None:
            if not self.evidence:
                self.since_utc_ns = utc_ns - duration_ns
            self.evidence.append((cgroup, duration_ns))
            del self.evidence[: -persistence.windows]

    def is_due(self, persistence: Persistence) -> bool:
        """Whether the latest window, which is beyond the limit, raises an event."""
        return self.raised is None and self.beyond.bit_count() >= persistence.exceeded

    def is_over(self, rule: Rule) -> bool:
        """Whether what was raised is to be cleared: by as many windows within the limit, or by habit."""
        return self.raised is not None and (not self.beyond or self._is_habit(rule))

    def clear(self, rule: Rule) -> None:
        """Begin again. What has become a habit is learnt anew."""
        if self._is_habit(rule):
            self.running = RunningBaseline()
        self.raised, self.beyond, self.in_a_row = None, 0, 0
        self.evidence.clear()

    def _is_habit(self, rule: Rule) -> bool:
        return rule.method in {"percent", "sigma"} and self.in_a_row >= ADOPTED_AFTER
