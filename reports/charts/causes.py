"""Where the additional time went."""

from matplotlib.axes import Axes

from agent.documents.verdict import Cause
from reports.charts.canvas import chart, named_bars, rows_height_pt
from reports.figures import percent
from reports.svg import INK


def cause_chart(causes: tuple[Cause, ...]) -> str:
    """Each cause's share of the additional time, with its interval."""

    def draw(axes: Axes) -> None:
        shares_pct = [cause.share_pct for cause in causes]
        named_bars(axes, [cause.cause for cause in causes], shares_pct, list(map(percent, shares_pct)))
        for row, cause in enumerate(causes):
            low, high = cause.ci95_pct or (cause.share_pct, cause.share_pct)
            axes.plot([low, high], [row, row], color=INK, linewidth=1.5, marker="|", markersize=7)
        axes.set(xlabel="share of the additional time (%)")

    first = max(causes, key=lambda cause: cause.share_pct)
    largest = f"The largest is {first.cause} with {percent(first.share_pct)}."
    return chart(draw, rows_height_pt(len(causes)), "causes", "Where the additional time went", largest)
