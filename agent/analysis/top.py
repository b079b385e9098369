"""What `jostle top` shows: the rows of one window, and the last minute of each cgroup's waiting."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.analysis import untracked
from agent.documents.top import LiveRow, LiveTable, Sort, ordered
from collectors.host.readings import Missing
from collectors.windows import counters, histogram
from collectors.windows.sched import NS_PER_S, CgroupWindow, SchedWindow
from probes.snapshot import Snapshot

DID_NOT_RUN = "a cgroup that did not run in this window has no wait per second of run"
DID_NOT_WAIT = "a cgroup of which no wait ended in this window has no such wait"
NOT_PREEMPTED = "a cgroup that nobody preempted"
MINUTE_S = 60.0


def live_table(  # noqa: D417  the first four are what they are called
    hostname: str,
    window: SchedWindow,
    sort: Sort,
    named: Callable[[str], str],
    ipc: Mapping[str, float] | Missing,
) -> LiveTable:
    """A window's table.

    Args:
        ipc: Instructions per cycle by cgroup, or why there are none.
    """
    rows = [_row(cgroup, window.duration_ns, named, ipc) for cgroup in window.cgroups.values()]
    return LiveTable(
        hostname=hostname,
        cpus=len(window.cpus),
        duration_s=window.duration_ns / NS_PER_S,
        sort=sort,
        cgroups=tuple(ordered(rows, sort, window.duration_ns)),
        warnings=tuple(_warnings(window)),
        unavailable=_reasons(rows, ipc),
    )


def ipc_of(before: Snapshot, after: Snapshot) -> Mapping[str, float] | Missing:
    """Instructions per cycle between two snapshots, of the cgroups that have them; where none has, why not."""
    refused = {name: Missing(why.reason, why.remedy) for name, why in after.uncounted.items()}
    counted = {
        path: counters.figures({**refused, **counts}).ipc
        for path, counts in counters.grown(before, after).items()
    }
    found = {path: ipc for path, ipc in counted.items() if not isinstance(ipc, Missing)}
    refusal = counters.figures(refused).ipc
    return refusal if isinstance(refusal, Missing) and not found else found


def _row(
    cgroup: CgroupWindow,
    duration_ns: int,
    named: Callable[[str], str],
    ipc: Mapping[str, float] | Missing,
) -> LiveRow:
    per_s = NS_PER_S / duration_ns
    by = max(cgroup.waited_for.items(), key=lambda item: item[1].preemptions, default=None)
    return LiveRow(
        cgroup=cgroup.path,
        name=named(cgroup.path),
        wait_per_run=cgroup.wait_ns / cgroup.run_ns if cgroup.run_ns else None,
        wait_ns=cgroup.wait_ns,
        run_ns=cgroup.run_ns,
        wait_p50_ns=histogram.percentile_ns(cgroup.histogram, 50),
        wait_p99_ns=histogram.percentile_ns(cgroup.histogram, 99),
        preempted_per_s=cgroup.preempted_foreign * per_s,
        preempted_by=named(by[0]) if by and by[1].preemptions else None,
        mean_waiting=(cgroup.wait_ns - cgroup.throttled_ns) / duration_ns,
        ipc=None if isinstance(ipc, Missing) else ipc.get(cgroup.path),
        throttled_ns_per_s=cgroup.throttled_ns * per_s,
        sampled_ns=cgroup.sampled_ns,
    )


def _reasons(rows: list[LiveRow], ipc: Mapping[str, float] | Missing) -> dict[str, str]:
    reasons = {
        "wait_per_run": DID_NOT_RUN,
        "wait_p50_ns": DID_NOT_WAIT,
        "wait_p99_ns": DID_NOT_WAIT,
        "preempted_by": NOT_PREEMPTED,
        "ipc": ipc.reason if isinstance(ipc, Missing) else "not counted for this cgroup in this window",
    }
    return {key: why for key, why in reasons.items() if any(getattr(row, key) is None for row in rows)}


def _warnings(window: SchedWindow) -> list[str]:
    warnings = []
    if window.shed:
        warnings.append(f"left out to keep the overhead budget: {', '.join(window.shed)}")
    return [*warnings, *untracked.warnings([window])]


@dataclass(frozen=True, slots=True)
class _Moment:
    end_s: float
    duration_s: float
    waited_s: Mapping[str, float]


@dataclass(slots=True)
class LastMinute:
    """Windows that ended within the last minute; older ones are forgotten as new ones come."""

    _moments: deque[_Moment] = field(default_factory=deque)

    def add(self, window: SchedWindow) -> None:
        """Add one window, and forget those that ended more than a minute before it."""
        end_s = window.end_ns / NS_PER_S
        waited_s = {
            path: cgroup.wait_ns / NS_PER_S for path, cgroup in window.cgroups.items() if cgroup.wait_ns
        }
        self._moments.append(_Moment(end_s, window.duration_ns / NS_PER_S, waited_s))
        while self._moments[0].end_s <= end_s - MINUTE_S:
            self._moments.popleft()

    def waiting(self, path: str, cells: int) -> list[float | None]:
        """Mean number of a cgroup's tasks that waited in each of `cells` parts of the minute, the latest last.

        None: nothing was watched then. A window counts where it ended.
        """
        if not self._moments:
            return [None] * cells
        now_s, width_s = self._moments[-1].end_s, MINUTE_S / cells
        waited, watched = [0.0] * cells, [0.0] * cells
        for moment in self._moments:
            cell = cells - 1 - min(cells - 1, int((now_s - moment.end_s) / width_s))
            waited[cell] += moment.waited_s.get(path, 0.0)
            watched[cell] += moment.duration_s
        means = [w / s if s else None for w, s in zip(waited, watched, strict=True)]
        return _held(means)


def _held(means: list[float | None]) -> list[float | None]:
    """Between windows that are longer than a cell the last known mean goes on; before the first there is none."""
    held: list[float | None] = []
    for mean in means:
        held.append(held[-1] if mean is None and held else mean)
    return held
