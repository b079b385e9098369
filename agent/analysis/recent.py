"""The last minute of each cgroup's waiting, for its sparkline."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.windows.sched import SchedWindow

MINUTE_S = 60.0


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
        """Take in one window."""
        end_s = window.end_ns / 1e9
        waited_s = {path: cgroup.wait_ns / 1e9 for path, cgroup in window.cgroups.items() if cgroup.wait_ns}
        self._moments.append(_Moment(end_s, window.duration_ns / 1e9, waited_s))
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
