"""What a host can measure, and what counting events costs on it."""

from dataclasses import dataclass

from collectors.sources.capabilities import Capability, CapabilityState

__all__ = ["Capability", "CapabilityState", "Counting", "Examination"]


@dataclass(frozen=True, slots=True)
class Counting:
    """The cost of counting.

    Attributes:
        events: What was counted to find out.
        hardware: Whether they are those of a recording; else software events stand in for them.
        ns_per_change: What they add to a context switch from one cgroup to another; None: `reason` says why.
        reason: Why there is no figure, or why software events stand in.
    """

    events: tuple[str, ...]
    hardware: bool
    ns_per_change: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found: every capability, the ones that matter most first, and what counting events costs."""

    capabilities: tuple[Capability, ...]
    counting: Counting
