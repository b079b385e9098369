"""What lies behind a recording's summary, of the cgroups that waited longest: by length, over time, for whom."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import ceil

from agent.documents.run_details import Moment, RunDetails, RunMatrix, Waiting, Waits
from collectors.windows import histogram
from collectors.windows.sched import REST, CgroupWindow, SchedWindow

MOST_CGROUPS = 6  # in a chart; the summary has them all
MOST_POINTS = 60  # of a time line: more than this, and neighbouring windows become one point
EVERYONE_ELSE = "everyone else"
NS_PER_S = 1e9


def run_details(
    run: Sequence[SchedWindow], whole: Mapping[str, CgroupWindow], names: Mapping[str, str]
) -> RunDetails:
    """The details of a recording.

    Args:
        run: Its windows, in order.
        whole: Each cgroup over all of them.
        names: Each cgroup's display name, in the order of the summary.
    """
    shown = [path for path in names if whole[path].wait_ns][:MOST_CGROUPS]
    points = list(_points(run))
    return RunDetails(
        edges_ns=(*map(float, histogram.OCTAVES_NS[1:]), None),
        by_length=tuple(Waits(names[path], histogram.octaves(whole[path].histogram)) for path in shown),
        moments=tuple(_moments(points)),
        over_time=tuple(Waiting(names[path], tuple(_mean_waiting(points, path))) for path in shown),
        matrix=_matrix(whole, names, shown),
    )


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Display name by path; the path itself where others have the same name."""
    uses = Counter(names.values())
    return {path: name if uses[name] == 1 else path for path, name in names.items()}


def _points(run: Sequence[SchedWindow]) -> Iterator[Sequence[SchedWindow]]:
    size = max(1, ceil(len(run) / MOST_POINTS))
    for start in range(0, len(run), size):
        yield run[start : start + size]


def _moments(points: Sequence[Sequence[SchedWindow]]) -> Iterator[Moment]:
    begins_ns = [point[0].end_ns - point[0].duration_ns for point in points]
    for begin_ns, point in zip(begins_ns, points, strict=True):
        yield Moment((begin_ns - begins_ns[0]) / NS_PER_S, (point[-1].end_ns - begins_ns[0]) / NS_PER_S)


def _mean_waiting(points: Sequence[Sequence[SchedWindow]], path: str) -> Iterator[float]:
    for point in points:
        waits = [window.cgroups[path] for window in point if path in window.cgroups]
        waited_ns = sum(cgroup.wait_ns - cgroup.throttled_ns for cgroup in waits)
        yield waited_ns / sum(window.duration_ns for window in point)


def _matrix(whole: Mapping[str, CgroupWindow], names: Mapping[str, str], rows: Sequence[str]) -> RunMatrix:
    waits = {row: Counter({row: whole[row].self_ns} | _waited_for(whole[row])) for row in rows}
    by_column: Counter[str] = sum(waits.values(), Counter())
    columns = [path for path, _ in by_column.most_common() if path != REST][:MOST_CGROUPS]
    cells = {row: (*(waits[row][column] for column in columns), _rest(waits[row], columns)) for row in rows}
    else_used = any(row[-1] for row in cells.values())
    return RunMatrix(
        waiting=tuple(names[row] for row in rows),
        waited_for=(
            *(names.get(column, column) for column in columns),
            *([EVERYONE_ELSE] if else_used else []),
        ),
        wait_ns=tuple(row if else_used else row[:-1] for row in cells.values()),
    )


def _waited_for(cgroup: CgroupWindow) -> dict[str, int]:
    return {name: wait.wait_ns for name, wait in cgroup.waited_for.items()}


def _rest(waits: Mapping[str, int], columns: Sequence[str]) -> int:
    return sum(wait_ns for name, wait_ns in waits.items() if name not in columns)
