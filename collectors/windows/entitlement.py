"""What two cgroups were owed of the CPU time that they had between them, by their weights, and what they had.

Weights divide what siblings compete for (sched-design-CFS.rst, cgroup-v2.rst: cpu.weight); whoever wants less than its
part leaves the rest to the other. Of cgroups that are not siblings their ancestors that are compete.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collectors.host.placement import siblings
from collectors.windows.sched import CgroupWindow, subtree

Weights = tuple[int, int]
FindWeights = Callable[[str, str], Weights | None]
"""The weights of two cgroups, or of their ancestors that are siblings; None where there are none between them."""

# Who has more than a tenth less than it was owed was kept from it.
_CLEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Share:
    """Of the CPU time that two siblings had between them: what one had, what its weight promises, what it wanted.

    0 to 1; it may have wanted more than both had.
    """

    had: float
    promised: float
    wanted: float

    @property
    def is_below(self) -> bool:
        """Whether it wanted more than it had, and had clearly less than promised: a larger promise is no help.

        The other then ran above its entitlement by as much.
        """
        return self.had < _CLEARLY * min(self.promised, self.wanted)

    @property
    def others_ratio(self) -> float:
        """How much the other ran, in times of what it was entitled to: its promise, and what this one did not want."""
        return (1 - self.had) / max(1e-3, 1 - min(self.promised, self.wanted))


def share_of(
    weights: Weights | None, path: str, other: str, every: Mapping[str, CgroupWindow]
) -> Share | None:
    """The share of `path`, or its ancestor, beside `other`; None where no weights are between them, or neither ran.

    Args:
        weights: Those of the two, as `FindWeights` finds them.
        path: Whose share it is.
        other: Beside whom.
        every: All cgroups of the time in question.
    """
    pair = siblings(path, other)
    if pair is None or weights is None or not sum(weights):
        return None
    ours, theirs = (subtree(every, each) for each in pair)
    both_ns = ours.run_ns + theirs.run_ns
    if not both_ns:
        return None
    wanted_ns = ours.run_ns + ours.wait_ns - ours.throttled_ns
    return Share(ours.run_ns / both_ns, weights[0] / sum(weights), wanted_ns / both_ns)
