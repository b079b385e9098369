"""The slowdown by intensity of the neighbours."""

from matplotlib.axes import Axes

from agent.documents.verdict_parts import SweepPoint
from reports.charts.canvas import chart, legend
from reports.figures import counted
from reports.svg import INK, MUTED, WITH


def sweep_chart(sweep: tuple[SweepPoint, ...]) -> str:
    """The slowdown at each level with its interval, and the rising curve."""

    def draw(axes: Axes) -> None:
        for point in sweep:
            low, high = point.ci95_pct or (point.slowdown_pct, point.slowdown_pct)
            axes.plot([point.level_pct] * 2, [low, high], color=INK, linewidth=1.2, marker="_", markersize=7)
        levels_pct = [point.level_pct for point in sweep]
        slowdowns_pct = [point.slowdown_pct for point in sweep]
        axes.plot(levels_pct, slowdowns_pct, "o", color=INK, markersize=5, label="measured")
        curve = [(point.level_pct, point.fitted_pct) for point in sweep if point.fitted_pct is not None]
        if curve:
            axes.plot(*zip(*curve, strict=True), color=WITH, linewidth=1.8, label="rising curve")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel="intensity of the neighbours (%)", ylabel="slowdown (%)")
        axes.grid(axis="y")
        legend(axes, columns=2)

    described = f"{counted(len(sweep), 'level')} of intensity, with 95 % intervals."
    return chart(draw, 250, "sweep", "Slowdown by intensity of the neighbours", described)
