"""The charts of the HTML report, drawn by matplotlib. Every figure in them is also in the table beneath.

Arms differ by shape and fill as well as by colour. Importing this module costs matplotlib: only `reports.html` does.
"""

import warnings
from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from agent.verdict import (
    Arm,
    Blame,
    Cause,
    Confirmation,
    Effect,
    Pair,
    SweepPoint,
    Trial,
    WaitHistograms,
    WaitMatrix,
)
from reports.escape import shortened
from reports.figures import count, percent, quantity, time_ns
from reports.svg import INK, MUTED, PAPER, RULE, WITH, WITHOUT, embeddable

WIDTH_PT = 400
LONGEST_NAME, LONGEST_COLUMN_NAME = 26, 18  # on an axis
DEEPEST_SHADE = 0.5  # so that the figure on it keeps its contrast
MOST_LABELS = 14
MOST_BARS = 12
STYLE: dict[Any, Any] = {  # which keys there are, matplotlib says in its types only of late
    "svg.fonttype": "none",  # text stays text: it can be searched, and scaled by the reader
    "svg.hashsalt": "jostle",  # the same figures give the same file
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.labelsize": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "grid.color": RULE,
    "legend.frameon": False,
}


def pair_chart(pairs: tuple[Pair, ...], effect: Effect) -> str:
    """The slowdown in each pair around the estimate, its interval, the threshold and the noise floor."""

    def draw(axes: Axes) -> None:
        if effect.noise_floor_pct is not None:
            axes.axhspan(-effect.noise_floor_pct, effect.noise_floor_pct, color=RULE, label="noise floor")
        if effect.ci95_pct is not None:
            axes.axhspan(*effect.ci95_pct, color=WITH, alpha=0.18, label="95 % interval")
        if effect.slowdown_pct is not None:
            axes.axhline(effect.slowdown_pct, color=WITH, linewidth=1.5, label="estimate")
        axes.axhline(effect.threshold_pct, color=INK, linestyle=(0, (4, 3)), linewidth=1, label="threshold")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        blocks = [pair.block for pair in pairs]
        axes.plot(
            blocks, [pair.slowdown_pct for pair in pairs], "o", color=INK, markersize=5, label="one pair"
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="block, in the order they ran", ylabel="slowdown (%)")
        _legend(axes, columns=3)

    best = "" if effect.slowdown_pct is None else f", estimated at {percent(effect.slowdown_pct)}"
    return _svg(draw, 250, "pairs", "Slowdown in each pair of trials", f"{len(pairs)} pairs{best}.")


def cause_chart(causes: tuple[Cause, ...]) -> str:
    """Each cause's share of the additional time, with its interval."""

    def draw(axes: Axes) -> None:
        rows = range(len(causes))
        axes.barh(rows, [cause.share_pct for cause in causes], color=WITH, height=0.62)
        for row, cause in enumerate(causes):
            low, high = cause.ci95_pct or (cause.share_pct, cause.share_pct)
            axes.plot([low, high], [row, row], color=INK, linewidth=1.5, marker="|", markersize=7)
            axes.annotate(
                percent(cause.share_pct), (1.01, row), xycoords=("axes fraction", "data"), va="center"
            )
        axes.set(
            yticks=rows,
            yticklabels=[cause.cause for cause in causes],
            xlabel="share of the additional time (%)",
        )
        axes.invert_yaxis()
        axes.grid(axis="x")

    first = max(causes, key=lambda cause: cause.share_pct)
    largest = f"The largest is {first.cause} with {percent(first.share_pct)}."
    return _svg(draw, 70 + 30 * len(causes), "causes", "Where the additional time went", largest)


def blame_chart(blame: tuple[Blame, ...]) -> str:
    """How long the victim waited for each cgroup in a mean trial; the first MOST_BARS, the table has them all."""
    count_all, blame = len(blame), blame[:MOST_BARS]

    def draw(axes: Axes) -> None:
        rows = range(len(blame))
        axes.barh(rows, [entry.wait_ms_per_trial for entry in blame], color=WITH, height=0.62)
        for row, entry in enumerate(blame):
            shown = quantity(entry.wait_ms_per_trial, "ms")
            axes.annotate(shown, (1.01, row), xycoords=("axes fraction", "data"), va="center")
        axes.set(
            yticks=rows,
            yticklabels=[shortened(entry.name, LONGEST_NAME) for entry in blame],
            xlabel="wait per trial (ms)",
        )
        axes.invert_yaxis()
        axes.grid(axis="x")

    title = "Whom the victim waited for"
    return _svg(
        draw,
        70 + 30 * len(blame),
        "blame",
        title,
        f"{len(blame)} of {count_all} cgroups, the longest wait first.",
    )


