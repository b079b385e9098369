"""What stopping each suspect alone gave back."""

from matplotlib.axes import Axes

from agent.documents.verdict_parts import Confirmation
from reports.charts.canvas import chart, name_rows, rows_height_pt
from reports.figures import counted, percent
from reports.svg import INK, MUTED, WITH


def confirmation_chart(confirmed: tuple[Confirmation, ...]) -> str:
    """Each suspect's own effect, with its interval."""

    def draw(axes: Axes) -> None:
        for row, entry in enumerate(confirmed):
            low, high = entry.ci95_pct or (entry.slowdown_pct, entry.slowdown_pct)
            axes.plot([low, high], [row, row], color=INK, linewidth=1.5, marker="|", markersize=8)
            axes.plot([entry.slowdown_pct], [row], "o", color=WITH, markersize=6)
        figures = [percent(entry.slowdown_pct) for entry in confirmed]
        name_rows(axes, [entry.name for entry in confirmed], figures)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel="slowdown that ends when it alone is stopped (%)")

    described = f"{counted(len(confirmed), 'suspect')}, each with its 95 % interval."
    return chart(draw, rows_height_pt(len(confirmed)), "confirmed", "Each suspect stopped alone", described)
