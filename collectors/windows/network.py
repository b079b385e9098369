"""What each cgroup had of each network device's queue in a window, and whose packets its own waited behind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from collectors.windows import charged
from probes.network import QueueFigures, Queues


@dataclass(frozen=True, slots=True)
class QueueUse:
    """One cgroup's packets that left a queue in a window; times are summed over packets.

    `queue_ns` is the sum of: `self_ns` (the device sent this cgroup's own), `unattributed_ns` and what is `waited_for`,
    while it sent others'. Where many packets are sent these, `packets` and `bytes` are estimates, by sample.
    `dropped` is what the queue refused, `retransmits` what TCP sent again.
    """

    packets: int = 0
    bytes: int = 0
    queue_ns: int = 0
    self_ns: int = 0
    unattributed_ns: int = 0
    dropped: int = 0
    retransmits: int = 0
    waited_for: Mapping[str, int] = field(default_factory=dict)

    def renamed(self, names: Mapping[str, str]) -> "QueueUse":
        """The same, with those that were waited for under other names; those of one name are one."""
        return replace(self, waited_for=charged.renamed(self.waited_for, names))


QueueWindows = Mapping[str, Mapping[str, QueueUse]]
"""By device (`eth0`, or `tcp` for what it sent again) and cgroup."""

_NUMBERS = tuple(name for name in QueueUse.__slots__ if name != "waited_for")


def queues_within(before: Queues, after: Queues, paths: Mapping[int, str]) -> QueueWindows:
    """What grew between two snapshots, of the cgroups that had anything."""

    def use_of(was: QueueFigures | None, figures: QueueFigures) -> QueueUse | None:
        numbers = {
            name: max(0, getattr(figures, name) - (getattr(was, name) if was else 0)) for name in _NUMBERS
        }
        if not any(numbers.values()):
            return None
        waits = charged.grown(was.waits_ns if was else {}, figures.waits_ns, paths)
        return QueueUse(**numbers, waited_for=waits)

    return charged.within(before, after, paths, use_of, add)


def add(parts: Sequence[QueueUse]) -> QueueUse:
    """The sum over time, over devices or over cgroups."""
    return QueueUse(
        **{name: sum(getattr(part, name) for part in parts) for name in _NUMBERS},
        waited_for=charged.summed(wait for part in parts for wait in part.waited_for.items()),
    )


def queue_use(windows: Iterable[QueueWindows], path: str) -> QueueUse:
    """Of a cgroup with everything below it, over all devices and windows; waits for its own parts become its own."""
    whole = add(list(charged.of_subtree(windows, path)))
    own_ns, others = charged.own_and_others(whole.waited_for, path)
    return replace(whole, self_ns=whole.self_ns + own_ns, waited_for=others)
