"""Who waited for whom, as a heat map."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from reports.charts.canvas import WIDTH_PT, chart
from reports.escape import shortened
from reports.svg import RULE, WITH

NAMES_PT, CELL_PT = 140, 46  # room beside the cells, and for the longest figure in one
LONGEST_NAME = 18  # of a row or a column
DEEPEST_SHADE = 0.5  # so that the figure on it keeps its contrast


def matrix_chart(
    waiting: Sequence[str],
    waited_for: Sequence[str],
    waits: Sequence[Sequence[float]],
    shown: Callable[[float], str],
    description: str,
) -> str:
    """A row for each that waited; every cell has its figure, as `shown`, as well as its shade."""
    longest = max((wait for row in waits for wait in row), default=0)

    def draw(axes: Axes) -> None:
        for row, cells in enumerate(waits):
            for column, wait in enumerate(cells):
                shade = DEEPEST_SHADE * wait / longest if longest else 0.0
                axes.add_patch(Rectangle((column, row), 1, 1, facecolor=WITH, alpha=shade, linewidth=0))
                axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=RULE))
                axes.text(column + 0.5, row + 0.5, shown(wait), ha="center", va="center", fontsize=9)
        axes.set(xlim=(0, len(waited_for)), ylim=(len(waiting), 0), xlabel="waited for", ylabel="waiting")
        _name(axes, waiting, waited_for)

    height_pt, width_pt = 130 + 26 * len(waiting), max(WIDTH_PT, NAMES_PT + CELL_PT * len(waited_for))
    described = f"{description} The darker, the longer."
    return chart(draw, height_pt, "matrix", "Who waited for whom", described, width_pt=width_pt)


def _name(axes: Axes, waiting: Sequence[str], waited_for: Sequence[str]) -> None:
    axes.set_xticks([place + 0.5 for place in range(len(waited_for))])
    names = [shortened(name, LONGEST_NAME) for name in waited_for]
    axes.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks([place + 0.5 for place in range(len(waiting))])
    axes.set_yticklabels([shortened(name, LONGEST_NAME) for name in waiting])
    axes.tick_params(length=0)