def matrix_chart(matrix: WaitMatrix) -> str:
    """Who waited for whom as a heat map; every cell has its figure as well as its shade."""
    longest = max((ms for row in matrix.wait_ms_per_trial for ms in row), default=0.0)

    def draw(axes: Axes) -> None:
        for row, waits in enumerate(matrix.wait_ms_per_trial):
            for column, ms in enumerate(waits):
                shade = DEEPEST_SHADE * ms / longest if longest else 0.0
                axes.add_patch(Rectangle((column, row), 1, 1, facecolor=WITH, alpha=shade, linewidth=0))
                axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=RULE))
                axes.text(column + 0.5, row + 0.5, quantity(ms), ha="center", va="center", fontsize=9)
        axes.set(xlim=(0, len(matrix.waited_for)), ylim=(len(matrix.waiting), 0))
        axes.set(xlabel="waited for", ylabel="waiting")
        _name_ticks(axes, matrix)

    title = "Who waited for whom"
    height_pt = 130 + 26 * len(matrix.waiting)
    return _svg(draw, height_pt, "matrix", title, "Milliseconds per trial; the darker, the longer.")


def _name_ticks(axes: Axes, matrix: WaitMatrix) -> None:
    columns, rows = range(len(matrix.waited_for)), range(len(matrix.waiting))
    axes.set_xticks([place + 0.5 for place in columns])
    names = [shortened(name, LONGEST_COLUMN_NAME) for name in matrix.waited_for]
    axes.set_xticklabels(names, rotation=40, ha="right")
    axes.set_yticks([place + 0.5 for place in rows])
    axes.set_yticklabels([shortened(name, LONGEST_COLUMN_NAME) for name in matrix.waiting])
    axes.tick_params(length=0)


