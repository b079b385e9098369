"""What the tiers below eBPF share: nothing is attached, nobody is blamed, and a cgroup is known by its path."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from time import monotonic_ns

from probes.layout import FIELDS, NR_BUCKETS
from probes.snapshot import ProbeCost, SchedFigures, Snapshot

Keys = defaultdict[str, int]


def new_keys() -> Keys:
    """A key for each path that is asked for; a path that was deleted gets another, and nobody else its old one."""
    return defaultdict(count(1).__next__)


def figures(run_ns: int, wait_ns: int, **counted: int) -> SchedFigures:
    """The figures of a cgroup whose wait is charged to nobody, and shown so; what is not `counted` is 0."""
    known = {"run_ns": run_ns, "wait_ns": wait_ns, "unattributed_ns": wait_ns, **counted}
    return SchedFigures(**{**dict.fromkeys(FIELDS, 0), **known}, histogram=(0,) * NR_BUCKETS)


def snapshot(
    by_path: Mapping[str, SchedFigures], keys: Keys, tasks: Mapping[str, int], reach_ns: int
) -> Snapshot:
    """The snapshot of these cgroups now.

    Each had at most as many tasks as `tasks` says since the snapshot before, which was `reach_ns` ago.
    """
    return Snapshot(
        monotonic_ns=monotonic_ns(),
        cgroups={keys[path]: found for path, found in by_path.items()},
        waits={},
        cpus=(),
        paths={keys[path]: path for path in by_path},
        untracked=0,
        tasks={keys[path]: count for path, count in tasks.items() if path in by_path},
        reach_ns=reach_ns,
    )


class Unattached:
    """The methods of a `Source` that have nothing to do without eBPF."""

    __slots__ = ()

    def __exit__(self, *_error: object) -> None:
        """Do nothing: nothing is attached to the kernel."""

    def cost(self) -> ProbeCost | None:
        """None: no BPF programs run without eBPF."""
        return None

    def shed(self, level: int) -> None:
        """Do nothing: there is no work that could be left out."""
