"""Whom the victim waited for."""

from matplotlib.axes import Axes

from agent.documents.verdict_parts import Blame
from reports.charts.canvas import chart, named_bars, rows_height_pt
from reports.figures import quantity

MOST_BARS = 12


def blame_chart(blame: tuple[Blame, ...]) -> str:
    """How long for each cgroup in a mean trial; the first MOST_BARS, the table has them all."""
    shown = blame[:MOST_BARS]

    def draw(axes: Axes) -> None:
        waits_ms = [entry.wait_ms_per_trial for entry in shown]
        figures = [quantity(wait_ms, "ms") for wait_ms in waits_ms]
        named_bars(axes, [entry.name for entry in shown], waits_ms, figures)
        axes.set(xlabel="wait per trial (ms)")

    described = f"{len(shown)} of {len(blame)} cgroups, the longest wait first."
    return chart(draw, rows_height_pt(len(shown)), "blame", "Whom the victim waited for", described)