def histogram_chart(histograms: WaitHistograms) -> str:
    """How many waits were how long in both arms: dashed without, filled with the neighbours."""
    borders_ns = [0.0, *histograms.edges_ns]
    buckets = occupied(histograms)
    borders_ns = borders_ns[buckets.start : buckets.stop + 1]

    def draw(axes: Axes) -> None:
        places = range(len(borders_ns))
        filled = histograms.with_[buckets.start : buckets.stop]
        axes.stairs(filled, places, fill=True, color=WITH, alpha=0.35)
        axes.stairs(filled, places, color=WITH, linewidth=1.4, label="with neighbours")
        without = histograms.without[buckets.start : buckets.stop]
        axes.stairs(without, places, color=WITHOUT, linewidth=1.8, linestyle=(0, (3, 1.5)), label="without")
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(lambda value, _: count(round(value)))
        labelled = places[:: 1 + len(places) // MOST_LABELS]
        axes.set(xlabel="wait for a CPU", ylabel="waits (log scale)", xticks=labelled)
        axes.set_xticklabels([_border(borders_ns[place]) for place in labelled], rotation=40, ha="right")
        axes.grid(axis="y")
        _legend(axes, columns=2)

    title = "Waits for a CPU, by length"
    return _svg(draw, 270, "waits", title, "Numbers of waits without and with the neighbours, by length.")


def trial_chart(trials: tuple[Trial, ...], metric: str, unit: str) -> str:
    """The primary metric of each trial in the order they ran: circles without, squares with, crosses void."""
    looks = [
        ("without", "o", PAPER, WITHOUT),
        ("with neighbours", "s", WITH, WITH),
        ("void", "x", MUTED, MUTED),
    ]

    def draw(axes: Axes) -> None:
        for label, marker, face, edge in looks:
            chosen = [trial for trial in trials if _kind(trial) == label and metric in trial.metrics]
            if chosen:
                places, values = (
                    [trial.index for trial in chosen],
                    [trial.metrics[metric] for trial in chosen],
                )
                (dots,) = axes.plot(places, values, marker, markeredgewidth=1.5, label=label)
                dots.set(markerfacecolor=face, markeredgecolor=edge)
        axes.set(
            xlabel="trial, in the order they ran",
            ylabel=shortened(f"{metric} ({unit})" if unit else metric, LONGEST_NAME),
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        _legend(axes, columns=3)

    return _svg(
        draw, 240, "trials", "Every trial in order", f"{len(trials)} trials; the shape tells the arm."
    )


def time_chart(trials: tuple[Trial, ...]) -> str:
    """The victim's task time in each trial: running, waiting, on a quota; those with neighbours shaded."""

    def draw(axes: Axes) -> None:
        for number, trial in enumerate(t for t in trials if t.arm is Arm.WITH):
            label = "with neighbours" if number == 0 else None
            axes.axvspan(
                trial.index - 0.5, trial.index + 0.5, color=RULE, alpha=0.6, linewidth=0, label=label
            )
        places = [trial.index for trial in trials]
        floor = [0.0] * len(trials)
        for label, hatch, face in (
            ("running", "", PAPER),
            ("waiting", "///", WITH),
            ("throttled", "xxx", PAPER),
        ):
            spent_s = [_spent_ns(trial)[label] / 1e9 for trial in trials]
            if label != "throttled" or any(spent_s):
                axes.bar(
                    places,
                    spent_s,
                    0.7,
                    floor,
                    label=label,
                    hatch=hatch,
                    facecolor=face,
                    edgecolor=INK,
                    linewidth=0.6,
                )
            floor = [low + height for low, height in zip(floor, spent_s, strict=True)]
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="trial, in the order they ran", ylabel="task time (s)")
        _legend(axes, columns=4)

    title = "What the victim did in each trial"
    return _svg(draw, 240, "times", title, f"{len(trials)} trials: task time running, waiting and throttled.")


def _spent_ns(trial: Trial) -> dict[str, float]:
    throttled_ns = trial.throttled_ns or 0
    waiting_ns = max(0, (trial.wait_ns or 0) - throttled_ns)
    return {"running": trial.run_ns or 0, "waiting": waiting_ns, "throttled": throttled_ns}


def confirmation_chart(confirmed: tuple[Confirmation, ...]) -> str:
    """What stopping each suspect alone gave back, with its interval."""

    def draw(axes: Axes) -> None:
        rows = range(len(confirmed))
        for row, entry in enumerate(confirmed):
            low, high = entry.ci95_pct or (entry.slowdown_pct, entry.slowdown_pct)
            axes.plot([low, high], [row, row], color=INK, linewidth=1.5, marker="|", markersize=8)
            axes.plot([entry.slowdown_pct], [row], "o", color=WITH, markersize=6)
            shown = percent(entry.slowdown_pct)
            axes.annotate(shown, (1.01, row), xycoords=("axes fraction", "data"), va="center")
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set(
            yticks=rows,
            yticklabels=[shortened(entry.name, LONGEST_NAME) for entry in confirmed],
            ylim=(len(confirmed) - 0.5, -0.5),
            xlabel="slowdown that ends when it alone is stopped (%)",
        )
        axes.grid(axis="x")

    title = "Each suspect stopped alone"
    described = f"{len(confirmed)} suspects, each with its 95 % interval."
    return _svg(draw, 80 + 30 * len(confirmed), "confirmed", title, described)


def sweep_chart(sweep: tuple[SweepPoint, ...]) -> str:
    """The slowdown at each intensity with its interval, and the rising curve."""

    def draw(axes: Axes) -> None:
        for point in sweep:
            low, high = point.ci95_pct or (point.slowdown_pct, point.slowdown_pct)
            axes.plot([point.level_pct] * 2, [low, high], color=INK, linewidth=1.2, marker="_", markersize=7)
        levels = [point.level_pct for point in sweep]
        axes.plot(
            levels, [point.slowdown_pct for point in sweep], "o", color=INK, markersize=5, label="measured"
        )
        curve = [(point.level_pct, point.fitted_pct) for point in sweep if point.fitted_pct is not None]
        if curve:
            axes.plot(*zip(*curve, strict=True), color=WITH, linewidth=1.8, label="rising curve")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel="intensity of the neighbours (%)", ylabel="slowdown (%)")
        axes.grid(axis="y")
        _legend(axes, columns=2)

    title = "Slowdown by intensity of the neighbours"
    return _svg(draw, 250, "sweep", title, f"{len(sweep)} levels of intensity, with 95 % intervals.")


def occupied(histograms: WaitHistograms) -> range:
    """The buckets from the first with any wait in it to the last; all when there was no wait."""
    held = [
        place
        for place, counts in enumerate(zip(histograms.without, histograms.with_, strict=True))
        if any(counts)
    ]
    return range(held[0], held[-1] + 1) if held else range(len(histograms.edges_ns))


def _kind(trial: Trial) -> str:
    if trial.void is not None:
        return "void"
    return "with neighbours" if trial.arm is Arm.WITH else "without"


def _border(border_ns: float | None) -> str:
    return "longer" if border_ns is None else time_ns(border_ns)


def _legend(axes: Axes, columns: int) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.6
        )


def _svg(draw: Callable[[Axes], None], height_pt: int, prefix: str, title: str, description: str) -> str:
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # matplotlib's own font measures the text but the reader's font draws it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(WIDTH_PT / 72, height_pt / 72), layout="constrained")
        draw(figure.subplots())
        file = StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return embeddable(file.getvalue(), prefix, title, f"{description} The table below has the figures.")
