"""The charts of a recording."""

from collections.abc import Iterator, Sequence
from math import ceil, nan

from matplotlib.axes import Axes

from agent.documents.summary import Moment, RunDetails, RunMatrix, RunSummary
from agent.documents.times import clock, second_of_day, utc_s, zone
from collectors.windows.sched import NS_PER_S
from reports.charts.canvas import INK, WITH, panels
from reports.charts.waits import cgroups_chart, matrix_chart
from reports.sections.events import MOST_EVENTS
from reports.sections.run import BY_LENGTH, MATRIX, OVER_TIME, matrix_figures

STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
MOST_TICKS = 5
TITLE = "Tasks waiting for a CPU, over time"
LABELS = ("time since the beginning (s)", "tasks waiting")


def charts(summary: RunSummary) -> dict[str, str]:
    """The charts that there are figures for, by the title of the section that each stands above."""
    details = summary.details
    if details is None or not details.by_length:
        return {}
    return {
        OVER_TIME: timeline_chart(details, summary.since, marks(summary)),
        BY_LENGTH: cgroups_chart(details.edges_ns, details.by_length),
        MATRIX: _matrix_chart(details.matrix),
    }


def _matrix_chart(matrix: RunMatrix) -> str:
    unit, shown = matrix_figures(matrix)
    described = f"Waits in the whole recording, in {unit}."
    return matrix_chart(matrix.waiting, matrix.waited_for, matrix.wait_ns, shown, described)


def marks(summary: RunSummary) -> tuple[tuple[float, float], ...]:
    """When each of the events that are listed began and ended, in seconds from the recording's beginning."""
    if summary.since is None:
        return ()
    begin_s = utc_s(summary.since)
    listed = (summary.events or ())[:MOST_EVENTS]
    return tuple(
        (each.event.since_utc_ns / NS_PER_S - begin_s, each.until_utc_ns / NS_PER_S - begin_s)
        for each in listed
    )


def timeline_chart(details: RunDetails, since: str | None, events: Sequence[tuple[float, float]] = ()) -> str:
    """How many tasks of each cgroup waited over time; where nothing was recorded, nothing is drawn.

    By the clock where it is known when the recording began; events, as `marks` has them, are shaded and numbered.
    """
    cgroups, moments = details.over_time, details.moments
    last_s = moments[-1].end_s or 1.0

    def draw(axes: Axes, number: int) -> None:
        at_s, waiting = zip(*steps(moments, cgroups[number].mean_waiting), strict=True)
        axes.fill_between(at_s, waiting, color=WITH, alpha=0.35, linewidth=0)
        axes.plot(at_s, waiting, color=WITH, linewidth=1.4)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, last_s)
        axes.grid(axis="y")
        at_one_place: dict[float, list[tuple[float, int]]] = {}
        for event, (begin_s, end_s) in enumerate(events, 1):
            if begin_s < last_s and end_s > 0:
                first_s = max(0.0, begin_s)
                axes.axvspan(first_s, min(last_s, end_s), color=INK, alpha=0.08, linewidth=0)
                at_one_place.setdefault(round(first_s / last_s, 1), []).append((first_s, event))
        for begun in at_one_place.values() if number == 0 else ():
            told = ", ".join(str(event) for _, event in begun)
            place = ("data", "axes fraction")
            axes.annotate(f" {told}", (begun[0][0], 0.98), xycoords=place, va="top", fontsize=9)
        if since is not None:
            _by_clock(axes, since, last_s)

    label = (
        LABELS[0] if since is None else f"time of day ({zone(since)}){', events shaded' if events else ''}"
    )
    names = [cgroup.name for cgroup in cgroups]
    return panels(draw, names, (label, LABELS[1]), "timeline", TITLE, one_scale=False)


def _by_clock(axes: Axes, since: str, last_s: float) -> None:
    """Ticks at round times of day."""
    of_day_s = second_of_day(since)
    step_s = next((step for step in STEPS_S if last_s / step <= MOST_TICKS), STEPS_S[-1])
    first = ceil(of_day_s / step_s)
    places = [number * step_s - of_day_s for number in range(first, first + MOST_TICKS + 1)]
    inside = [place for place in places if place <= last_s]
    axes.set_xticks(inside, [clock(since, place) for place in inside])


def steps(moments: Sequence[Moment], values: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The corners of a line of steps, which a gap as long as the moment before it interrupts."""
    before = moments[0]
    for moment, value in zip(moments, values, strict=True):
        if moment.begin_s - before.end_s > before.end_s - before.begin_s:
            yield moment.begin_s, nan
        yield moment.begin_s, value
        yield moment.end_s, value
        before = moment
