"""The charts of a recording."""

from collections.abc import Iterator, Sequence
from math import nan

from matplotlib.axes import Axes

from agent.documents.summary import Moment, RunDetails, RunMatrix, Waiting
from reports.charts.canvas import WITH, panels
from reports.charts.waits import cgroups_chart, matrix_chart
from reports.sections.run import BY_LENGTH, MATRIX, OVER_TIME, matrix_figures

TITLE = "Tasks waiting for a CPU, over time"
LABELS = ("time since the beginning (s)", "tasks waiting")


def charts(details: RunDetails | None) -> dict[str, str]:
    """The charts that there are figures for, by the title of the section that each stands above."""
    if details is None or not details.by_length:
        return {}
    return {
        OVER_TIME: timeline_chart(details.moments, details.over_time),
        BY_LENGTH: cgroups_chart(details.edges_ns, details.by_length),
        MATRIX: _matrix_chart(details.matrix),
    }


def _matrix_chart(matrix: RunMatrix) -> str:
    unit, shown = matrix_figures(matrix)
    described = f"Waits in the whole recording, in {unit}."
    return matrix_chart(matrix.waiting, matrix.waited_for, matrix.wait_ns, shown, described)


def timeline_chart(moments: Sequence[Moment], cgroups: Sequence[Waiting]) -> str:
    """How many tasks of each cgroup waited over time; where nothing was recorded, nothing is drawn."""

    def draw(axes: Axes, number: int) -> None:
        at_s, waiting = zip(*steps(moments, cgroups[number].mean_waiting), strict=True)
        axes.fill_between(at_s, waiting, color=WITH, alpha=0.35, linewidth=0)
        axes.plot(at_s, waiting, color=WITH, linewidth=1.4)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")

    return panels(draw, [cgroup.name for cgroup in cgroups], LABELS, "timeline", TITLE, one_scale=False)


def steps(moments: Sequence[Moment], values: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The corners of a line of steps, which a gap as long as the moment before it interrupts."""
    before = moments[0]
    for moment, value in zip(moments, values, strict=True):
        if moment.begin_s - before.end_s > before.end_s - before.begin_s:
            yield moment.begin_s, nan
        yield moment.begin_s, value
        yield moment.end_s, value
        before = moment
