"""Windows of a victim, one after the other, on a clock of their own."""

from collections.abc import Iterable, Iterator

from agent.detection.detector import Detector
from agent.documents.event import Event
from collectors.windows.sched import CgroupWindow
from tests.agent.analysis.trials import NEIGHBOUR, VICTIM, cgroup, window

WINDOW_S = 10.0
NS = 10**9
EPOCH_NS = 1_780_000_000 * NS


def usual(path: str = VICTIM) -> CgroupWindow:
    """Two seconds of running, a little waiting."""
    return cgroup(2.0, {NEIGHBOUR: 0.05}, path=path)


def crowded(path: str = VICTIM) -> CgroupWindow:
    """The same, and four seconds of waiting for a neighbour."""
    return cgroup(2.0, {NEIGHBOUR: 4.0, "/rest.slice": 0.2}, unattributed_s=0.3, path=path)


def throttled(path: str = VICTIM) -> CgroupWindow:
    """Held back by a quota for six seconds."""
    return cgroup(2.0, {NEIGHBOUR: 0.05}, throttled_s=6.0, path=path)


def told(
    detector: Detector, scene: Iterable[CgroupWindow | Iterable[CgroupWindow]], begin: int = 0
) -> Iterator[tuple[int, Event]]:
    """(number of the window, event) of every event."""
    for number, cgroups in enumerate(scene, begin):
        parts = (cgroups,) if isinstance(cgroups, CgroupWindow) else tuple(cgroups)
        for event in detector.step(
            window(*parts, duration_s=WINDOW_S), EPOCH_NS + round(number * WINDOW_S) * NS
        ):
            yield number, event
