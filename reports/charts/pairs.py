"""The slowdown in each pair of trials."""

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agent.documents.verdict import Effect
from agent.documents.verdict_parts import Pair
from reports.charts.canvas import chart, legend
from reports.figures import counted, percent
from reports.svg import INK, MUTED, RULE, WITH


def pair_chart(pairs: tuple[Pair, ...], effect: Effect) -> str:
    """Each pair around the estimate, its interval, the threshold and the noise floor."""

    def draw(axes: Axes) -> None:
        _draw_bounds(axes, effect)
        blocks = [pair.block for pair in pairs]
        slowdowns_pct = [pair.slowdown_pct for pair in pairs]
        axes.plot(blocks, slowdowns_pct, "o", color=INK, markersize=5, label="one pair")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="block, in the order they ran", ylabel="slowdown (%)")
        legend(axes, columns=3)

    best = "" if effect.slowdown_pct is None else f", estimated at {percent(effect.slowdown_pct)}"
    described = f"{counted(len(pairs), 'pair')}{best}."
    return chart(draw, 250, "pairs", "Slowdown in each pair of trials", described)


def _draw_bounds(axes: Axes, effect: Effect) -> None:
    if effect.noise_floor_pct is not None:
        axes.axhspan(-effect.noise_floor_pct, effect.noise_floor_pct, color=RULE, label="noise floor")
    if effect.ci95_pct is not None:
        axes.axhspan(*effect.ci95_pct, color=WITH, alpha=0.18, label="95 % interval")
    if effect.slowdown_pct is not None:
        axes.axhline(effect.slowdown_pct, color=WITH, linewidth=1.5, label="estimate")
    axes.axhline(effect.threshold_pct, color=INK, linestyle=(0, (4, 3)), linewidth=1, label="threshold")
    axes.axhline(0, color=MUTED, linewidth=0.8)
