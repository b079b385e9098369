"""How many tasks of each cgroup waited for a CPU over time."""

from collections.abc import Iterator, Sequence
from math import nan

from matplotlib.axes import Axes

from agent.documents.run_details import Moment, Waiting
from reports.charts.canvas import panels
from reports.svg import WITH

TITLE = "Tasks waiting for a CPU, over time"
LABELS = ("time since the beginning (s)", "tasks waiting")


def timeline_chart(moments: Sequence[Moment], cgroups: Sequence[Waiting]) -> str:
    """The cgroups of a recording; where nothing was recorded, nothing is drawn."""

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
