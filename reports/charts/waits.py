"""What experiments and recordings both draw: waits by length, and who waited for whom."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from agent.documents.summary import Waits
from agent.documents.verdict_parts import WaitHistograms
from reports.charts.canvas import RULE, WIDTH_PT, WITH, WITHOUT, chart, legend, panels
from reports.escape import told_apart
from reports.figures import count, time_ns

MOST_LABELS = 14
TITLE = "Waits for a CPU, by length"
LABELS = ("wait for a CPU", "waits (log scale)")
Edges = Sequence[float | None]  # upper ones; null marks the open last bucket
NAMES_PT, CELL_PT = 140, 46  # room beside the cells, and for the longest figure in one
LONGEST_NAME = 18  # of a row or a column
DEEPEST_SHADE = 0.5  # so that the figure on it keeps its contrast


def arms_chart(histograms: WaitHistograms) -> str:
    """The waits in both arms of an experiment, by length: dashed without the neighbours, filled with them."""
    edges_ns = histograms.edges_ns
    buckets = occupied([histograms.without, histograms.with_])

    def draw(axes: Axes) -> None:
        _fill(axes, histograms.with_[buckets.start : buckets.stop], "with neighbours")
        without = histograms.without[buckets.start : buckets.stop]
        dashed = (0, (3, 1.5))
        axes.stairs(without, color=WITHOUT, linewidth=1.8, linestyle=dashed, label="without")
        _scale(axes, edges_ns, buckets, base=10)
        axes.set(xlabel=LABELS[0], ylabel=LABELS[1])
        legend(axes, columns=2)

    return chart(draw, 270, "waits", TITLE, "Numbers of waits without and with the neighbours, by length.")


def cgroups_chart(edges_ns: Edges, cgroups: Sequence[Waits]) -> str:
    """The waits of each cgroup of a recording, by length."""
    buckets = occupied([cgroup.waits for cgroup in cgroups])

    def draw(axes: Axes, number: int) -> None:
        _fill(axes, cgroups[number].waits[buckets.start : buckets.stop])
        _scale(axes, edges_ns, buckets, base=100)  # a panel has room for half the labels

    return panels(draw, [cgroup.name for cgroup in cgroups], LABELS, "waits", TITLE, one_scale=True)


def occupied(histograms: Sequence[Sequence[int]]) -> range:
    """The buckets from the first with any wait in it to the last; all when there was no wait."""
    held = [place for place, counts in enumerate(zip(*histograms, strict=True)) if any(counts)]
    return range(held[0], held[-1] + 1) if held else range(len(histograms[0]))


def _fill(axes: Axes, waits: Sequence[int], label: str | None = None) -> None:
    axes.stairs(waits, fill=True, color=WITH, alpha=0.35)
    axes.stairs(waits, color=WITH, linewidth=1.4, label=label)


def _scale(axes: Axes, edges_ns: Edges, buckets: range, base: int) -> None:
    borders_ns = [0.0, *edges_ns][buckets.start : buckets.stop + 1]
    places = range(len(borders_ns))
    axes.set_yscale("symlog", linthresh=1, base=base)
    axes.yaxis.set_major_formatter(lambda value, _: count(round(value)))
    labelled = places[:: 1 + len(places) // MOST_LABELS]
    axes.set(xticks=labelled)
    names = [_border(borders_ns[place]) for place in labelled]
    axes.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    axes.grid(axis="y")


def _border(border_ns: float | None) -> str:
    return "longer" if border_ns is None else time_ns(border_ns)


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
    names = told_apart(waited_for, LONGEST_NAME)
    axes.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks([place + 0.5 for place in range(len(waiting))])
    axes.set_yticklabels(told_apart(waiting, LONGEST_NAME))
    axes.tick_params(length=0)
