"""How many waits for a CPU were how long."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from agent.documents.run_details import Waits
from agent.documents.verdict_parts import WaitHistograms
from reports.charts.canvas import chart, legend, panels
from reports.figures import count, time_ns
from reports.svg import WITH, WITHOUT

MOST_LABELS = 14
TITLE = "Waits for a CPU, by length"
LABELS = ("wait for a CPU", "waits (log scale)")
Edges = Sequence[float | None]  # upper ones; null marks the open last bucket


def arms_chart(histograms: WaitHistograms) -> str:
    """Both arms of an experiment: dashed without, filled with the neighbours."""
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
    """The cgroups of a recording."""
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
